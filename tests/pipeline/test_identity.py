"""Names of results: equal work has equal names anywhere, other work has other names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster import FeatureStep, Pipeline
from mosaic_dagster.dataset import Scope
from mosaic_dagster.errors import HashingError, PipelineDefinitionError
from mosaic_dagster.features import StepRef
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.binding import frame_range, match_artifact
from mosaic_dagster.pipeline.identity import (
    declaration_digest,
    entry_key,
    fit_key,
    run_id,
    state_manifest,
)
from mosaic_dagster.pipeline.steps import RunOptions

GOLDEN = Path(__file__).parents[1] / "golden" / "identities.json"

VALUES = st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.none())
PARAMS = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)


def golden_identities(dataset, pipeline):
    """Everything that does not depend on the bytes that a version of polars writes."""
    run = DatasetRun(dataset, [pipeline])
    steps = run.evaluations[pipeline.name].bound.steps.values()
    return {
        "tracks": {key: status.action_key for key, status in run.tracks.statuses.items()},
        "run ids": {step.name: step.run_id for step in steps},
        "declarations": {step.name: [step.declaration, step.fit_declaration] for step in steps},
        "entry key": entry_key("declaration", "g/s", [("input:0", "aa"), ("state", "bb")]),
        "fit key": fit_key("declaration", [("param:t", "cc")], [("g/s", ["aa"])], ["g/s"]),
        "state": state_manifest({"b.npz": "bb", "a.json": "aa"}).decode(),
    }


def test_identities_stay_what_they_were(files, layered):
    """When this fails, every result that labs have stored is computed anew after an update.

    A change that is meant to do that writes the new identities into the file.
    """
    found = golden_identities(files[0], layered())
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


def declaration(params, **rest):
    return declaration_digest("f", "1", params, **rest)


def test_equal_parameters_have_one_identity_however_they_are_written():
    assert declaration({"a": 30, "b": (1, 2)}) == declaration({"b": [1.0, 2.0], "a": 30.0})
    assert declaration({"a": 1}) != declaration({"a": True})
    assert declaration({"a": 1}) != declaration({"a": "1"})


@given(PARAMS, PARAMS)
def test_other_parameters_have_another_identity(first, second):
    """Results of one parameter must never be taken for those of another."""
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (declaration(first) == declaration(second)) == same


@pytest.mark.parametrize(
    "other",
    [
        {"feature": "g"}, {"version": "2"}, {"params": {"a": 2}}, {"frames": (0, None)},
        {"frames": (None, 0)}, {"fit": {"threads": 1}},
    ],
)  # fmt: skip
def test_everything_declared_enters_the_identity(other):
    base = {"feature": "f", "version": "1", "params": {"a": 1}}
    assert declaration_digest(**base) != declaration_digest(**(base | other))


def test_what_cannot_be_hashed_by_value_is_refused():
    """Hashed by type name, two different objects would share one result."""
    with pytest.raises(HashingError, match="object"):
        declaration({"a": object()})
    with pytest.raises(HashingError, match="nan"):
        declaration({"a": float("nan")})


def test_an_entry_key_depends_on_each_of_its_parts():
    base = ("d", "g/s", [("input:0", "aa"), ("state", "bb")])
    others = [
        ("e", "g/s", base[2]), ("d", "g/t", base[2]), ("d", "g/s", base[2][:1]),
        ("d", "g/s", [("input:0", "bb"), ("state", "aa")]),
        ("d", "g/s", [("lookup:0", "aa"), ("state", "bb")]),
    ]  # fmt: skip
    assert len({entry_key(*base), *(entry_key(*other) for other in others)}) == 6


def test_a_fit_key_forgets_the_order_of_entries_and_nothing_else():
    fitted_on = [("g/a", ["1", "2"]), ("g/b", ["3", "4"])]
    base = fit_key("d", [("param:t", "9")], fitted_on, None)
    assert fit_key("d", [("param:t", "9")], fitted_on[::-1], None) == base
    others = [
        fit_key("d", [], fitted_on, None),
        fit_key("d", [("param:t", "9")], fitted_on[:1], None),
        fit_key("d", [("param:t", "9")], [("g/a", ["2", "1"]), fitted_on[1]], None),
        fit_key("d", [("param:t", "9")], fitted_on, ["g/a", "g/b"]),
    ]
    assert len({base, *others}) == 5


def test_a_run_id_is_readable_and_depends_on_what_is_above():
    name = run_id("0.2", "ab", ["0.1-aa"])
    assert name.startswith("0.2-")
    assert len(name) == len("0.2-") + 12
    assert (
        len({name, run_id("0.2", "ab", []), run_id("0.2", "ab", ["0.1-aa"], {"groups": []})}) == 3
    )


def test_a_state_does_not_depend_on_the_order_in_which_its_files_were_written():
    assert state_manifest({"b": "2", "a": "1"}) == state_manifest({"a": "1", "b": "2"})


# On a dataset.


@pytest.mark.slow
def test_the_same_inputs_in_another_folder_have_the_same_keys(
    files, layered, run, keys, toy, tmp_path
):
    """A colleague's copy of the recordings gives results that can be compared by name."""
    dataset, _ = files
    run(layered(), dataset)
    other, _ = toy.from_files(tmp_path / "elsewhere", {"s1": 0.0, "s2": 10.0, "s3": 20.0})
    run(layered(), other)
    assert keys(dataset, layered()) == keys(other, layered())


def test_throughput_parameters_and_written_out_defaults_change_nothing(added, layered, run, keys):
    run(layered(), added)
    written = layered(shift={"by": 1, "source": "X", "rate": 10, "pause": 0.001, "log": "other"})
    assert keys(added, written) == keys(added, layered())
    assert None not in keys(added, layered()).values()


def test_a_fact_of_the_dataset_is_part_of_the_identity(added, layered, keys):
    """``rate`` comes from the manifest's fps."""
    before = keys(added, layered())
    added.save(added.manifest.model_copy(update={"fps": 25.0}))
    after = keys(added, layered())
    assert before["shift/s1"] != after["shift/s1"]
    assert before["side/s1"] != after["side/s1"]


def test_a_run_id_names_the_declaration_and_holds_no_data(files, layered, run, toy):
    """With data in it, each new recording would give every step another name."""
    dataset, folder = files

    def ids(**params):
        bound = DatasetRun(dataset, [layered(**params)]).evaluations["layered"].bound
        return {name: step.run_id for name, step in bound.steps.items()}

    before = ids()
    toy.write_csv(folder / "s9.csv", 5.0)
    toy.write_csv(folder / "s1.csv", 6.0)
    assert ids() == before
    changed = ids(mean={"decimals": 3})
    assert {name for name in before if before[name] != changed[name]} == {"mean", "scaled"}


def test_the_scope_is_part_of_a_fit_and_no_part_of_an_entry(added, toy, keys, run):
    """Scope chooses entries; results of an entry must be found whatever the others are."""

    def build(feature, scope=None):
        return (
            Pipeline(name="p", scope=scope)
            .add(FeatureStep("shift", toy.Shift))
            .add(FeatureStep("mean", feature, {}, ["shift"]))
        )

    some = Scope(sequences=["s1", "s2"])
    run(build(toy.Mean), added)
    everything, narrow = keys(added, build(toy.Mean)), keys(added, build(toy.Mean, some))
    assert narrow["shift/s1"] == everything["shift/s1"]
    assert narrow["mean/"] != everything["mean/"]
    assert set(narrow) == {"shift/s1", "shift/s2", "mean/", "mean/s1", "mean/s2"}
    run_ids = [
        DatasetRun(added, [build(toy.Mean, scope)]).evaluations["p"].bound.steps["mean"].run_id
        for scope in (None, some)
    ]
    assert len(set(run_ids)) == 2


def test_a_scope_dependent_fit_depends_on_entries_it_could_not_use(files, toy, run, keys, tmp_path):
    dataset, folder = files
    toy.write_csv(folder / "s3.csv", 0.0, n_frames=0)
    broken = tmp_path / "broken"

    def fits(scope):
        pipeline = (
            Pipeline(name="p", scope=scope)
            .add(FeatureStep("shift", toy.Shift, {"broken": str(broken)}))
            .add(FeatureStep("mean", toy.Mean, {}, ["shift"]))
            .add(FeatureStep("scoped", toy.ScopedMean, {}, ["shift"]))
        )
        run(pipeline, dataset)
        found = keys(dataset, pipeline)
        return found["mean/"], found["scoped/"]

    whole, narrow = fits(None), fits(Scope(sequences=["s1", "s2"]))
    assert whole[0] == narrow[0]  # the empty third was never fitted on
    assert whole[1] != narrow[1]


def test_a_reference_counts_by_what_it_refers_to(added, toy, run, keys):
    """Renaming a step must not compute anything anew."""

    def build(name):
        return (
            Pipeline(name="p")
            .add(FeatureStep(name, toy.Mean, {"source": "X"}))
            .add(FeatureStep("scaled", toy.Scaled, {
                "source": "X", "templates": StepRef(name, "mean.json")}))
        )  # fmt: skip

    run(build("mean"), added)
    before = keys(added, build("mean"))
    run(build("average"), added)
    after = keys(added, build("average"))
    assert after["average/s1"] == before["mean/s1"]
    assert after["scaled/s1"] == before["scaled/s1"]


# Frames.


@pytest.mark.parametrize(
    ("options", "fps", "frames"),
    [
        ({}, None, (None, None)),
        ({"filter_start_frame": 3, "filter_end_frame": 5}, None, (3, 5)),
        ({"filter_start_time": 0.1}, 30.0, (3, None)),  # 3.0000000000000004 frames
        ({"filter_end_time": 0.11}, 30.0, (None, 4)),  # 3.3 frames
        ({"filter_start_frame": 0, "filter_end_time": 2.0}, 16.0, (0, 32)),
    ],
)
def test_times_become_the_frame_at_or_after_them(options, fps, frames):
    assert frame_range("s", RunOptions.build("s", options), fps) == frames


@pytest.mark.parametrize(
    ("options", "fps", "said"),
    [
        ({"filter_start_time": 1.0}, None, "no fps"),
        ({"filter_start_frame": 5, "filter_end_frame": 5}, None, "which are none"),
    ],
)
def test_an_impossible_range_is_refused(options, fps, said):
    """Otherwise every recording would come out empty and count as done."""
    with pytest.raises(PipelineDefinitionError, match=said):
        frame_range("s", RunOptions.build("s", options), fps)


def test_only_the_frames_asked_for_are_used_and_they_are_part_of_the_identity(
    added, toy, run, keys
):
    def build(**options):
        return Pipeline(options, name="p").add(FeatureStep("shift", toy.Shift))

    some = build(filter_start_time=0.1, filter_end_frame=3)  # fps 10: frames 1 and 2
    assert run(some, added)["shift"].table("g/s1")["frame"].to_list() == [1, 2]
    assert keys(added, some)["shift/s1"] != keys(added, build())["shift/s1"]
    scoped = Pipeline(name="p", scope=Scope(frames=(1, 3))).add(FeatureStep("shift", toy.Shift))
    assert keys(added, scoped) == keys(added, some)


def test_one_file_of_a_state_must_match_a_pattern():
    members = {"a.npz": "1", "b.npz": "2", "c.json": "3"}
    assert match_artifact("t of step 's'", "m", "*.json", members) == "c.json"
    with pytest.raises(PipelineDefinitionError, match="matches 2 files of step 'm'") as caught:
        match_artifact("t of step 's'", "m", "*.npz", members)
    assert caught.value.remedy == "Its files are: a.npz, b.npz, c.json."
    with pytest.raises(
        PipelineDefinitionError, match="t of step 's' asks for 'd', which matches no"
    ):
        match_artifact("t of step 's'", "m", "d", members)
