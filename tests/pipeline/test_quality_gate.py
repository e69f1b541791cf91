"""Blocking checks: what they refuse stays where it is, and its neighbours go on.

X of the recordings begins at 0, 10 and 20 and grows to 3, 13 and 23; shift adds 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from mosaic_dagster import CallbackStep, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.dataset import Labels
from mosaic_dagster.errors import EntryNotFoundError, PipelineDefinitionError, RunFailedError
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.quality_gate import verdicts_of, verdicts_of_run
from mosaic_dagster.quality import (
    DEFAULT_CHECKS,
    DEFAULT_SUMMARY_CHECKS,
    DEFAULT_TRAINING_CHECKS,
    Drift,
    LabelCoverage,
    MissingShare,
    RowsMatchTracks,
    UniqueRows,
    ValueRange,
)
from mosaic_dagster.store import StepOutput

Make = Callable[..., Pipeline]


@pytest.fixture
def make(toy: Any, log: Any) -> Make:
    """shift -> mean (fitted on entries); the rules are about shift."""

    def build(*rules: Any, **params: Any) -> Pipeline:
        given = {"log": str(log)}
        return (
            Pipeline(name="gated")
            .add(FeatureStep("shift", toy.Shift, {**given, **params}, checks=rules))
            .add(FeatureStep("mean", toy.Mean, given, ["shift"], checks=()))
        )

    return build


def below(high: float) -> ValueRange:
    return ValueRange("x", high=high, blocking=True)


def judged(dataset: Any, pipeline: Pipeline, step: str) -> dict[str, Any]:
    evaluation = DatasetRun(dataset, [pipeline]).evaluations[pipeline.name]
    return {verdict.rule.label: verdict for verdict in verdicts_of(evaluation, step)}


def test_a_refused_entry_fails_and_its_neighbours_go_on(
    files: Any, make: Make, run: Any, states: Any, log: Any
) -> None:
    """x of s3 reaches 24: without a gate the mean of all would be made of it."""
    dataset, _ = files
    with pytest.raises(RunFailedError, match=r"shift g/s3: value_range: x is 24, above 15\."):
        run(make(below(15)), dataset)
    assert states(dataset, make(below(15)), "shift") == {
        "s1": "fresh", "s2": "fresh", "s3": "failed refused by check value_range",
    }  # fmt: skip
    assert states(dataset, make(below(15)), "mean") == {
        "": "fresh", "s1": "fresh", "s2": "fresh", "s3": "blocked shift failed",
    }  # fmt: skip
    assert "toy-mean:fit:s1+s2" in log.take()


def test_a_run_does_not_compute_again_what_is_refused(
    files: Any, make: Make, run: Any, log: Any
) -> None:
    """The same bytes would come out; a retry would compute for ever."""
    dataset, _ = files
    for _ in range(2):
        with pytest.raises(RunFailedError) as raised:
            run(make(below(15)), dataset)
    assert [line for line in log.take() if line.startswith("toy-shift")] == [
        "toy-shift:s1", "toy-shift:s2", "toy-shift:s3",
    ]  # fmt: skip
    (shift,) = (step for step in raised.value.report if step.step == "shift")
    assert (shift.made, shift.fresh, list(shift.failures)) == (0, 2, ["g/s3"])


@pytest.mark.slow
def test_another_threshold_frees_the_result_as_it_stands(
    files: Any, make: Make, run: Any, states: Any, log: Any
) -> None:
    """A threshold is no part of a result: raising it must cost nothing in the step itself."""
    dataset, _ = files
    with pytest.raises(RunFailedError):
        run(make(below(15)), dataset)
    log.take()
    assert states(dataset, make(below(100)), "shift") == dict.fromkeys(("s1", "s2", "s3"), "fresh")
    run(make(below(100)), dataset)
    assert not [line for line in log.take() if line.startswith("toy-shift")]
    with pytest.raises(RunFailedError):
        run(make(below(12)), dataset)
    assert log.take() == ["toy-mean:fit:s1", "toy-mean:s1"]


def test_a_refused_table_cannot_be_read(files: Any, make: Make, run: Any) -> None:
    """A notebook would else go on with data that the lab said must not go on."""
    dataset, _ = files
    with pytest.raises(RunFailedError):
        run(make(below(15)), dataset)
    with pytest.raises(EntryNotFoundError, match="refused by check value_range"):
        make(below(15)).load(dataset)["shift"].table("g/s3")


def test_checks_enter_no_identity(files: Any, make: Make, run: Any, keys: Any) -> None:
    """Else another threshold would compute everything anew."""
    dataset, _ = files
    run(make(), dataset)
    plain, checked = (keys(dataset, p) for p in (make(), make(below(15), UniqueRows())))
    of_shift = ["shift/s1", "shift/s2", "shift/s3"]
    assert [plain[key] for key in of_shift] == [checked[key] for key in of_shift]
    assert None not in [plain[key] for key in of_shift]
    ids = [
        {n: s.run_id for n, s in DatasetRun(dataset, [p]).evaluations["gated"].bound.steps.items()}
        for p in (make(), make(below(1)))
    ]
    assert ids[0] == ids[1]


def test_profiles_are_recorded_with_the_results(files: Any, make: Make, run: Any) -> None:
    """A status of 10,000 entries must not read 10,000 tables."""
    dataset, _ = files
    pipeline = make(MissingShare())
    result = run(pipeline, dataset)["shift"]
    heads = {h.key: h for p in ("gated", "") for h in dataset.registry.heads(p) if h.step != "mean"}
    digests = [head.output_sha256 for head in dataset.registry.heads("gated")]
    profiles = dataset.registry.profiles(digests)
    table = result.table("g/s1")
    (digest,) = (
        h.output_sha256 for h in dataset.registry.heads("gated")
        if (h.step, h.key) == ("shift", "g/s1")
    )  # fmt: skip
    (profile,) = profiles.filter(pl.col("output_sha256") == digest).iter_rows(named=True)
    assert (profile["rows"], profile["layout"]) == (table.height, "x")
    assert profile["mean"] == [table["x"].mean()]
    assert len(profiles) == 3  # none of mean, which is checked by nothing
    assert len(dataset.registry.profiles([h.output_sha256 for h in heads.values()])) == 3


@pytest.mark.slow
def test_old_results_are_measured_for_a_blocking_rule_only(
    files: Any, make: Make, run: Any, states: Any, monkeypatch: Any
) -> None:
    """Results of an earlier version are judged where it matters, once, and else told."""
    dataset, _ = files
    run(make(), dataset)
    warned = judged(dataset, make(ValueRange("x", high=15)), "shift")["value_range"]
    assert (warned.passed, len(warned.unmeasured)) == (True, 3)
    assert states(dataset, make(below(15)), "shift")["s3"].startswith("failed")
    with pytest.raises(RunFailedError):
        run(make(below(15)), dataset)
    warned = judged(dataset, make(ValueRange("x", high=15)), "shift")["value_range"]
    assert (warned.passed, list(warned.unmeasured)) == (False, [])


def test_a_blocking_drift_is_judged_when_all_entries_are_there(
    toy: Any, tmp_path: Any, make: Make, run: Any
) -> None:
    """Means at 1.5 to 5.5 and at 1001.5; chunk by chunk the first would be judged by few."""
    starts = {f"s{i}": float(i) for i in range(5)} | {"s9": 1000.0}
    dataset = toy.added(tmp_path / "many", starts)
    with pytest.raises(RunFailedError, match="drift: the mean of x"):
        run(make(Drift(10, blocking=True)), dataset)
    found = judged(dataset, make(Drift(10, blocking=True)), "shift")["drift"]
    assert [finding.entry for finding in found.findings] == ["g/s9"]


def test_rows_are_compared_with_the_tracks(added: Any, make: Make, run: Any) -> None:
    """Tracks that were given as tables have no recorded rows: they are measured."""
    rules = (RowsMatchTracks(), RowsMatchTracks(2.0, None, per="frame", name="two_per_frame"))
    pipeline = make(*rules)
    run(pipeline, added)
    found = judged(added, pipeline, "shift")
    assert found["rows_match_tracks"].passed
    assert [f.measured for f in found["two_per_frame"].findings] == [1.0, 1.0, 1.0]


def test_label_coverage_is_the_share_of_frames(added: Any, make: Make, run: Any) -> None:
    """2 of the 4 frames of s1 are labelled, and nothing of the others."""
    added.add_labels(EntryKey("g", "s1"), Labels.per_frame([0, None, 0], {0: "rest"}))
    pipeline = make(
        LabelCoverage("behavior", 0.6),
        LabelCoverage("behavior", 0.4, every_entry=True, name="all_labelled"),
    )
    run(pipeline, added)
    found = judged(added, pipeline, "shift")
    assert [(f.entry, f.measured) for f in found["label_coverage"].findings] == [("g/s1", 0.5)]
    assert [f.entry for f in found["all_labelled"].findings] == ["g/s2", "g/s3"]


def test_the_table_of_a_callback_is_checked(added: Any, run: Any, states: Any) -> None:
    """Tables of a lab's own code go wrong, too."""

    def tell(dataset: Any, results: Any) -> StepOutput:
        (key,) = results["tracks"].keys()
        return StepOutput(outputs=[(results["tracks"].table(key).select("X"), "x", "csv")])

    def build(high: float) -> Pipeline:
        rule = ValueRange("X", high=high, blocking=True)
        step = CallbackStep("told", tell, ["tracks"], per_entry=True, checks=[rule])
        return Pipeline(name="own").add(step)

    with pytest.raises(RunFailedError, match="told g/s3: value_range: X is 23"):
        run(build(15), added)
    assert states(added, build(15), "told")["s1"] == "fresh"
    assert states(added, build(100), "told")["s3"] == "fresh"


def test_a_callback_over_the_scope_is_refused_as_a_whole(added: Any, run: Any, states: Any) -> None:
    """What reads it must wait, and it must not run again for nothing."""
    calls: list[int] = []

    def tell(dataset: Any, results: Any) -> StepOutput:
        calls.append(1)
        return StepOutput(outputs=[(pl.DataFrame({"v": [1.0, None]}), "v", "parquet")])

    pipeline = Pipeline(name="own").add(
        CallbackStep("told", tell, ["tracks"], checks=[MissingShare(0.1, blocking=True)])
    )
    for _ in range(2):
        with pytest.raises(RunFailedError, match=r"missing_share: 0\.5 of the values of v"):
            run(pipeline, added)
    assert len(calls) == 1
    assert states(added, pipeline, "told") == {"": "failed refused by check missing_share"}


def test_forcing_computes_what_is_refused(files: Any, make: Make, run: Any, log: Any) -> None:
    """Somebody who asks for it by name gets it: a library below may have been mended."""
    dataset, _ = files
    with pytest.raises(RunFailedError):
        run(make(below(15)), dataset)
    log.take()
    with pytest.raises(RunFailedError):
        run(make(below(15)), dataset, force_from="shift")
    assert "toy-shift:s3" in log.take()


@pytest.mark.slow
def test_profiles_go_with_their_results(files: Any, make: Make, run: Any) -> None:
    """Else the table would grow with every parameter that was ever tried."""
    dataset, _ = files
    run(make(MissingShare()), dataset)
    old = [h.output_sha256 for h in dataset.registry.heads("gated") if h.step == "shift"]
    run(make(MissingShare(), by=5.0), dataset)
    assert len(dataset.registry.profiles(old)) == 3
    make(MissingShare(), by=5.0).clean(dataset, dry_run=False)
    assert dataset.registry.profiles(old).is_empty()
    new = [h.output_sha256 for h in dataset.registry.heads("gated") if h.step == "shift"]
    assert len(dataset.registry.profiles(new)) == 3


def test_steps_are_checked_by_default_and_can_be_left_alone(toy: Any, trainer: Any) -> None:
    """Everybody gets the modest checks; who wants none says so."""

    class Summary(toy.Shift):
        category = "summary"

    assert FeatureStep("a", toy.Shift).rules == DEFAULT_CHECKS
    assert FeatureStep("a", Summary).rules == DEFAULT_SUMMARY_CHECKS
    assert FeatureStep("a", toy.Shift, checks=()).rules == ()
    assert not any(rule.blocking for rule in DEFAULT_CHECKS + DEFAULT_TRAINING_CHECKS)
    with pytest.raises(PipelineDefinitionError, match="no rule"):
        FeatureStep("a", toy.Shift, checks=["unique_rows"])
    with pytest.raises(PipelineDefinitionError, match="runs always and has a blocking check"):
        CallbackStep("a", trainer.train, always=True, checks=[UniqueRows(blocking=True)])


def test_every_rule_of_every_step_is_judged(files: Any, make: Make, run: Any) -> None:
    """`mosaic status` lists them; a step that is left out would look well."""
    dataset, _ = files
    pipeline = make(UniqueRows(), ValueRange("x", high=15))
    run(pipeline, dataset)
    found = verdicts_of_run(DatasetRun(dataset, [pipeline]))
    assert [(v.step, v.verdict.rule.label, v.verdict.passed) for v in found] == [
        ("shift", "unique_rows", True), ("shift", "value_range", False),
    ]  # fmt: skip
