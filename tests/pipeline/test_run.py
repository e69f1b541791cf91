"""What a run does with what goes wrong, and with less than everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mosaic_dagster
from mosaic_dagster import CallbackStep, Dataset, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.dataset import Scope
from mosaic_dagster.errors import (
    PipelineDefinitionError,
    PipelineError,
    RunFailedError,
    ScopeError,
    UnknownStepError,
)
from mosaic_dagster.features import StepRef
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.store import StepOutput

ROOT = Path(mosaic_dagster.__file__).parents[1]
ALL = ["s1", "s2", "s3"]


@pytest.fixture
def broken(tmp_path):
    """A file that lists the sequences that fail."""
    return tmp_path / "broken.txt"


def report_of(dataset, pipeline, run, **options):
    with pytest.raises(RunFailedError) as caught:
        run(pipeline, dataset, **options)
    return caught.value.report


def test_a_failing_entry_stops_nothing_but_what_is_below_it(
    added, layered, run, states, log, broken
):
    pipeline = layered(shift={"broken": str(broken)})
    broken.write_text("s2")
    report = report_of(added, pipeline, run)
    assert log.take() == sorted(
        ["toy-mean:fit:s1+s3", "toy-scaled:fit:templates", "toy-mean:s1", "toy-mean:s3"]
        + ["toy-scaled:s1", "toy-scaled:s3"]
        + [f"toy-{f}:{s}" for f in ("shift", "whole") for s in ALL]
    )
    failures = {(row["step"], row["entry"], row["state"]) for row in report.failures().to_dicts()}
    assert failures == {
        ("shift", "g/s2", "failed"), ("mean", "g/s2", "blocked"), ("scaled", "g/s2", "blocked"),
    }  # fmt: skip
    steps = {step.step: step for step in report}
    assert steps["shift"].failures == {"g/s2": "ArithmeticError: cannot do s2"}
    assert steps["mean"].blocked == {"g/s2": "shift failed"}
    assert steps["scaled"].blocked == {"g/s2": "shift failed"}
    assert steps["mean/model"].notes == ["1 entries were left out because they failed: g/s2"]
    assert (steps["shift"].made, steps["side"].made) == (2, 3)
    assert states(added, pipeline, "shift")["s2"] == "failed failed before"
    assert states(added, pipeline, "mean")["s2"] == "blocked shift failed"
    assert pipeline.status(added)["state"].to_list() == [
        "fresh", "partial", "partial", "partial", "fresh",
    ]  # fmt: skip


def test_what_failed_is_tried_again_by_the_next_run_and_fitted_in(
    added, layered, run, states, log, broken
):
    pipeline = layered(shift={"broken": str(broken)})
    broken.write_text("s2")
    report_of(added, pipeline, run)
    log.take()
    broken.unlink()
    run(pipeline, added)
    taken = log.take()
    assert "toy-mean:fit:s1+s2+s3" in taken
    assert [line for line in taken if "shift" in line] == ["toy-shift:s2"]
    assert set(states(added, pipeline, "scaled").values()) == {"fresh"}


def test_a_failure_that_lasts_is_told_by_every_run(added, layered, run, log, broken):
    pipeline = layered(shift={"broken": str(broken)})
    broken.write_text("s2")
    report_of(added, pipeline, run)
    log.take()
    report = report_of(added, pipeline, run)
    assert log.take() == ["toy-shift:s2"]
    assert report.made == 0


def test_a_complete_fit_waits_for_every_entry(added, run, states, toy, broken):
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("shift", toy.Shift, {"broken": str(broken)}))
        .add(FeatureStep("mean", toy.Mean, {}, ["shift"], {"require_complete": True}))
    )
    broken.write_text("s2")
    report = report_of(added, pipeline, run)
    steps = {step.step: step for step in report}
    assert steps["mean/model"].blocked == {"(fit)": "1 entries above it failed"}
    assert set(steps["mean"].blocked) == {"g/s1", "g/s2", "g/s3"}
    assert states(added, pipeline, "mean")[""].startswith("blocked")
    broken.unlink()
    run(pipeline, added)
    assert set(states(added, pipeline, "mean").values()) == {"fresh"}


def test_when_all_entries_fail_everything_below_is_blocked(added, layered, run, broken, log):
    pipeline = layered(shift={"broken": str(broken)})
    broken.write_text(" ".join(ALL))
    report = report_of(added, pipeline, run)
    steps = {step.step: step for step in report}
    assert len(steps["shift"].failures) == 3
    assert len(steps["scaled"].blocked) == 3
    assert "(fit)" in steps["mean/model"].blocked
    assert steps["side"].is_good
    assert pipeline.status(added)["state"].to_list() == [
        "fresh", "failed", "failed", "failed", "fresh",
    ]  # fmt: skip


def test_a_failing_fit_fails_alone_and_is_tried_again(added, layered, run, states, tmp_path, log):
    pipeline = layered(mean={"broken": str(tmp_path)})
    (tmp_path / "fit").touch()
    report = report_of(added, pipeline, run)
    steps = {step.step: step for step in report}
    assert steps["mean/model"].failures == {"(fit)": "ArithmeticError: cannot fit"}
    assert set(steps["mean"].blocked.values()) == {"mean's fit failed"}
    assert states(added, pipeline, "mean")[""] == "failed failed before"
    (tmp_path / "fit").unlink()
    run(pipeline, added)
    assert set(states(added, pipeline, "scaled").values()) == {"fresh"}


def test_a_fit_on_nothing_but_empty_recordings_says_so(files, run, toy):
    dataset, folder = files
    for sequence in ALL:
        toy.write_csv(folder / f"{sequence}.csv", 0.0, n_frames=0)
    pipeline = Pipeline(name="p").add(FeatureStep("mean", toy.Mean, {"source": "X"}))
    with pytest.raises(RunFailedError, match="toy-mean has no entry to fit on"):
        run(pipeline, dataset)


def test_a_feature_that_returns_no_table_says_so(added, run, toy):
    class Wrong(toy.Shift):
        def apply(self, table):
            return None

    with pytest.raises(RunFailedError, match="toy-shift returned a NoneType"):
        run(Pipeline(name="p").add(FeatureStep("a", Wrong)), added)


def test_a_state_that_would_come_back_incomplete_is_refused(added, run, toy):
    class Nested(toy.Mean):
        def save_state(self, folder):
            (folder / "sub").mkdir()

    class Nothing(toy.Mean):
        def save_state(self, folder):
            pass

    for feature, said in ((Nested, "saved the folder 'sub'"), (Nothing, "saved no file")):
        pipeline = Pipeline(name="p").add(FeatureStep("a", feature, {"source": "X"}))
        with pytest.raises(RunFailedError, match=said):
            run(pipeline, added)


def test_a_missing_column_is_named(added, run, toy):
    pipeline = Pipeline(name="p").add(FeatureStep("a", toy.Shift, {"source": "speed"}))
    with pytest.raises(RunFailedError, match=r"toy-shift needs the column\(s\) speed"):
        run(pipeline, added)


def test_a_file_that_a_fit_did_not_write_is_a_mistake_of_the_declaration(added, run, toy):
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("mean", toy.Mean, {"source": "X"}))
        .add(FeatureStep("scaled", toy.Scaled, {"templates": StepRef("mean", "means.json")}))
    )
    with pytest.raises(
        PipelineDefinitionError, match=r"'means\.json', which matches no file"
    ) as no:
        run(pipeline, added)
    assert "mean.json, model" in no.value.remedy


def test_a_pattern_finds_the_one_file_that_it_matches(added, run, toy):
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("mean", toy.Mean, {"source": "X"}))
        .add(
            FeatureStep("above", toy.Above, {"source": "X", "templates": StepRef("mean", "mean.*")})
        )
    )
    assert run(pipeline, added)["above"].table("g/s1")["x"].item(0) == -11.5


# Less than everything.


def test_entries_outside_the_scope_do_not_exist(added, run, toy, log):
    pipeline = (
        Pipeline(name="p", scope=Scope(sequences=["s1", "s3"]))
        .add(FeatureStep("shift", toy.Shift, {"log": str(log)}))
        .add(FeatureStep("mean", toy.Mean, {"log": str(log)}, ["shift"]))
    )
    results = run(pipeline, added)
    assert "toy-mean:fit:s1+s3" in log.take()
    assert [key.sequence for key, _ in results["mean"].tables()] == ["s1", "s3"]
    assert pipeline.status(added)["n_target"].to_list() == [3, 2, 2]


def test_a_callback_reads_the_tracks_of_its_scope_only(added, run):
    seen = []

    def look(dataset, results):
        seen.extend(key.sequence for key, _ in results["tracks"].tables())
        return StepOutput()

    scope = Scope(sequences=["s2"])
    run(Pipeline(name="p", scope=scope).add(CallbackStep("look", look, ["tracks"])), added)
    assert seen == ["s2"]


def test_a_selection_limits_what_is_computed_and_names_nothing(added, run, toy, log, keys):
    pipeline = Pipeline(name="p").add(FeatureStep("shift", toy.Shift, {"log": str(log)}))
    results = run(pipeline, added, entries=[EntryKey("g", "s2")])
    assert log.take() == ["toy-shift:s2"]
    assert results["shift"].counts == {"missing": 2, "fresh": 1}
    before = keys(added, pipeline)
    run(pipeline, added)
    assert log.take() == ["toy-shift:s1", "toy-shift:s3"]
    assert keys(added, pipeline) == before


def test_a_stale_fit_sees_its_whole_scope_whatever_is_selected(added, layered, run, log):
    """Fitted on a selection only, a model would depend on who ran it."""
    run(layered(), added, entries=["g/s2"])
    assert log.take() == sorted(
        [f"toy-shift:{s}" for s in ALL]
        + ["toy-mean:fit:s1+s2+s3", "toy-mean:s2", "toy-scaled:fit:templates", "toy-scaled:s2"]
        + ["toy-whole:s2"]
    )
    run(layered(), added, entries=["g/s3"])
    assert log.take() == ["toy-mean:s3", "toy-scaled:s3", "toy-whole:s3"]


@pytest.mark.parametrize("entries", [["g/s22"], []])
def test_a_selection_of_what_is_not_there_is_refused(added, layered, run, entries, log):
    """A typing mistake must not look like a run that had nothing to do."""
    with pytest.raises(ScopeError):
        run(layered(), added, entries=entries)
    assert log.take() == []


def test_a_selection_outside_the_scope_is_refused(added, run, toy):
    pipeline = Pipeline(name="p", scope=Scope(sequences=["s1"])).add(FeatureStep("a", toy.Shift))
    with pytest.raises(ScopeError, match="g/s2"):
        run(pipeline, added, entries=["g/s2"])


def test_a_dry_run_computes_nothing(added, layered, run, log):
    results = run(layered(), added, dry_run=True)
    assert log.take() == []
    assert results["shift"].counts == {"missing": 3}
    assert added.registry.heads("layered") == []


def test_forcing_an_unknown_step_is_refused(added, layered, run):
    with pytest.raises(UnknownStepError, match="no step 'means'"):
        run(layered(), added, force_from="means")


@pytest.mark.parametrize(("engine", "workers"), [("threads", None), ("loky", 0), ("loky", -1)])
def test_an_impossible_engine_is_refused(added, layered, run, engine, workers):
    with pytest.raises(PipelineError):
        run(layered(), added, engine=engine, workers=workers)


def test_a_pipeline_without_entries_has_nothing_to_do(tmp_path, toy, run):
    dataset = Dataset.create(tmp_path / "w", "toy")
    pipeline = Pipeline(name="p").add(FeatureStep("shift", toy.Shift))
    assert run(pipeline, dataset)["shift"].counts == {}
    assert pipeline.status(dataset)["n_target"].to_list() == [0, 0]


# Files.


@pytest.mark.slow
def test_a_vanished_source_is_reported_and_its_results_stay(files, layered, run, states, log):
    dataset, folder = files
    pipeline = layered()
    run(pipeline, dataset)
    log.take()
    (folder / "s2.csv").unlink()
    assert states(dataset, pipeline, "scaled")["s2"] == "fresh"
    status = pipeline.status(dataset)
    assert status["state"].to_list() == ["fresh"] * 5
    assert status["reason"].item(0) == "source vanished (1)"
    run(pipeline, dataset)
    assert log.take() == []
    # Also when only its own table must be made anew: that reads the stored tracks.
    assert run(layered(shift={"by": 2.0}), dataset)["shift"].table("g/s2")["x"].item(0) == 12.0


def test_a_file_that_cannot_be_read_fails_its_entry_alone(files, layered, run, states, log):
    dataset, folder = files
    pipeline = layered()
    run(pipeline, dataset)
    log.take()
    good = (folder / "s2.csv").read_text()
    (folder / "s2.csv").write_text(good.replace("11.0", "eleven"))
    report = report_of(dataset, pipeline, run)
    (failure,) = next(iter(report)).failures.items()
    assert failure[0] == "g/s2"
    assert "s2.csv" in failure[1]
    assert "eleven" in failure[1]
    assert "toy-mean:fit:s1+s3" in log.take()
    assert states(dataset, pipeline, "shift")["s2"] == "blocked tracks failed"
    (folder / "s2.csv").write_text(good)
    run(pipeline, dataset)
    assert log.take() == []  # the old results were kept


def test_a_refused_file_is_named_and_fails_the_run(files, layered, run, log):
    dataset, folder = files
    (folder / "notes.csv").write_text("who,what\nme,this\n")
    report = report_of(dataset, layered(), run)
    assert any("notes" in entry for entry in next(iter(report)).failures)
    assert next(iter(report)).made == 3
    assert "toy-mean:fit:s1+s2+s3" in log.take()


# Callbacks.


@pytest.fixture
def tally(added, toy, log, tmp_path):
    """A pipeline whose callback counts rows, and what it was called."""

    def build(by=1.0, always=False, fn=None):
        def count(dataset, results):
            log.add("count")
            rows = sum(table.height for _, table in results["shift"].tables())
            return StepOutput(
                [(f"{rows} rows", "rows", "TXT"), (b"", "none", "bin")], {"rows": rows}
            )

        step = FeatureStep("shift", toy.Shift, {"by": by})
        return (
            Pipeline(name="p")
            .add(step)
            .add(CallbackStep("tally", fn or count, ["shift"], always=always))
        )

    return build


def test_a_callback_runs_once_and_again_when_an_input_changes(added, run, log, tally):
    run(tally(), added)
    exported = added.exports / "toy_p" / "rows.TXT"
    assert exported.read_text() == "12 rows"
    run(tally(), added)
    assert log.take() == ["count"]
    assert DatasetRun(added, [tally(2.0)]).evaluations["p"].model("tally").reason == (
        "upstream: shift"
    )
    run(tally(2.0), added)
    assert log.take() == ["count"]
    run(tally(), added)
    assert log.take() == []


def test_a_callback_runs_again_when_its_source_changed(added, run, log, tally):
    def other(dataset, results):
        return StepOutput([("other", "rows", "txt")])

    run(tally(), added)
    assert DatasetRun(added, [tally(fn=other)]).evaluations["p"].model("tally").reason == "version"
    run(tally(fn=other), added)
    assert (added.exports / "toy_p" / "rows.txt").read_text() == "other"


def test_a_callback_that_always_runs_does(added, run, log, tally):
    run(tally(always=True), added)
    run(tally(always=True), added)
    assert log.take() == ["count", "count"]


def test_an_export_that_was_deleted_or_edited_comes_back_without_computing(added, run, log, tally):
    run(tally(), added)
    exported = added.exports / "toy_p" / "rows.TXT"
    for spoil in (exported.unlink, lambda: exported.write_text("mine")):
        spoil()
        run(tally(), added)
        assert exported.read_text() == "12 rows"
    assert log.take() == ["count"]


def test_a_callback_that_fails_or_returns_something_else_is_told(added, run, tally):
    def fails(dataset, results):
        raise KeyError("colour")

    def returns(dataset, results):
        return {"rows": 3}

    for fn, said in ((fails, "KeyError: 'colour'"), (returns, "'tally' returned a dict")):
        with pytest.raises(RunFailedError, match=said):
            run(tally(fn=fn), added)


def test_a_callback_sees_the_good_entries_and_runs_again_when_the_others_come(
    added, run, toy, broken
):
    seen = []

    def look(dataset, results):
        seen.append([key.sequence for key, _ in results["shift"].tables()])
        return StepOutput()

    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("shift", toy.Shift, {"broken": str(broken)}))
        .add(CallbackStep("look", look, ["shift"]))
    )
    broken.write_text("s1 s3")
    report_of(added, pipeline, run)
    broken.unlink()
    run(pipeline, added)
    assert seen == [["s2"], ALL]


def test_a_callback_that_reads_a_fitted_state_runs_again_when_only_that_changed(
    added, run, toy, log
):
    """``note`` is in the state and in no table."""
    seen = []

    def look(dataset, results):
        seen.append(results["mean"].artifact("model").read_text())

    def build(note):
        params = {"source": "X", "note": note}
        return (
            Pipeline(name="p")
            .add(FeatureStep("mean", toy.Mean, params))
            .add(CallbackStep("look", look, ["mean"]))
        )

    run(build("first"), added)
    run(build("second"), added)
    assert seen == ["first", "second"]


# Processes.


@pytest.mark.slow
def test_every_engine_gives_the_same_bytes(toy, run, tmp_path):
    """0.12 s for each of 12 entries: after the first second the rest goes to two processes."""
    starts = {f"s{i:02}": float(i) for i in range(12)}
    digests = {}
    for engine in ("sequential", "loky"):
        dataset = toy.added(tmp_path / engine, starts)
        pipeline = (
            Pipeline(name="p")
            .add(
                FeatureStep(
                    "shift", toy.Shift, {"pause": 0.12, "log": str(tmp_path / engine) + "l"}
                )
            )
            .add(FeatureStep("mean", toy.Mean, {}, ["shift"]))
        )
        run(pipeline, dataset, engine=engine, workers=2)
        heads = dataset.registry.heads("p")
        digests[engine] = {(h.step, h.key): (h.action_key, h.output_sha256) for h in heads}
    assert digests["loky"] == digests["sequential"]
    assert len(digests["loky"]) == 25


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(toy, toy_path, run, states, tmp_path, log):
    """Entries take 0.25 s, chunks are stored every 2 s: after 4 s some are done, some are not."""
    starts = {f"s{i:02}": float(i) for i in range(24)}
    dataset = toy.added(tmp_path / "w", starts)
    code = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("mosaic_toy_pipeline", {str(toy_path)!r})
toy = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = toy
spec.loader.exec_module(toy)
from mosaic_dagster import Dataset, FeatureStep, Pipeline
step = FeatureStep("shift", toy.Shift, {{"pause": 0.25, "log": {str(log)!r}}})
pipeline = Pipeline(name="p").add(step).add(FeatureStep("mean", toy.Mean, {{}}, ["shift"]))
pipeline.run(Dataset.open({str(tmp_path / "w")!r}), engine="sequential")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        until = time.monotonic() + 30
        while len(dataset.registry.heads("p")) == 0 and time.monotonic() < until:
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    committed = {head.key for head in dataset.registry.heads("p")}
    assert 0 < len(committed) < 24
    log.take()
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("shift", toy.Shift, {"log": str(log)}))
        .add(FeatureStep("mean", toy.Mean, {}, ["shift"]))
    )
    run(pipeline, dataset)
    made = {line.partition(":")[2] for line in log.take() if "shift" in line}
    assert made == {key for key in starts if f"g/{key}" not in committed}
    assert set(states(dataset, pipeline, "mean").values()) == {"fresh"}
    checked = dataset.objects.verify()
    assert (checked.damaged, checked.unexpected) == ([], [])
    runs = dataset.registry.list_runs("toy-shift")
    assert runs["status"].to_list() == ["finished"]


def test_the_report_is_a_table(added, layered, run, broken):
    broken.write_text("s1")
    report = report_of(added, layered(shift={"broken": str(broken)}), run)
    table = report.table()
    assert table["step"].to_list() == [
        "tracks", "shift", "mean/model", "mean", "scaled/model", "scaled", "side",
    ]  # fmt: skip
    assert table["failed"].to_list() == [0, 1, 0, 0, 0, 0, 0]
    assert table["blocked"].to_list() == [0, 0, 0, 1, 0, 1, 0]


def test_a_callback_per_entry_sees_its_entry_alone_and_only_runs_for_what_changed(added, run):
    """A picture per recording: one more recording must not draw all the others again."""

    def look(dataset, results):
        (key,) = results["shift"].keys()
        drawn.append(str(key))
        return StepOutput([(f"{results['shift'].table(key).height}", "rows", "txt")])

    def pipeline():
        step = FeatureStep("shift", "speed-angvel")
        return Pipeline(name="p").add(step).add(CallbackStep("look", look, ["shift"], True))

    drawn: list[str] = []
    first = [str(key) for key in added.entries()]
    results = run(pipeline(), added)
    assert sorted(drawn) == sorted(first)
    for key in first:
        rows = results["shift"].table(key).height
        assert (added.exports / "toy_p" / "look" / key / "rows.txt").read_text() == str(rows)
        assert results["look"].artifacts(key)["rows.txt"].read_text() == str(rows)
    new = EntryKey("", "late one")
    added.add_tracks(new, added.tracks(EntryKey.parse(first[0])).drop("group", "sequence"))
    run(pipeline(), added)
    assert drawn == [*drawn[:-1], str(new)]
    assert len(drawn) == len(first) + 1
    assert (added.exports / "toy_p" / "look" / "late%20one" / "rows.txt").is_file()


def test_a_failing_callback_per_entry_fails_its_entry_alone(added, run):
    bad = str(added.entries()[0])

    def look(dataset, results):
        (key,) = results["tracks"].keys()
        if str(key) == bad:
            msg = "no picture of this one"
            raise ValueError(msg)

    pipeline = Pipeline(name="p").add(CallbackStep("look", look, ["tracks"], per_entry=True))
    with pytest.raises(RunFailedError, match="no picture of this one"):
        run(pipeline, added)
    states = DatasetRun(added, [pipeline]).evaluations["p"].entries("look")
    assert {key for key, status in states.items() if status.state == "failed"} == {bad}


def test_a_callback_over_all_reads_the_files_of_one_per_entry(added, run):
    def each(dataset, results):
        return StepOutput([("x", "mark", "txt")])

    def all_of_them(dataset, results):
        marks = results["each"]
        keys = marks.keys()
        text = "".join(marks.artifacts(key)["mark.txt"].read_text() for key in keys)
        return StepOutput([(text, "all", "txt")])

    pipeline = (
        Pipeline(name="p")
        .add(CallbackStep("each", each, ["tracks"], per_entry=True))
        .add(CallbackStep("all_of_them", all_of_them, ["each"]))
    )
    run(pipeline, added)
    assert (added.exports / "toy_p" / "all.txt").read_text() == "x" * len(added.entries())


def test_two_callbacks_that_export_one_name_are_told_apart_aloud(added, run):
    def one(dataset, results):
        return StepOutput([("1", "summary", "txt")])

    def two(dataset, results):
        return StepOutput([("2", "summary", "txt")])

    pipeline = Pipeline(name="p").add(CallbackStep("one", one)).add(CallbackStep("two", two))
    with pytest.raises(RunFailedError, match=r"'two' and 'one' both export summary\.txt"):
        run(pipeline, added)
    assert (added.exports / "toy_p" / "summary.txt").read_text() == "1"
