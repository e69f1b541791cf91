"""Ways in which such systems are known to go wrong, each as a small case that must go right.

The number in a test's name is that of the defect; its docstring says what a user would lose. What
needs more than a small case is tested elsewhere, and :data:`ELSEWHERE` says where.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import polars as pl
import pytest

from mosaic_dagster import CallbackStep, Dataset, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.dataset import Labels, Scope, align_labels, read_tracks
from mosaic_dagster.errors import (
    HashingError,
    ParamsError,
    PipelineDefinitionError,
    ReaderError,
    RunFailedError,
    ScopeError,
)
from mosaic_dagster.features import (
    FeatureTable,
    Params,
    Result,
    StepRef,
    feature_columns,
    get_feature,
    join_inputs,
    list_features,
)
from mosaic_dagster.hashing import digest
from mosaic_dagster.models import DatabaseProgress, read_progress
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.store import StepOutput
from mosaic_dagster.testing import make_ready, toy_stream, toy_tracks

ROOT = Path(__file__).parents[1]

ELSEWHERE: dict[int, list[str]] = {
    2: ["tests/cli/test_run.py::test_a_bad_recording_fails_the_run_and_nothing_else"],
    4: [
        "tests/pipeline/test_run.py::test_a_killed_run_goes_on_where_it_was",
        "tests/pipeline/test_staleness.py::test_an_altered_fitted_state_is_never_used",
    ],
    7: ["tests/store/feature_registry/test_results.py::test_killing_a_commit_leaves_whole_batches"],
    12: [
        "tests/pipeline/test_overlap.py::test_pieces_give_what_the_whole_recording_gives",
        "tests/pipeline/test_overlap.py::test_what_does_not_abut_is_no_context",
        "tests/pipeline/test_overlap.py::test_frames_are_counted_by_value_and_for_every_animal",
        "tests/pipeline/test_overlap.py::"
        "test_the_overlap_is_part_of_the_identity_of_entries_and_not_of_a_fit",
    ],
    23: [
        "tests/pipeline/test_asking.py::test_clean_leaves_other_pipelines_alone",
        "tests/pipeline/test_asking.py::"
        "test_clean_removes_what_was_undone_and_keeps_what_is_declared",
    ],
}
"""Tests by the number of the defect."""


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    # Worker processes cannot import it by its name.
    cloudpickle.register_pickle_by_value(module)
    return module


toy = _load(Path(__file__).parent / "pipeline" / "toy.py", "mosaic_toy_of_defects")

Run = Callable[..., dict[str, Any]]
ALL = ["s1", "s2", "s3"]


def run(pipeline: Pipeline, dataset: Dataset, **options: Any) -> dict[str, Any]:
    return pipeline.run(dataset, **{"engine": "sequential", **options})


def state_of(pipeline: Pipeline, dataset: Dataset, step: str) -> dict[str, Any]:
    return pipeline.status(dataset).filter(step=step).row(0, named=True)


def applied(name: str, table: pl.DataFrame, **params: Any) -> pl.DataFrame:
    made = make_ready(get_feature(name)(params=params)).apply(table)
    return made.table if isinstance(made, FeatureTable) else made


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three recordings of four frames, X from 0, 10 and 20 on."""
    return toy.added(tmp_path / "workspace", {"s1": 0.0, "s2": 10.0, "s3": 20.0})


@pytest.fixture
def log(tmp_path: Path) -> Any:
    return toy.Log(tmp_path / "log.txt")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file that lists the recordings that fail."""
    return tmp_path / "broken.txt"


def layers(log: Any, scope: Scope | None = None, **params: dict[str, Any]) -> Pipeline:
    """shift -> mean (fitted on entries) -> scaled (fitted on mean's file)."""
    steps = [("shift", toy.Shift, []), ("mean", toy.ScopedMean, ["shift"])]
    pipeline = Pipeline(name="layers", scope=scope)
    for name, cls, inputs in [*steps, ("scaled", toy.Scaled, ["mean"])]:
        pipeline.add(FeatureStep(name, cls, {"log": str(log), **params.get(name, {})}, inputs))
    return pipeline


def test_tests_elsewhere_are_there() -> None:
    """Else a renamed test would leave a defect unwatched."""
    for where in (test for tests in ELSEWHERE.values() for test in tests):
        path, _, name = where.partition("::")
        functions = ast.walk(ast.parse((ROOT / path).read_text()))
        assert name in {f.name for f in functions if isinstance(f, ast.FunctionDef)}, where
    here = {int(n) for n in re.findall(r"\ndef test_(\d\d)_", Path(__file__).read_text())}
    assert here | set(ELSEWHERE) == set(range(1, 30))


# Identity, staleness, failure.


def test_01_status_plan_and_run_agree_about_a_fit_that_depends_on_its_scope(
    dataset: Dataset, log: Any
) -> None:
    """Status would call a step missing for ever, and every run would compute it again."""
    pipeline = layers(log, Scope(sequences=["s1", "s3"]))
    run(pipeline, dataset)
    log.take()
    assert set(pipeline.status(dataset)["state"]) == {"fresh"}
    assert pipeline.plan(dataset)["n_to_compute"].sum() == 0
    run(pipeline, dataset)
    assert log.take() == []


def test_02_a_failed_entry_fails_the_run_and_blocks_what_is_below(
    dataset: Dataset, log: Any, broken: Path
) -> None:
    """A recording would be missing from every result, and nobody would be told."""
    pipeline = layers(log, shift={"broken": str(broken)})
    broken.write_text("s2")
    with pytest.raises(RunFailedError, match="s2") as caught:
        run(pipeline, dataset)
    failures = {
        (r["step"], r["entry"], r["state"]) for r in caught.value.report.failures().to_dicts()
    }
    assert ("shift", "g/s2", "failed") in failures
    assert {("mean", "g/s2", "blocked"), ("scaled", "g/s2", "blocked")} <= failures
    assert state_of(pipeline, dataset, "shift")["state"] == "partial"
    runs = dataset.registry.list_runs("toy-shift")
    assert runs["status"].to_list() == ["failed"]


def test_03_a_truncated_file_and_a_file_of_another_scope_do_not_count(
    dataset: Dataset, log: Any
) -> None:
    """Half a table would be taken for a result, or one recording for all of them."""
    run(layers(log, Scope(sequences=["s1"])), dataset)
    pipeline = layers(log)
    assert state_of(pipeline, dataset, "shift")["n_fresh"] == 1
    run(pipeline, dataset)
    log.take()
    (head,) = [h for h in dataset.registry.heads("layers") if (h.step, h.key) == ("shift", "g/s2")]
    path = dataset.objects.path(head.output_sha256, "parquet")
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-100])
    assert state_of(pipeline, dataset, "shift")["n_fresh"] == 2
    run(pipeline, dataset)
    assert log.take() == ["toy-shift:s2"]
    assert path.read_bytes() == content


def test_04_a_fit_that_stopped_half_way_is_not_a_fit(dataset: Dataset, log: Any) -> None:
    """An unfinished model would be used from then on."""
    stopped = []

    class Stops(toy.Mean):
        def save_state(self, folder: Path) -> None:
            super().save_state(folder)
            if not stopped:
                stopped.append(folder)
                raise KeyboardInterrupt

    pipeline = Pipeline(name="p").add(FeatureStep("mean", Stops, {"source": "X", "log": str(log)}))
    with pytest.raises(KeyboardInterrupt):
        run(pipeline, dataset)
    assert state_of(pipeline, dataset, "mean")["model"] == "missing"
    assert not stopped[0].exists()
    log.take()
    run(pipeline, dataset)
    assert "toy-mean:fit:s1+s2+s3" in log.take()


def test_05_forcing_a_step_fits_it_again(dataset: Dataset, log: Any) -> None:
    """Tables would be made anew with the old model."""
    pipeline = layers(log)
    run(pipeline, dataset)
    log.take()
    run(pipeline, dataset, force_from="mean")
    taken = log.take()
    assert {"toy-scoped-mean:fit:s1+s2+s3", "toy-scaled:fit:templates"} <= set(taken)
    assert not [line for line in taken if "shift" in line]


def test_06_references_in_parameters_are_edges(dataset: Dataset, log: Any) -> None:
    """A model would be applied to other templates than it was fitted on."""
    pipeline = layers(log)
    assert pipeline.dag()["scaled"] == ["mean"]
    alone = Pipeline(name="p").add(FeatureStep("mean", toy.Mean, {"source": "X"}))
    alone.add(FeatureStep("scaled", toy.Scaled, {"source": "X"}))
    assert set(alone.dag()["scaled"]) == {"mean", "tracks"}
    run(pipeline, dataset)
    log.take()
    changed = layers(log, mean={"decimals": 0})
    assert state_of(changed, dataset, "scaled")["state"] == "stale"
    run(changed, dataset)
    assert "toy-scaled:fit:templates" in log.take()


def test_07_what_a_result_was_made_from_is_recorded_with_it(dataset: Dataset, log: Any) -> None:
    """Nobody could tell which recordings and models are in a number."""
    results = run(layers(log), dataset)
    lineage = dataset.registry.lineage("toy-scaled", results["scaled"].run_id)
    (mean,) = lineage["upstream"]
    assert mean["run_id"] == results["mean"].run_id
    assert results["shift"].run_id in [up["run_id"] for up in mean["upstream"]]
    heads = [h for h in dataset.registry.heads("layers") if h.step == "scaled"]
    made_of = dataset.registry.dependencies_of(h.action_key for h in heads)
    assert len(made_of) == len(heads)
    assert all(len(inputs) for inputs in made_of.values())


def test_08_every_attempt_is_recorded_by_itself(dataset: Dataset, log: Any, broken: Path) -> None:
    """A run that failed would look finished because an earlier one was."""
    pipeline = layers(log, shift={"broken": str(broken)})
    broken.write_text("s2")
    for _ in range(2):
        with pytest.raises(RunFailedError):
            run(pipeline, dataset)
    failed = dataset.registry.list_runs("toy-shift").row(0, named=True)
    assert (failed["status"], failed["attempts"]) == ("failed", 2)
    broken.unlink()
    run(pipeline, dataset)
    good = dataset.registry.list_runs("toy-shift").row(0, named=True)
    assert (good["status"], good["attempts"]) == ("finished", 3)
    assert good["finished_at"] > failed["finished_at"]


def test_09_progress_is_only_ever_added(dataset: Dataset) -> None:
    """Every phase would replace the one before, and the second class the first."""
    progress = DatabaseProgress(dataset, "training")
    progress.on_phase("load")
    for index, name in enumerate(("rest", "walk")):
        progress.on_class_start(index, 2, name)
        progress.on_epoch_end(0, 1, {"loss": 1.0 - index})
    progress.on_phase("done")
    rows = read_progress(dataset, "training")
    assert rows["seq"].to_list() == list(range(6))
    assert rows.filter(step_type="epoch").height == 2
    assert rows["step_type"].to_list() == ["phase", "class", "epoch", "class", "epoch", "phase"]


def test_10_values_are_hashed_by_value_or_refused(dataset: Dataset) -> None:
    """Two runs with different parameters would share a result."""
    with pytest.raises(HashingError):
        digest({"weights": object()})
    assert digest({"p": Path("a")}) == digest({"p": "a"}) != digest({"p": Path("b")})
    assert digest(30) == digest(30.0)

    class Loose(Params):
        model: Result | None = None

    class Borrowing(toy.Shift):
        Params = Loose

    latest = FeatureStep("a", Borrowing, Loose(model=Result(feature="toy-mean")))
    with pytest.raises(PipelineDefinitionError, match="model of step 'a' is a"):
        Pipeline(name="p").add(latest)


def test_11_other_content_under_the_same_name_is_noticed(dataset: Dataset, log: Any) -> None:
    """Corrected tracks or labels would be ignored, and old results served."""
    key = EntryKey("g", "s2")
    names = {0: "rest", 1: "walk"}
    dataset.add_labels(key, Labels.per_frame([0, 0, 1, 1], names, id1=0))
    pipeline = layers(log)
    pipeline.add(FeatureStep("classes", toy.Labelled, {"log": str(log)}))
    run(pipeline, dataset)
    log.take()
    dataset.add_tracks(key, toy.tracks(10.0), overwrite=True)
    run(pipeline, dataset)
    assert log.take() == []
    dataset.add_labels(key, Labels.per_frame([1, 0, 1, 1], names, id1=0), overwrite=True)
    run(pipeline, dataset)
    assert log.take() == ["toy-labelled:s2"]
    dataset.add_tracks(key, toy.tracks(11.0), overwrite=True)
    run(pipeline, dataset)
    assert {"toy-shift:s2", "toy-scoped-mean:fit:s1+s2+s3"} <= set(log.take())


def test_12_neighbours_are_context_and_never_content(tmp_path: Path) -> None:
    """Frames of other recordings would appear in a result, twice under one number.

    X is 0 to 7 in two pieces of one recording: means over three frames run on across the seam.
    """
    dataset = Dataset.create(tmp_path / "w", "pieces", fps=10.0, unit="mm", continuous=True)
    for name, start, late in (("a", 0, 0.0), ("b", 4, 0.0), ("c", 50, 60.0)):
        tracks = toy.tracks(float(start)).with_columns(time=(pl.col("frame") + start) / 10 + late)
        dataset.add_tracks(EntryKey("g", name), tracks)
    params = {"method": "rolling", "window": 3, "statistic": "mean", "min_periods": 1}
    options = {"overlap_frames": 1}
    pipeline = Pipeline(name="p")
    pipeline.add(FeatureStep("smooth", "movement-smooth", params, run_kwargs=options))
    made = run(pipeline, dataset)["smooth"]
    assert made.table("g/a")["X"].to_list() == [0.5, 1.0, 2.0, 3.0]
    assert made.table("g/b")["X"].to_list() == [4.0, 5.0, 6.0, 6.5]
    assert made.table("g/c")["X"].to_list() == [50.5, 51.0, 52.0, 52.5]
    assert made.table("g/b")["frame"].to_list() == [0, 1, 2, 3]
    plain = Pipeline(name="p").add(FeatureStep("smooth", "movement-smooth", params))
    assert state_of(plain, dataset, "smooth")["n_fresh"] == 0


# What features compute.


def test_13_a_missing_animal_is_nobodys_neighbour() -> None:
    """One lost animal would become the nearest neighbour of all, at a distance of NaN."""
    tracks = toy_tracks(n_frames=3, n_ids=3).with_columns(
        X=pl.when((pl.col("id") == 1) & (pl.col("frame") == 1)).then(np.nan).otherwise("X"),
        ANGLE=pl.lit(0.0),
    )
    nearest = applied("nearest-neighbor", tracks).filter(frame=1)
    assert nearest["nn_id"].to_list() == [2, None, 0]
    assert nearest["nn_dist"].to_list()[::2] == [200.0, 200.0]
    order = applied("local-order-metrics", tracks, radius=250.0).filter(frame=1)
    assert order["n_local_neighbors"].to_list() == [1, -1, 1]
    assert order["local_polarization"].to_list()[::2] == [1.0, 1.0]


def test_14_an_empty_upstream_table_makes_the_entry_empty(dataset: Dataset, log: Any) -> None:
    """The step would silently be computed from its other inputs alone."""

    class Nothing(toy.Shift):
        name = "toy-nothing"

        def apply(self, table: pl.DataFrame) -> Any:
            made = super().apply(table).table
            return made.clear() if table["sequence"][0] == "s2" else made

    pipeline = Pipeline(name="p")
    pipeline.add(FeatureStep("shift", toy.Shift))
    pipeline.add(FeatureStep("nothing", Nothing))
    both = FeatureStep("both", toy.Shift, {"source": "x__1", "log": str(log)}, ["shift", "nothing"])
    results = run(pipeline.add(both), dataset)
    assert results["both"].counts == {"fresh": 2, "empty": 1}
    assert results["both"].table("g/s2").height == 0
    assert state_of(pipeline, dataset, "both")["state"] == "fresh"
    units = DatasetRun(dataset, [pipeline]).evaluations["p"].units("both")
    assert str(units["g/s2"].state) == "empty"


def _moving_pair(n_frames: int = 12) -> pl.DataFrame:
    """Two animals of seven keypoints whose distance changes."""
    tracks = toy_tracks(n_frames=n_frames, n_ids=2, n_keypoints=7)
    nearer = pl.col("id") * pl.col("frame") ** 2
    columns = ["Y", *(f"poseY{k}" for k in range(7))]
    return tracks.with_columns(*(pl.col(c) - nearer for c in columns), ANGLE=pl.lit(0.5))


def test_15_both_perspectives_of_a_pair_join_with_themselves() -> None:
    """The posture of one perspective would be paired with the motion of the other."""
    tracks = _moving_pair()
    cls = get_feature("pair-posedistance-pca")
    pca = make_ready(cls(params={"n_components": 2}), toy_stream({EntryKey("t", "w"): tracks}))
    posture = pca.apply(tracks).table
    ego = applied("pair-egocentric", tracks)
    position = applied("pair-position", tracks)
    keys = {(0, 1, 0): 12, (1, 0, 1): 12}
    for table in (posture, ego, position):
        counted = table.group_by("id1", "id2", "perspective").len()
        assert {row[:3]: row[3] for row in counted.rows()} == keys
    joined = join_inputs([posture, ego, position], ["posture", "ego", "position"])
    assert joined.height == 24
    assert joined.group_by("frame", "id1", "id2").len()["len"].max() == 1


def test_16_predictions_keep_whom_they_are_about(tmp_path: Path) -> None:
    """Rows of different pairs could not be told apart, and joining maps would multiply them."""
    pairs = applied("pair-position", _moving_pair())
    values = pairs.select(feature_columns(pairs))
    path = tmp_path / "templates.parquet"
    labels = (pl.int_range(pl.len()) % 2).alias("label")
    values.with_columns(labels, split=pl.lit("train")).write_parquet(path)
    reference = StepRef("tmpl", "templates.parquet")
    params = {"templates": reference, "default_class": 0, "estimator": "logistic_regression"}
    predicted = make_ready(get_feature("classifier")(params=params), {"templates": path})
    clusters = make_ready(
        get_feature("global-kmeans")(params={"templates": reference, "k": 2}), {"templates": path}
    )
    tables = [predicted.apply(pairs), clusters.apply(pairs)]
    keys = ["frame", "id1", "id2", "perspective"]
    for table in tables:
        assert table.select(keys).equals(pairs.select(keys))
    assert join_inputs(tables, ["predicted", "clusters"]).height == pairs.height


def test_17_labels_of_one_animal_count_and_no_label_is_no_class() -> None:
    """All labels of single animals would be lost, and unlabelled rows be trained as class 0."""
    tracks = toy_tracks(n_frames=3)
    labels = Labels.from_spans([(0, 2, 1, -1, 4), (2, 3, 0, 1, 5)], {4: "groom", 5: "chase"})
    rows = align_labels(tracks, labels).labels
    assert rows.to_list() == [None, 4, None, 4, None, None]
    pairs = applied("pair-position", tracks.with_columns(ANGLE=pl.lit(0.0)))
    found = pairs.select("frame", "id1", align_labels(pairs, labels).labels).rows()
    assert found == [(0, 0, None), (0, 1, 4), (1, 0, None), (1, 1, 4), (2, 0, 5), (2, 1, 5)]


def test_18_long_holes_stay_holes_and_gaps_are_no_neighbours() -> None:
    """An animal that was lost would stand still at its median, and jump at 2.5 times its speed."""
    tracks = toy_tracks(n_frames=60).with_columns(ANGLE=pl.lit(0.0))
    hole = (pl.col("id") == 1) & pl.col("frame").is_between(10, 49)
    holed = tracks.with_columns(X=pl.when(hole).then(np.nan).otherwise("X"))
    limits = {"interpolation": {"linear_interp_limit": 5, "edge_fill_limit": 2}}
    made = applied("pair-position", holed, **limits)
    assert made["frame"].unique().sort().to_list() == [*range(10), *range(50, 60)]
    gapped = tracks.filter(~pl.col("frame").is_between(20, 22))
    speed = applied("pair-position", gapped)["A_speed"]
    np.testing.assert_allclose(speed, 50.0, rtol=1e-5)
    turning = tracks.with_columns(ANGLE=pl.when(pl.col("frame") % 2 == 0).then(3.1).otherwise(-3.1))
    smooth = applied("pair-position", turning, sampling={"smooth_win": 3})
    assert (smooth["A_heading_cos"] < -0.99).all()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("pair-position", {"sampling": {"smooth_win": 4}}),
        ("trajectory-smooth", {"savgol_window": 4}),
        ("trajectory-smooth", {"savgol_window": 3, "savgol_polyorder": 3}),
        ("ffgroups", {"window_size": 4}),
    ],
)
def test_19_impossible_windows_are_refused_at_once(name: str, params: dict[str, Any]) -> None:
    """A run would die hours later, at the first recording."""
    with pytest.raises(ParamsError):
        Pipeline(name="p").add(FeatureStep("step", name, params))


def test_19_short_and_lonely_recordings_have_results(tmp_path: Path) -> None:
    """One recording of one animal, shorter than every window, would end the run."""
    dataset = Dataset.create(tmp_path / "w", "short", fps=10.0, unit="px")
    lonely = toy_tracks(n_frames=3, n_ids=1, n_keypoints=7).with_columns(ANGLE=pl.lit(0.0))
    dataset.add_tracks(EntryKey("toy", "walk"), lonely.drop("group", "sequence"))
    pipeline = Pipeline(name="p")
    for name, params in {
        "speed-angvel": {"smooth_window": 9},
        "trajectory-smooth": {"savgol_window": 9},
        "movement-smooth": {"window": 9},
        "pair-position": {"sampling": {"smooth_win": 9}},
        "pair-egocentric": {},
        "approach-avoidance": {"smooth_window_sec": 5.0},
        "pair-facing": {},
        "orientation-rel": {},
        "pair-interaction-filter": {},
    }.items():
        pipeline.add(FeatureStep(name.replace("-", "_"), name, params))
    results = run(pipeline, dataset)
    for step in ("pair_position", "pair_egocentric", "pair_facing", "orientation_rel"):
        table = results[step].table("toy/walk")
        assert table.height == 0
        assert {"frame", "id1", "id2", "group", "sequence"} < set(table.columns)
    assert (
        results["speed_angvel"].table("toy/walk")["speed_smooth"].drop_nans().to_list()
        == [50.0] * 2
    )


def test_20_keypoint_ten_comes_after_keypoint_two() -> None:
    """Bodies of more than ten keypoints would be drawn with the wrong parts joined.

    Twelve points one apart on a line: 11 units long; as text, 10 and 11 stand before 2.
    """
    tracks = toy_tracks(n_frames=1, n_ids=1, n_keypoints=12)
    turned = tracks.select(*sorted(tracks.columns, reverse=True))
    for table in (tracks, turned):
        body = applied("posture", table)
        assert body["body_length"].to_list() == [11.0]
        assert body["length_9"].to_list() == [1.0]
    assert feature_columns({"f10": pl.Float64(), "f2": pl.Float64()}) == ["f2", "f10"]


def test_21_individuals_are_kept_apart() -> None:
    """Windows over rows would mix one animal with the next one in the file."""
    tracks = toy_tracks(n_frames=8)
    values = tracks.select("frame", "time", "id", v=pl.col("id") * 100.0, fps="fps")
    stacked = applied("temporal-stack", values, half=2, skip=1, sigma_stack=1.0)
    for name in feature_columns(stacked):
        np.testing.assert_allclose(stacked[name], values["v"])
    kept = applied("track-subsample", tracks, method="uniform", target_frames=4)
    assert kept["frame"].to_list() == [0, 0, 2, 2, 4, 4, 6, 6]
    alone = tracks.with_columns(speed=pl.lit(5.0), event=pl.lit(-1), group_size=pl.lit(1))
    summary = applied("ffgroups-metrics", alone)
    assert summary["distance_from_centroid"].is_nan().all()
    assert summary["fractime_norm2"].to_list() == [1.0, 1.0]


# Names, upkeep, throughput.


def test_22_names_are_told_apart_and_selections_checked(dataset: Dataset, log: Any) -> None:
    """Two recordings would overwrite each other; a typing mistake would select everything."""
    assert str(EntryKey("a", "b__c")) != str(EntryKey("a__b", "c"))
    for key in (
        EntryKey("a", "b__c"),
        EntryKey("a__b", "c"),
        EntryKey("", "a/b c"),
        EntryKey("é", "."),
    ):
        assert EntryKey.parse(str(key)) == key
    for empty in ({"groups": []}, {"sequences": []}, {"entries": []}):
        with pytest.raises(ScopeError):
            Scope(**empty)
    with pytest.raises(ScopeError, match=r"s44[\s\S]*s"):
        layers(log, Scope(sequences=["s44"])).status(dataset)


def test_23_clean_spares_what_others_use_and_asks_first(dataset: Dataset, log: Any) -> None:
    """Tidying up one pipeline would delete the results of another."""
    step = FeatureStep("shift", toy.Shift, {"log": str(log)})
    mine, other = Pipeline(name="mine").add(step), Pipeline(name="other").add(step)
    run(mine, dataset)
    run(other, dataset)
    changed = Pipeline(name="mine").add(FeatureStep("shift", toy.Shift, {"by": 5.0}))
    run(changed, dataset)
    log.take()
    before = len(dataset.registry.stored_results())
    assert "would remove" not in changed.clean(dataset)["status"].to_list()
    changed.clean(dataset, dry_run=False)
    assert len(dataset.registry.stored_results()) == before
    run(other, dataset)
    assert log.take() == []


def test_24_no_garbage_collection_per_entry(
    dataset: Dataset, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small recordings would take ten times as long."""
    calls = []
    monkeypatch.setattr(gc, "collect", lambda *_: calls.append(1) or 0)
    run(layers(log), dataset)
    assert calls == []


def test_25_the_registry_is_written_by_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of a run would grow with the square of its recordings."""
    counts = []
    for n in (3, 30):
        name = f"w{n}"
        dataset = toy.added(tmp_path / name, {f"s{i}": float(i) for i in range(n)})
        seen: list[int] = []
        plain = type(dataset.registry).commit

        def counted(self: Any, outcomes: Any, seen: list[int] = seen, plain: Any = plain) -> None:
            seen.append(len(outcomes))
            plain(self, outcomes)

        with monkeypatch.context() as patch:
            patch.setattr(type(dataset.registry), "commit", counted)
            run(Pipeline(name="p").add(FeatureStep("shift", toy.Shift)), dataset)
        assert sum(seen) >= n
        counts.append(len(seen))
    assert counts[1] <= counts[0] + 2


@pytest.mark.parametrize(
    "condition",
    ["__import__('os').system('true')", "X.__class__", "open('/etc/passwd')", "(lambda: 1)()"],
)
def test_26_conditions_are_never_run(condition: str) -> None:
    """A pipeline from a colleague could run any program."""
    with pytest.raises(ParamsError):
        get_feature("frame-aggregate")(params={"column": "X", "filter_expr": condition})


def test_26_pickles_are_not_opened(tmp_path: Path) -> None:
    """So could a recording."""

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "run",))

    path = tmp_path / "walk.npy"
    np.save(path, np.array({"trajectories": Evil()}, dtype=object), allow_pickle=True)
    for allowed in ({}, {"allow_pickle": True}):
        with pytest.raises(ReaderError):
            read_tracks(path, format="idtrackerai", **allowed)
    np.savez(tmp_path / "fish_fish0.npz", X=np.array([Evil()], dtype=object))
    with pytest.raises(ReaderError):
        read_tracks(tmp_path / "fish_fish0.npz", format="trex_npz")
    assert not (tmp_path / "run").exists()


def test_27_a_callback_runs_when_its_inputs_change(dataset: Dataset, log: Any) -> None:
    """Reports would be written again and again, and nothing would know what they show."""

    def pipeline(by: float = 1.0, always: bool = False) -> Pipeline:
        def report(dataset: Dataset, results: Any) -> StepOutput:
            log.add("report")
            rows = sum(table.height for _, table in results["shift"].tables())
            return StepOutput([(f"{rows} rows", "rows", "txt")])

        built = Pipeline(name="p").add(FeatureStep("shift", toy.Shift, {"by": by}))
        return built.add(CallbackStep("tally", report, ["shift"], always=always))

    for built, calls in (
        (pipeline(), 1),
        (pipeline(), 0),
        (pipeline(by=2.0), 1),
        (pipeline(by=2.0, always=True), 1),
        (pipeline(by=2.0, always=True), 1),
    ):
        run(built, dataset)
        assert len(log.take()) == calls
    assert (dataset.exports / "toy_p" / "rows.txt").read_text() == "12 rows"
    (head,) = [h for h in dataset.registry.heads("p") if h.step == "tally"]
    assert dataset.registry.dependencies_of([head.action_key])[head.action_key]


@pytest.mark.slow
def test_28_workers_know_the_dataset(tmp_path: Path) -> None:
    """In other processes frame rates, labels and tags would be those of no dataset."""
    digests = []
    for engine in ("sequential", "loky"):
        dataset = toy.added(tmp_path / engine, {f"s{i}": float(i) for i in range(4)})
        labels = Labels.per_frame([0, 1, 1, 0], {0: "rest", 1: "walk"}, id1=0)
        dataset.add_labels(EntryKey("g", "s1"), labels)
        pipeline = Pipeline(name="p").add(FeatureStep("classes", toy.Labelled))
        pipeline.add(FeatureStep("pauses", toy.Shift, {"pause": 0.4}))
        pipeline.add(FeatureStep("speed", "speed-angvel"))
        pipeline.run(dataset, engine=engine, workers=2)
        heads = dataset.registry.heads("p")
        digests.append({(h.step, h.key): h.output_sha256 for h in heads})
    assert digests[0] == digests[1]
    assert len(digests[0]) == 12


@pytest.mark.slow
def test_29_everything_is_imported_with_the_base_packages() -> None:
    """Without packages that few people need, nothing would work for anybody."""
    script = f"""
import sys
for name in ("h5py", "openTSNE", "umap", "movement", "cv2", "dask", "distributed", "numba"):
    sys.modules[name] = None
import mosaic_dagster, mosaic_dagster.models
from mosaic_dagster.dataset.readers import READERS
from mosaic_dagster.features import get_feature, list_features
assert [get_feature(name).name for name in list_features()] == {list_features()!r}
assert len(READERS) > 10
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
