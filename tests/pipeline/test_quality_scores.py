"""Scores of a training step beside those of its last version."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mosaic_dagster import EntryKey, Pipeline, TrainingStep
from mosaic_dagster.errors import RunFailedError
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.quality_gate import verdicts_of
from mosaic_dagster.pipeline.quality_scores import score_changes
from mosaic_dagster.quality import ScoreDrop


def pipeline(trainer: Any, **options: Any) -> Pipeline:
    return Pipeline(name="models").add(TrainingStep("next_x", trainer.train, ["tracks"], **options))


def spoil(dataset: Any) -> None:
    """A fourth recording that jumps about: no ridge follows it."""
    table = dataset.tracks(EntryKey("g", "s1")).with_columns(
        pl.Series("X", [0.0, 500.0, -500.0, 800.0]), pl.lit("s4").alias("sequence")
    )
    dataset.add_tracks(EntryKey("g", "s4"), table)


def scores(dataset: Any, trainer: Any) -> list[Any]:
    evaluation = DatasetRun(dataset, [pipeline(trainer)]).evaluations["models"]
    step = evaluation.bound.steps["next_x"]
    return score_changes(evaluation, step, evaluation.model("next_x").action_key)


def test_a_first_version_has_nothing_to_be_compared_with(added: Any, trainer: Any) -> None:
    pipeline(trainer).run(added)
    assert scores(added, trainer) == []


def test_the_last_version_is_the_one_before_this_one(added: Any, trainer: Any) -> None:
    """Mean of the errors over the folds, of this version and of the one that was trained first."""
    pipeline(trainer).run(added)
    before = DatasetRun(added, [pipeline(trainer)]).evaluations["models"].model("next_x")
    spoil(added)
    pipeline(trainer).run(added)
    (score,) = scores(added, trainer)
    assert score.metric == "rmse"
    assert not score.higher_is_better
    assert score.value > 10 * score.before
    evaluation = DatasetRun(added, [pipeline(trainer)]).evaluations["models"]
    (verdict,) = verdicts_of(evaluation, "next_x")
    assert (verdict.rule.label, verdict.passed, verdict.judged) == ("score_drop", False, 1)
    assert score_changes(evaluation, evaluation.bound.steps["next_x"], before.action_key) == []


def test_a_blocking_drop_fails_the_models_without_training_again(added: Any, trainer: Any) -> None:
    """Predictions of a worse model must not go on; the models stay for who looks into it."""
    blocking = [ScoreDrop(0.1, blocking=True)]
    pipeline(trainer, checks=blocking).run(added)
    spoil(added)
    for _ in range(2):
        with pytest.raises(RunFailedError, match=r"next_x/model.*score_drop: rmse went from"):
            pipeline(trainer, checks=blocking).run(added)
    assert len(trainer.CALLS) == 2
    pipeline(trainer, checks=[ScoreDrop(1000.0, blocking=True)]).run(added)
    assert len(trainer.CALLS) == 2
