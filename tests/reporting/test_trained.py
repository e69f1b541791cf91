"""Scores and confusions of training steps."""

from __future__ import annotations

import pytest

from mosaic_dagster import Dataset, Pipeline
from mosaic_dagster.reporting import Subject
from mosaic_dagster.reporting.subject import Trace
from mosaic_dagster.reporting.trained import Score, Training, trainings


def test_folds_are_pooled(made: Dataset, pipeline: Pipeline) -> None:
    """Scores 0.7 and 0.9: mean 0.8. Of four rows of each class one is wrong: recall 3/4."""
    (training,) = trainings(Subject(made, pipeline))
    (score,) = training.scores
    assert (score.model, score.partition, score.metric) == ("guess", "val", "f1_macro")
    assert (score.mean, score.lowest, score.highest) == pytest.approx((0.8, 0.7, 0.9))
    assert (score.folds, score.samples) == (2, 8)
    (confusion,) = training.confusions
    assert confusion.names == ("0", "1")
    assert confusion.counts.tolist() == [[3, 1], [1, 3]]
    assert [row["recall"] for row in confusion.by_class()] == [0.75, 0.75]


def score(model: str, metric: str, mean: float) -> Score:
    return Score(model, "val", metric, mean, mean, mean, 1, 1)


@pytest.mark.parametrize(("metric", "best"), [("rmse", "low"), ("accuracy", "high"), ("odd", None)])
def test_the_best_model_depends_on_the_metric(metric: str, best: str | None) -> None:
    """The greatest error must not be praised, nor a metric that nobody knows."""
    scores = (score("low", metric, 0.1), score("high", metric, 0.9))
    found = Training("models", Trace("models", "1-a", "d", 1), "val", scores).best()
    assert (None if found is None else found.model) == best
