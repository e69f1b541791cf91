"""A few rows of each individual that stand for the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field
from threadpoolctl import threadpool_limits

from mosaic_dagster.features.kernels.angles import ego
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.clips import place_clips
from mosaic_dagster.features.kernels.keypoints import keypoint_columns, keypoint_indices
from mosaic_dagster.features.kernels.runs import find_stretches
from mosaic_dagster.features.library.cleaning._coordinates import changed_schema, with_changed
from mosaic_dagster.features.library.pose import PoseConfig
from mosaic_dagster.features.library.rows import RowOrder, matrix, numbers, order_rows
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import DatasetFacts, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_CENTRE = ("X", "Y", "ANGLE")


class TrackSubsampleParams(Params):
    """Parameters of :class:`TrackSubsample`.

    Attributes
    ----------
    method
        ``kmeans`` takes rows of different postures, ``uniform`` every so many rows, ``clips``
        short stretches that begin at rows of different postures.
    target_frames
        Number of rows of an individual; individuals with no more rows are kept whole.
    clip_len
        Rows of a clip.
    pose
        Keypoints that make a posture; None means all of the table.
    seed
        Seed of the clustering, the same for every individual.
    drop_nan
        Whether rows with an incomplete posture are never chosen for it; else a missing
        coordinate counts as the individual's mean.
    """

    method: Literal["kmeans", "uniform", "clips"] = "kmeans"
    target_frames: int = Field(default=300, ge=1)
    clip_len: int = Field(default=8, ge=2)
    pose: PoseConfig | None = None
    seed: int = Field(default=42, ge=0, lt=2**32)
    drop_nan: bool = True

    def resolve(self, facts: DatasetFacts) -> Self:
        """Turn names of keypoints into numbers."""
        resolved = super().resolve(facts)
        if resolved.pose is None:
            return resolved
        pose = resolved.pose.resolve(facts)
        return type(self).from_overrides(resolved.model_dump() | {"pose": pose})

    def pose_columns(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Coordinates that make a posture, x and y of one keypoint after the other."""
        if self.pose is not None:
            return self.pose.columns()
        return tuple(keypoint_columns(keypoint_indices(columns)))


@register
class TrackSubsample(Feature[TrackSubsampleParams]):
    """At most ``target_frames`` rows of each individual, all columns unchanged.

    Notes
    -----
    Each individual by itself, its n rows in order of frames. ``uniform``: every
    ``max(1, n // target_frames)``-th row, the first ``target_frames`` of them. ``kmeans``: the
    posture of a row are its keypoints relative to X, Y, turned by -ANGLE; of each k-means cluster
    (k = ``target_frames``) the row nearest to the centre, the earliest of equals. No more complete
    postures than ``target_frames`` are all taken; of equal postures, if fewer differ than that,
    the earliest. ``clips``: ``max(1, target_frames // clip_len)`` rows found in the same way
    begin clips of ``clip_len`` rows in successive frames, moved as little as needed so that they
    do not overlap; stretches of frames that are too short for a clip give none. Tables without
    keypoints, X, Y or ANGLE have no postures: rows (or beginnings of clips) are then taken
    uniformly. Rows keep the order of the input.

    Notes of the table: ``n_rows`` in it, and ``uniform_because`` where postures are lacking.
    """

    name = "track-subsample"
    version = "1.0"
    Params = TrackSubsampleParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, and the keypoints that are named."""
        return ("frame", "id", *self.params.pose_columns(()))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The input's columns."""
        return changed_schema(schema, ())

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Choose the rows of one recording."""
        self.check_columns(table.schema)
        rows = order_rows(table)
        lacking = self._lacking(table)
        postures = None
        if self.params.method != "uniform" and not lacking:
            postures = self._postures(table)[rows.order]
        chosen = np.zeros(table.height, dtype=np.bool_)
        with nullcontext() if postures is None else _one_thread():
            for track in rows.tracks:
                chosen[rows.order[track][self._choose(rows, track, postures)]] = True
        kept = with_changed(table, {}).filter(pl.Series(chosen))
        notes: dict[str, Any] = {"n_rows": kept.height}
        if self.params.method != "uniform" and lacking:
            notes["uniform_because"] = f"the table has no {', '.join(lacking)}"
        return FeatureTable(kept, notes)

    def _lacking(self, table: pl.DataFrame) -> list[str]:
        lacking = [name for name in _CENTRE if name not in table.columns]
        return lacking if self.params.pose_columns(table.columns) else ["keypoints", *lacking]

    def _postures(self, table: pl.DataFrame) -> FloatArray:
        """Shape (n_rows, 2 n_keypoints), in the order of the table; NaN rows are incomplete."""
        points = matrix(table, self.params.pose_columns(table.columns))
        x, y, heading = (numbers(table, name)[:, None] for name in _CENTRE)
        ahead, side = ego(points[:, ::2] - x, points[:, 1::2] - y, heading)
        return np.concatenate([ahead, side], axis=1)

    def _choose(self, rows: RowOrder, track: slice, postures: FloatArray | None) -> IntArray:
        """Rows to keep, counted from the beginning of the track."""
        n_rows = track.stop - track.start
        everything = np.arange(n_rows)
        if n_rows <= self.params.target_frames:
            return everything
        own = None if postures is None else postures[track]
        if self.params.method != "clips":
            return self._seeds(everything, own, self.params.target_frames)
        length = self.params.clip_len
        runs = find_stretches(np.diff(rows.frames[track]) == 1)
        roomy = [(r.start, r.stop + 1) for r in runs if r.stop + 1 - r.start >= length]
        candidates = np.concatenate([np.arange(*run) for run in roomy] or [everything[:0]])
        n_clips = max(1, self.params.target_frames // length)
        seeds = self._seeds(candidates, own, n_clips)
        starts = [
            start
            + place_clips(seeds[(seeds >= start) & (seeds < stop)] - start, stop - start, length)
            for start, stop in roomy
        ]
        begin = np.concatenate(starts) if starts else everything[:0]
        return (begin[:, None] + np.arange(length)).ravel()

    def _seeds(self, candidates: IntArray, own: FloatArray | None, count: int) -> IntArray:
        """At most ``count`` of the candidate rows, increasing."""
        if own is None:
            return candidates[:: max(1, len(candidates) // count)][:count]
        postures = own[candidates]
        if not self.params.drop_nan:
            postures = _fill_means(postures)
        complete = np.isfinite(postures).all(axis=1)
        found = _representatives(postures[complete], count, self.params.seed)
        return candidates[complete][found]


def _one_thread() -> AbstractContextManager[object]:
    """Limit k-means: threads would add up centres in any order, and so choose other rows."""
    # A limit holds only for libraries that are loaded by then.
    import sklearn.cluster  # noqa: F401

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def _fill_means(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    means = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, values, means)


def _representatives(points: FloatArray, count: int, seed: int) -> IntArray:
    """Rows of finite points nearest to the centres of ``count`` clusters, increasing."""
    if len(points) <= count:
        return np.arange(len(points))
    # Mostly one column alone shows that enough rows differ, and to sort rows takes long.
    if len(np.unique(points[:, 0])) <= count:
        first = np.unique(points, axis=0, return_index=True)[1]
        if len(first) <= count:
            return np.sort(first)
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Points that differ by rounding alone may leave a cluster empty, which is no harm.
        warnings.simplefilter("ignore", ConvergenceWarning)
        kmeans = KMeans(count, random_state=seed, n_init="auto").fit(points)
    distance = ((points - kmeans.cluster_centers_[kmeans.labels_]) ** 2).sum(axis=1)
    order = np.lexsort((distance, kmeans.labels_))
    labels = kmeans.labels_[order]
    nearest: IntArray = order[np.flatnonzero(np.diff(labels, prepend=-1))]
    return np.sort(nearest)
