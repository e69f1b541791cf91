"""What people ask of a pipeline: status, plan, load, clean, why, one feature alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mosaic_dagster import EntryKey, FeatureStep, Pipeline
from mosaic_dagster.errors import EntryNotFoundError, RunFailedError, ScopeError, UnknownStepError
from mosaic_dagster.features import Result, StepRef
from mosaic_dagster.pipeline import DatasetRun, run_feature
from mosaic_dagster.pipeline.clean import clean_table
from mosaic_dagster.pipeline.plan import PLAN_SCHEMA, STATUS_SCHEMA
from mosaic_dagster.pipeline.status import step_state
from mosaic_dagster.pipeline.why import explain
from mosaic_dagster.store.gc import collect

NOW = timedelta(0)


def test_status_counts_and_names_what_is_the_matter(added, layered, run):
    table = layered().status(added)
    assert dict(table.schema) == STATUS_SCHEMA
    assert table["step"].to_list() == ["tracks", "shift", "mean", "scaled", "side"]
    assert table["kind"].to_list() == ["tracks", "per entry", "fitted", "fitted", "per entry"]
    assert table["state"].to_list() == ["fresh", *["missing"] * 4]
    run(layered(), added)
    row = layered(mean={"decimals": 2}).status(added).filter(step="mean").row(0, named=True)
    assert (row["state"], row["model"], row["n_stale"], row["n_target"]) == ("stale", "stale", 3, 3)
    assert row["reason"] == "upstream: mean's fit (3), params (1)"
    assert row["modified"] is not None
    fresh = layered().status(added).filter(step="side").row(0, named=True)
    assert (fresh["state"], fresh["n_fresh"], fresh["bytes"] > 0) == ("fresh", 3, True)


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (["fresh", "empty"], "fresh"), (["empty"], "empty"), (["fresh", "missing"], "partial"),
        (["missing"], "missing"), (["fresh", "stale"], "stale"), (["stale", "missing"], "stale"),
        (["failed", "fresh"], "partial"), (["failed", "blocked"], "failed"),
        (["blocked", "stale"], "partial"), ([], "missing"),
    ],
)  # fmt: skip
def test_a_step_is_called_after_its_entries(states, word):
    assert step_state(states) == word


@pytest.mark.slow
def test_a_plan_tells_what_a_run_would_do(added, layered, run, log):
    plan = layered().plan(added)
    assert dict(plan.schema) == PLAN_SCHEMA
    assert plan["n_to_compute"].to_list() == [0, 3, 3, 3, 3]
    assert plan["fit"].to_list() == [False, False, True, True, False]
    assert plan["estimated_seconds"].to_list() == [None] * 5
    run(layered(), added)
    assert layered().plan(added)["n_to_compute"].sum() == 0
    log.take()
    changed = layered(shift={"by": 2.0})
    plan = changed.plan(added)
    assert plan["upper_bound"].to_list() == [False, False, True, True, False]
    assert plan["n_to_compute"].to_list() == [0, 3, 3, 3, 0]
    assert plan["estimated_seconds"].item(1) > 0
    run(changed, added)
    taken = log.take()
    assert [sum(f"toy-{f}:s" in line for line in taken) for f in ("shift", "mean")] == [3, 3]


def test_results_are_read_when_asked_for(added, layered, run, log):
    run(layered(), added)
    log.take()
    results = layered().load(added)
    assert log.take() == []
    mean = results["mean"]
    assert isinstance(mean, Result)
    assert (mean.feature, mean.counts) == ("toy-mean", {"fresh": 3})
    assert mean.keys() == [EntryKey("g", f"s{i}") for i in (1, 2, 3)]
    assert mean.table("g/s1").equals(mean.table(EntryKey("g", "s1")))
    assert {key.sequence: table.height for key, table in mean.tables()} == dict.fromkeys(
        ("s1", "s2", "s3"), 4
    )
    assert mean.artifact("mean.json").read_text() == "12.5"
    assert sorted(mean.artifacts()) == ["mean.json", "model"]
    assert results["shift"].artifacts() == {}


def test_a_result_that_is_not_there_is_an_error_that_says_what_to_do(added, layered, run):
    results = layered().load(added)
    with pytest.raises(EntryNotFoundError, match="'g/s1' of step 'mean' is missing"):
        results["mean"].table("g/s1")
    run(layered(), added)
    results = layered().load(added)
    with pytest.raises(EntryNotFoundError, match=r"no entry 'g/s11'.*'g/s1'\?"):
        results["mean"].table("g/s11")
    with pytest.raises(EntryNotFoundError, match=r"no file 'means'.*mean.json, model"):
        results["mean"].artifact("means")


@pytest.mark.slow
def test_clean_removes_what_was_undone_and_keeps_what_is_declared(added, layered, run, log):
    """shift, mean (and its fit), scaled (and its fit) were made with by=1 and with by=2."""
    run(layered(), added)
    run(layered(shift={"by": 2.0}), added)
    log.take()
    pipeline = layered(shift={"by": 2.0})
    planned = pipeline.clean(added)
    gone = planned.filter(status="would remove")
    assert gone["n_results"].sum() == 3 + 1 + 3 + 1 + 3
    assert set(planned["status"]) == {"current", "would remove"}
    assert added.registry.stored_results() != []
    assert pipeline.clean(added, dry_run=False).filter(status="removed")["n_results"].sum() == 11
    assert set(pipeline.clean(added)["status"]) == {"current"}
    objects = added.objects.stats().objects
    removed = collect(added.registry.database, added.objects, grace=NOW, dry_run=False)
    assert len(removed.removed) > 0
    assert added.objects.stats().objects == objects - len(removed.removed)
    run(pipeline, added)
    assert log.take() == []  # everything declared is still there
    run(layered(), added)
    assert "toy-shift:s1" in log.take()


def test_clean_leaves_other_pipelines_alone(added, toy, run, log):
    mine = Pipeline(name="mine").add(FeatureStep("a", toy.Shift, {"by": 1.0, "log": str(log)}))
    other = Pipeline(name="other").add(FeatureStep("a", toy.Shift, {"by": 2.0, "log": str(log)}))
    run(mine, added)
    run(other, added)
    log.take()
    mine.clean(added, dry_run=False)
    run(other, added)
    assert log.take() == []
    clean_table(added, [mine], dry_run=False, all_declared=True)
    run(other, added)
    assert len(log.take()) == 3


def test_clean_forgets_a_step_that_is_no_longer_declared(added, toy, run):
    shift = FeatureStep("shift", toy.Shift)
    run(Pipeline(name="p").add(shift).add(FeatureStep("whole", toy.Whole)), added)
    pipeline = Pipeline(name="p").add(shift)
    table = pipeline.clean(added, dry_run=False)
    assert table.filter(status="removed")["feature"].to_list() == ["toy-whole"]
    assert {head.step for head in added.registry.heads("p")} == {"shift"}


@pytest.mark.slow
def test_clean_keeps_results_that_are_only_out_of_date(files, toy, layered, run, log):
    """The file may be put back; until something else is made, the old results are the last."""
    dataset, folder = files
    run(layered(), dataset)
    log.take()
    toy.write_csv(folder / "s2.csv", 99.0)
    layered().clean(dataset, dry_run=False)
    toy.write_csv(folder / "s2.csv", 10.0)
    run(layered(), dataset)
    assert log.take() == []


# Why.


def test_why_names_the_inputs_that_changed_and_where_they_come_from(files, layered, run, toy):
    dataset, folder = files
    run(layered(), dataset)
    before = DatasetRun(dataset, [layered()]).tracks.statuses["g/s2"].inputs[0].sha256
    toy.write_csv(folder / "s2.csv", 99.0)
    looked = DatasetRun(dataset, [layered()])
    now = looked.tracks.statuses["g/s2"].inputs[0].sha256
    told = explain(looked, "layered", "tracks", "g/s2")
    assert (told.state, told.reason) == ("stale", "source changed")
    assert told.changes == [("source:0", before, now)]
    assert told.sources == [str(folder / "s2.csv")]
    told = explain(looked, "layered", "scaled", "g/s2")
    assert (told.state, told.reason) == ("stale", "upstream: mean")
    assert [(up.step, up.entry) for up in told.upstream] == [
        ("mean", ""), ("mean", "g/s2"), ("scaled", ""),
    ]  # fmt: skip
    fit = told.upstream[0]
    assert [(up.step, up.entry) for up in fit.upstream] == [("shift", "g/s2")]
    assert fit.upstream[0].upstream[0].step == "tracks"


def test_why_compares_with_what_was_made_last(added, layered, run, toy):
    run(layered(), added)
    made = layered().load(added)["mean"]
    added.add_tracks(EntryKey("g", "s1"), toy.tracks(4.0), overwrite=True)
    run(layered(), added, dry_run=True)
    told = explain(DatasetRun(added, [layered()]), "layered", "shift", "g/s1")
    assert told.reason == "input: tracks"
    assert [role for role, _, _ in told.changes] == ["input:0"]
    assert told.made_by == layered().load(added)["shift"].run_id
    plain = told.to_dict()
    assert plain["changes"][0]["input"] == "input:0"
    assert plain["changes"][0]["then"] != plain["changes"][0]["now"]
    assert plain["upstream"][0]["step"] == "tracks"
    assert made.run_id == layered().load(added)["mean"].run_id


def test_why_tells_the_error(added, layered, run, tmp_path):
    broken = tmp_path / "broken.txt"
    broken.write_text("s1")
    pipeline = layered(shift={"broken": str(broken)})
    with pytest.raises(RunFailedError):
        run(pipeline, added)
    looked = DatasetRun(added, [pipeline])
    told = explain(looked, "layered", "shift", "g/s1")
    assert (told.state, told.error) == ("failed", "ArithmeticError: cannot do s1")
    blocked = explain(looked, "layered", "mean", "g/s1")
    assert (blocked.state, blocked.reason) == ("blocked", "shift failed")
    assert blocked.upstream[0].error == told.error


def test_why_of_what_is_not_there_is_an_error(added, layered):
    looked = DatasetRun(added, [layered()])
    with pytest.raises(UnknownStepError, match="no step 'shfit'"):
        explain(looked, "layered", "shfit", "g/s1")
    with pytest.raises(ScopeError, match="no entry 'g/s9'"):
        explain(looked, "layered", "shift", "g/s9")
    with pytest.raises(ScopeError, match="no entry 'g/s9'"):
        explain(looked, "layered", "tracks", "g/s9")


# One feature alone.


def test_one_feature_can_be_run_without_a_pipeline(added, toy, log, layered, run):
    run(layered(), added)
    log.take()
    result = run_feature(added, toy.Shift, {"log": str(log)})
    assert log.take() == []  # the pipeline made it
    assert result.table("g/s1")["x"].to_list() == [1.0, 2.0, 3.0, 4.0]
    after = FeatureStep("mean", toy.Mean, {"source": "X"})
    result = run_feature(
        added, toy.Scaled, {"templates": StepRef("mean", "mean.json")}, after=[after],
        inputs=["mean"], name="here",
    )  # fmt: skip
    assert result.table("g/s1")["x"].item(0) == -11.5 * 2 * 11.5


def test_an_edge_of_the_graph_is_written_into_the_registry(added, layered, run):
    """``lineage`` of a run names the runs above it."""
    results = run(layered(), added)
    lineage = added.registry.lineage("toy-scaled", results["scaled"].run_id)
    assert [up["run_id"] for up in lineage["upstream"]] == [results["mean"].run_id]
    mean = lineage["upstream"][0]
    assert ("toy-shift", results["shift"].run_id) in [
        (up["feature"], up["run_id"]) for up in mean["upstream"]
    ]


def test_clean_forgets_a_recording_whose_file_is_gone(files, layered, run):
    """A recording deleted on purpose must not stay in every fit for ever."""
    dataset, folder = files
    pipeline = layered()
    run(pipeline, dataset)
    (gone,) = folder.rglob("s2.csv")
    gone.unlink()
    planned = clean_table(dataset, [pipeline], all_declared=True)
    (key,) = planned.filter(feature="recording", status="would remove")["run_id"]
    assert key.endswith("/s2")
    assert len(dataset.entries()) == 3
    clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    assert [entry.sequence for entry in dataset.entries()] == ["s1", "s3"]
    assert DatasetRun(dataset, [pipeline]).tracks.vanished == []
    run(pipeline, dataset)
    assert pipeline.status(dataset).filter(step="shift")["n_target"].to_list() == [2]
    assert (
        clean_table(dataset, [pipeline], all_declared=True).filter(feature="recording").is_empty()
    )


def test_how_individuals_are_joined_to_pairs_is_part_of_the_identity(toy, added):
    """Else the other animal's values would be taken from the cache."""
    keys = []
    for options in ({}, {"join_on": "id1"}, {"join_on": "id2"}):
        step = FeatureStep("shift", toy.Shift, {}, run_kwargs=options)
        run = DatasetRun(added, [Pipeline(name="joined").add(step)])
        keys.append(run.evaluations["joined"].entries("shift")["g/s1"].action_key)
    assert len(set(keys)) == 3
