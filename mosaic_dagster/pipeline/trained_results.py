"""What a training step's result says: its predictions as a result, its scores, its models."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.compute import adopt
from mosaic_dagster.pipeline.identity import member_ext
from mosaic_dagster.pipeline.staleness import Evaluation
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus
from mosaic_dagster.pipeline.training import PREDICTIONS, Trained, read_trained
from mosaic_dagster.store import Dependency, Outcome
from mosaic_dagster.store.content.codecs import count_rows

SCORES = ("val_score", "test_score", "train_score")


def predictions_digest(evaluation: Evaluation, status: EntryStatus) -> str | None:
    """Digest of the predictions of a training step; None when there are none."""
    if status.state not in DONE or status.result is None or status.result.output_sha256 is None:
        return None
    return evaluation.snapshot.state_members(status.result.output_sha256).get(PREDICTIONS)


def predicted(evaluation: Evaluation, step: BoundStep, model: EntryStatus) -> Outcome | None:
    """The predictions of a training step as a result made from its models."""
    digest = predictions_digest(evaluation, model)
    if digest is None or model.result is None or model.result.output_sha256 is None:
        return None
    objects = evaluation.snapshot.dataset.objects
    size = objects.path(digest, member_ext(PREDICTIONS)).stat().st_size
    return replace(
        adopt(step, evaluation.bound.name, MODEL, model),
        output_sha256=digest,
        ext=member_ext(PREDICTIONS),
        rows=count_rows(objects.path(digest, member_ext(PREDICTIONS))),
        bytes=size,
        inputs=(Dependency("state", model.result.output_sha256, model.action_key),),
    )


def trained_of(evaluation: Evaluation, step: str) -> Trained | None:
    """Models and predictions of a training step; None before it has trained anything."""
    status = evaluation.model(step)
    if status.state not in DONE or status.result is None or status.result.output_sha256 is None:
        return None
    objects = evaluation.snapshot.dataset.objects
    members = evaluation.snapshot.state_members(status.result.output_sha256)
    return read_trained({n: objects.path(sha, member_ext(n)) for n, sha in members.items()})


def mean_scores(trained: Trained) -> pl.DataFrame:
    """One row per model and partition: the means of its scores over folds, and their number."""
    by_model = trained.scores().group_by(
        "model", "preprocessings", "partition", "metric", maintain_order=True
    )
    return by_model.agg(
        *(pl.col(name).mean() for name in SCORES), pl.len().cast(pl.Int64).alias("predictions")
    )
