"""Exactly what is out of date is computed, and it says why; the rest is found again."""

from __future__ import annotations

import os

import pytest

from mosaic_dagster import CallbackStep, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.errors import RunFailedError
from mosaic_dagster.features import StepRef
from mosaic_dagster.pipeline import DatasetRun, Engine, Selection, work
from mosaic_dagster.pipeline.execute import draw
from mosaic_dagster.store import StepOutput

ALL = ["s1", "s2", "s3"]
FIRST = sorted(
    [f"toy-{f}:{s}" for f in ("shift", "mean", "scaled", "whole") for s in ALL]
    + ["toy-mean:fit:s1+s2+s3", "toy-scaled:fit:templates"]
)


def test_a_first_run_computes_everything_once_and_a_second_nothing(
    added, layered, run, states, log
):
    """Mean of x = X + 1 over 0..3, 10..13, 20..23 is 12.5, so scaled is (x - 12.5) * 25."""
    pipeline = layered()
    assert states(added, pipeline, "shift") == dict.fromkeys(ALL, "missing new")
    results = run(pipeline, added)
    assert log.take() == FIRST
    table = results["scaled"].table("g/s1")
    assert table["x"].to_list() == [(x - 12.5) * 25.0 for x in (1.0, 2.0, 3.0, 4.0)]
    for step in ("shift", "mean", "scaled", "side"):
        assert set(states(added, pipeline, step).values()) == {"fresh"}
    run(pipeline, added)
    assert log.take() == []


@pytest.mark.slow
def test_an_edited_source_makes_its_entry_stale_and_an_undone_edit_is_found_again(
    files, layered, run, states, log, toy
):
    dataset, folder = files
    pipeline = layered()
    run(pipeline, dataset)
    assert log.take() == FIRST
    toy.write_csv(folder / "s2.csv", 100.0)
    assert states(dataset, pipeline, "tracks") == {
        "s1": "fresh", "s2": "stale source changed", "s3": "fresh",
    }  # fmt: skip
    assert states(dataset, pipeline, "shift")["s2"] == "stale upstream: tracks"
    assert states(dataset, pipeline, "shift")["s1"] == "fresh"
    assert states(dataset, pipeline, "mean") == {
        "": "stale upstream: shift", "s1": "stale upstream: mean's fit",
        "s2": "stale upstream: shift", "s3": "stale upstream: mean's fit",
    }  # fmt: skip
    run(pipeline, dataset)
    # The fits see another s2, so they and their tables change; nothing else of s1 and s3 does.
    assert log.take() == sorted(
        ["toy-shift:s2", "toy-whole:s2", "toy-mean:fit:s1+s2+s3", "toy-scaled:fit:templates"]
        + [f"toy-{f}:{s}" for f in ("mean", "scaled") for s in ALL]
    )
    toy.write_csv(folder / "s2.csv", 10.0)
    assert states(dataset, pipeline, "tracks")["s2"] == "fresh"
    assert states(dataset, pipeline, "scaled") == dict.fromkeys(["", *ALL], "fresh")
    run(pipeline, dataset)
    assert log.take() == []
    assert pipeline.load(dataset)["scaled"].counts == {"fresh": 3}


def test_a_touched_file_stays_fresh_and_is_hashed_once_only(
    files, layered, run, states, log, monkeypatch
):
    """Backups and copies change times; a lab would recompute everything after each."""
    dataset, folder = files
    pipeline = layered()
    run(pipeline, dataset)
    log.take()
    os.utime(folder / "s1.csv", ns=(1, 1))
    assert states(dataset, pipeline, "tracks")["s1"] == "fresh"
    run(pipeline, dataset)
    assert log.take() == []

    def refuse(file):
        raise AssertionError(f"{file} was hashed again")

    monkeypatch.setattr("mosaic_dagster.dataset.scan.hash_file", refuse)
    assert states(dataset, pipeline, "tracks")["s1"] == "fresh"


def test_a_parameter_of_one_step_makes_it_and_what_is_below_stale(added, layered, run, states, log):
    run(layered(), added)
    log.take()
    changed = layered(scaled={"times": 3.0})
    assert states(added, changed, "shift") == dict.fromkeys(ALL, "fresh")
    assert states(added, changed, "mean") == dict.fromkeys(["", *ALL], "fresh")
    assert states(added, changed, "scaled")[""] == "stale params"
    run(changed, added)
    assert log.take() == sorted(["toy-scaled:fit:templates", *(f"toy-scaled:{s}" for s in ALL)])


def test_a_new_version_of_a_feature_is_the_reason(added, run, states, toy, log):
    old = Pipeline(name="p").add(FeatureStep("shift", toy.Shift, {"log": str(log)}))
    run(old, added)
    log.take()
    new = Pipeline(name="p").add(FeatureStep("shift", toy.NewShift, {"log": str(log)}))
    assert states(added, new, "shift") == dict.fromkeys(ALL, "stale version")
    run(new, added)
    assert len(log.take()) == 3
    assert set(states(added, new, "shift").values()) == {"fresh"}


def test_equal_bytes_keep_everything_below_fresh_through_two_steps(files, run, states, toy, log):
    """floor(X) of 10.25 is floor(X) of 10: below ``whole`` nothing may run."""
    dataset, folder = files
    given = {"log": str(log)}
    pipeline = (
        Pipeline(name="cut")
        .add(FeatureStep("whole", toy.Whole, given))
        .add(FeatureStep("shift", toy.Shift, {**given, "source": "x"}, ["whole"]))
        .add(FeatureStep("mean", toy.Mean, given, ["shift"]))
    )
    run(pipeline, dataset)
    log.take()
    toy.write_csv(folder / "s2.csv", 10.25)
    assert states(dataset, pipeline, "shift")["s2"] == "stale upstream: whole"
    assert states(dataset, pipeline, "mean")[""] == "stale upstream: shift"
    run(pipeline, dataset)
    assert log.take() == ["toy-whole:s2"]
    assert set(states(dataset, pipeline, "mean").values()) == {"fresh"}


def test_a_deleted_object_is_made_again(added, layered, run, states, log, toy):
    pipeline = layered()
    results = run(pipeline, added)
    before = results["side"].table("g/s2")
    log.take()
    digest = DatasetRun(added, [pipeline]).evaluations["layered"].entries("side")["g/s2"]
    toy.remove(added.objects.path(digest.result.output_sha256))
    assert states(added, pipeline, "side") == {
        "s1": "fresh", "s2": "stale object missing", "s3": "fresh",
    }  # fmt: skip
    results = run(pipeline, added)
    assert log.take() == ["toy-whole:s2"]
    assert results["side"].table("g/s2").equals(before)


@pytest.mark.parametrize("member", ["mean.json", None])
def test_a_deleted_fitted_state_is_made_again(added, layered, run, states, log, toy, member):
    """The file of a state or its list of files: without either, new entries could not be made."""
    pipeline = layered()
    result = run(pipeline, added)["mean"]
    log.take()
    if member is None:
        model = DatasetRun(added, [pipeline]).evaluations["layered"].model("mean")
        toy.remove(added.objects.path(model.result.output_sha256))
    else:
        toy.remove(result.artifact(member))
    assert states(added, pipeline, "mean")[""] == "stale object missing"
    run(pipeline, added)
    assert log.take() == ["toy-mean:fit:s1+s2+s3"]  # equal bytes: what it made stays


def test_an_altered_object_fails_its_entry_and_names_the_object(added, layered, run, log, toy):
    """Silently altered input would give wrong numbers below it."""
    pipeline = layered()
    run(pipeline, added)
    run_now = DatasetRun(added, [pipeline])
    digest = run_now.evaluations["layered"].entries("shift")["g/s2"].result.output_sha256
    toy.alter(added.objects.path(digest))
    changed = layered(mean={"decimals": 2})
    with pytest.raises(RunFailedError, match=digest):
        run(changed, added)


@pytest.mark.parametrize("name", ["mean.json", "model"])
def test_an_altered_fitted_state_is_never_used(added, layered, run, toy, name):
    """Nothing may be made with a model whose bytes are not those that were fitted."""
    pipeline = layered(mean={"note": "a file without an extension"})
    result = run(pipeline, added)["mean"]
    toy.alter(result.artifact(name))
    table = DatasetRun(added, [pipeline]).evaluations["layered"].entries("mean")["g/s1"]
    toy.remove(added.objects.path(table.result.output_sha256))
    work._ready.clear()  # as in another process, which has not read the state yet
    with pytest.raises(RunFailedError, match="was changed or cut"):
        run(pipeline, added)


def test_a_new_entry_is_fitted_in_and_changes_what_the_fit_changes(
    added, layered, run, states, log, toy
):
    pipeline = layered()
    run(pipeline, added)
    log.take()
    added.add_tracks(EntryKey("g", "s4"), toy.tracks(30.0))
    assert states(added, pipeline, "shift")["s4"] == "missing new"
    assert states(added, pipeline, "mean")[""] == "stale upstream: shift"
    run(pipeline, added)
    assert log.take() == sorted(
        ["toy-shift:s4", "toy-whole:s4", "toy-mean:fit:s1+s2+s3+s4", "toy-scaled:fit:templates"]
        + [f"toy-{f}:{s}" for f in ("mean", "scaled") for s in [*ALL, "s4"]]
    )


def test_a_refit_that_gives_equal_bytes_leaves_its_tables_fresh(added, run, log, toy):
    """Rounded to tens, the mean of 0..3, 10..13, 20..23 (+1) is 10, with or without 9..12."""
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("shift", toy.Shift, {"log": str(log)}))
        .add(FeatureStep("mean", toy.Mean, {"log": str(log), "decimals": -1}, ["shift"]))
    )
    run(pipeline, added)
    log.take()
    added.add_tracks(EntryKey("g", "s4"), toy.tracks(9.0))
    run(pipeline, added)
    assert log.take() == ["toy-mean:fit:s1+s2+s3+s4", "toy-mean:s4", "toy-shift:s4"]


def test_forcing_includes_the_fit_and_everything_below(added, layered, run, log):
    pipeline = layered()
    run(pipeline, added)
    log.take()
    run(pipeline, added, force_from="mean")
    assert log.take() == sorted(
        ["toy-mean:fit:s1+s2+s3", "toy-scaled:fit:templates"]
        + [f"toy-{f}:{s}" for f in ("mean", "scaled") for s in ALL]
    )
    run(pipeline, added)
    assert log.take() == []


def test_overwrite_makes_anew_and_what_is_there_stays_readable(added, run, states, toy, log):
    step = FeatureStep("shift", toy.Shift, {"log": str(log)}, run_kwargs={"overwrite": True})
    pipeline = Pipeline(name="p").add(step)
    run(pipeline, added)
    run(pipeline, added)
    assert len(log.take()) == 6
    assert pipeline.load(added)["shift"].counts == {"fresh": 3}
    assert pipeline.status(added)["state"].to_list() == ["fresh", "fresh"]
    assert pipeline.plan(added)["n_to_compute"].to_list() == [0, 3]


def test_an_altered_file_of_a_reference_reaches_a_feature_that_is_never_fitted(
    added, run, toy, log
):
    """Same declaration, other file: a worker must not keep the feature it has ready."""
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("mean", toy.Mean, {"source": "X"}))
        .add(FeatureStep("above", toy.Above, {"source": "X", "log": str(log)}))
    )
    first = run(pipeline, added)["above"].table("g/s1")["x"].to_list()
    assert first == [-11.5, -10.5, -9.5, -8.5]  # X = 0..3, mean 11.5
    log.take()
    added.add_tracks(EntryKey("g", "s4"), toy.tracks(70.0))
    second = run(pipeline, added)["above"].table("g/s1")["x"].to_list()
    assert second == [x - (11.5 * 12 + 71.5 * 4) / 16 for x in range(4)]


def test_a_lookup_is_an_input_of_every_entry(added, run, states, toy, log):
    def build(by: float) -> Pipeline:
        return (
            Pipeline(name="p")
            .add(FeatureStep("shift", toy.Shift, {"by": by}))
            .add(FeatureStep("beside", toy.Beside, {"log": str(log)}))
        )

    result = run(build(5.0), added)["beside"]
    assert result.table("g/s2")["x"].to_list() == [15.0, 16.0, 17.0, 18.0]  # Y = 0
    log.take()
    assert states(added, build(6.0), "beside") == dict.fromkeys(ALL, "stale upstream: shift")
    result = run(build(6.0), added)["beside"]
    assert result.table("g/s2")["x"].to_list() == [16.0, 17.0, 18.0, 19.0]
    assert len(log.take()) == 3


def test_a_lookup_is_an_input_of_a_fit(added, run, toy, log):
    """A fit that reads tables by reference is out of date when they change."""

    def build(by: float) -> Pipeline:
        return (
            Pipeline(name="p")
            .add(FeatureStep("shift", toy.Shift, {"by": by}))
            .add(FeatureStep("mean", toy.LookupMean, {"log": str(log)}))
        )

    assert run(build(1.0), added)["mean"].table("g/s1")["x"].item(0) == -12.5
    log.take()
    assert run(build(2.0), added)["mean"].table("g/s1")["x"].item(0) == -13.5
    assert "toy-lookup-mean:fit:s1+s2+s3" in log.take()


def test_a_step_that_passes_its_input_on_stores_nothing_twice(added, run, states, toy, log):
    """Also for tables given by hand, whose size no earlier result knows."""
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("sampled", toy.Sampled, {"source": "X", "log": str(log)}))
        .add(FeatureStep("above", toy.Above, {
            "source": "X", "templates": StepRef("sampled", "mean.json"), "log": str(log),
        }, ["sampled"]))
    )  # fmt: skip
    before = added.objects.stats().by_ext["parquet"][0]
    result = run(pipeline, added)["sampled"]
    assert added.objects.stats().by_ext["parquet"][0] == before + 3  # those of ``above``
    assert result.table("g/s1").equals(added.tracks(EntryKey("g", "s1")))
    assert states(added, pipeline, "sampled") == dict.fromkeys(["", *ALL], "fresh")
    log.take()
    run(pipeline, added)
    assert log.take() == []


def test_what_another_pipeline_made_is_adopted(added, run, toy, log):
    """Equal work is done once, whoever asked first."""
    first = Pipeline(name="first").add(FeatureStep("a", toy.Shift, {"log": str(log)}))
    second = Pipeline(name="second").add(FeatureStep("b", toy.Shift, {"log": str(log)}))
    run(first, added)
    log.take()
    looked = DatasetRun(added, [second])
    assert looked.evaluations["second"].entries("b")["g/s1"].needs_adoption
    run(second, added)
    assert log.take() == []
    assert {head.step for head in added.registry.heads("second")} == {"b"}


def test_a_run_that_leaves_a_step_out_takes_it_as_recorded(added, layered, run, states, log):
    """``--no-refit``: the last model serves although it is out of date."""
    run(layered(), added)
    log.take()
    changed = layered(shift={"by": 2.0}, scaled={"times": 4.0})
    selection = Selection(steps={"layered": ["scaled"]}, ingested=())
    draw(DatasetRun(added, [changed], Engine("sequential"), selection)).raise_if_failed()
    assert log.take() == sorted(["toy-scaled:fit:templates", *(f"toy-scaled:{s}" for s in ALL)])
    assert states(added, changed, "shift") == dict.fromkeys(ALL, "stale params")


@pytest.mark.slow
def test_an_empty_recording_is_empty_everywhere_and_counts_as_done(
    files, layered, run, states, log, toy
):
    dataset, folder = files
    toy.write_csv(folder / "s2.csv", 0.0, n_frames=0)
    pipeline = layered()
    results = run(pipeline, dataset)
    assert states(dataset, pipeline, "tracks")["s2"] == "empty"
    for step in ("shift", "mean", "scaled", "side"):
        assert states(dataset, pipeline, step)["s2"] == "empty"
        assert results[step].table("g/s2").height == 0
        assert results[step].table("g/s2").columns == results[step].table("g/s1").columns
    assert "toy-mean:fit:s1+s3" in log.take()
    assert pipeline.status(dataset)["state"].to_list() == ["fresh"] * 5
    run(pipeline, dataset)
    assert log.take() == []


def test_tables_of_several_inputs_are_joined(added, run, toy):
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("a", toy.Shift, {"by": 1.0}))
        .add(FeatureStep("b", toy.Shift, {"by": 2.0}))
        .add(FeatureStep("both", toy.Shift, {"source": "x__1", "by": 0.0}, ["a", "b"]))
    )
    assert run(pipeline, added)["both"].table("g/s1")["x"].to_list() == [2.0, 3.0, 4.0, 5.0]


def test_a_callback_may_read_a_callback(added, run, toy):
    """Order between reports is a use of ``inputs`` like any other."""

    def first(dataset, results):
        return StepOutput([("one", "one", "txt")])

    def second(dataset, results):
        text = results["first"].artifact("one.txt").read_text()
        return StepOutput([(text + " two", "two", "txt")])

    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("shift", toy.Shift))
        .add(CallbackStep("first", first, ["shift"]))
        .add(CallbackStep("second", second, ["first"]))
    )
    assert run(pipeline, added)["second"].artifact("two.txt").read_text() == "one two"
    assert pipeline.status(added)["state"].to_list() == ["fresh"] * 4
