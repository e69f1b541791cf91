"""How the models of a training step score beside those of its version before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from mosaic_dagster.quality import Score
from mosaic_dagster.store import WorkspaceStore
from mosaic_dagster.store.chains import higher_is_better

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.binding import BoundStep
    from mosaic_dagster.pipeline.staleness import Evaluation

_COMPLETED = "completed"


def score_changes(evaluation: Evaluation, step: BoundStep, key: str | None) -> list[Score]:
    """Scores of the models that a training step has under an action key, metric by metric.

    A version is all that one action key trained; the one before is the last that was recorded
    for the step earlier. Of each version the best model counts, by the mean of its validation
    scores over the folds, or of its test scores where it has no others. A metric that only one
    version has, or of which nobody knows the direction, is left out.
    """
    if not step.trains or key is None:
        return []
    with WorkspaceStore(evaluation.snapshot.dataset.path) as store:
        rows = store.list_pipelines().filter(pl.col("status") == _COMPLETED)
        own = rows.filter(pl.col("dataset_hash") == key)
        if own.is_empty():
            return []
        earlier = rows.filter(
            (pl.col("name") == f"{evaluation.bound.name}/{step.name}")
            & (pl.col("dataset_name") == evaluation.snapshot.dataset.name)
            & (pl.col("dataset_hash") != key)
            & (pl.col("created_at") < own["created_at"].min())
        ).sort("created_at")
        if earlier.is_empty():
            return []
        before = earlier.filter(pl.col("dataset_hash") == earlier["dataset_hash"][-1])
        now, then = (best_means(store, part["pipeline_id"].to_list()) for part in (own, before))
    return [
        Score(metric, now[metric], then[metric], bool(higher_is_better(metric)))
        for metric in now
        if metric in then
    ]


def best_means(store: WorkspaceStore, pipeline_ids: list[str]) -> dict[str, float]:
    """Best mean score over the folds of any model, by metric whose direction is known."""
    best: dict[str, float] = {}
    for pipeline_id in pipeline_ids:
        scores = (
            store.query_predictions(pipeline_id=pipeline_id)
            .with_columns(score=pl.coalesce("val_score", "test_score").fill_nan(None))
            .drop_nulls(["score", "metric"])
            .group_by("chain_id", "metric")
            .agg(pl.col("score").mean())
        )
        for metric, score in scores.select("metric", "score").iter_rows():
            is_higher = higher_is_better(metric)
            if is_higher is not None:
                choose = max if is_higher else min
                best[metric] = choose(best.get(metric, score), score)
    return best
