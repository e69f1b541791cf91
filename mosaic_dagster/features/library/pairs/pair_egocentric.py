"""Pairs seen from their keypoints."""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.egocentric import Pose, unit
from mosaic_dagster.features.library.interpolated import clean_rows
from mosaic_dagster.features.library.pairs._ego import EGO_COLUMNS, ego_table, sampling_of
from mosaic_dagster.features.library.pairs._pair_table import pair_schema
from mosaic_dagster.features.library.pose import PoseConfig
from mosaic_dagster.features.library.rows import keypoint_numbers, resolve_keypoint
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import (
    DatasetFacts,
    InterpolationConfig,
    Params,
    SamplingConfig,
)
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_MEAN = "mean"


class PairEgocentricParams(Params):
    """Parameters of :class:`PairEgocentric`.

    Attributes
    ----------
    interpolation
        Which holes in the keypoints are filled, and which rows are dropped.
    sampling
        Smoothing before rates are taken, and the frame rate for tables that do not say it.
    pose
        The keypoints that are read.
    neck_idx, tail_base_idx
        The heading points from the tail base to the neck; by number or name.
    center_mode
        ``"mean"`` of the keypoints that are read, or one keypoint by number or name.
    """

    interpolation: InterpolationConfig = InterpolationConfig()
    sampling: SamplingConfig = SamplingConfig()
    pose: PoseConfig = PoseConfig()
    neck_idx: int | str = 3
    tail_base_idx: int | str = 6
    center_mode: int | str = Field(default=_MEAN)

    @model_validator(mode="after")
    def _known_keypoints(self) -> Self:
        if self.neck_idx == self.tail_base_idx:
            msg = f"neck_idx and tail_base_idx are both {self.neck_idx!r}"
            raise ValueError(msg)
        if not self.pose.is_resolved():
            return self
        selected = self.pose.selected()
        for name in ("neck_idx", "tail_base_idx", "center_mode"):
            keypoint = getattr(self, name)
            if isinstance(keypoint, int) and keypoint not in selected:
                chosen = ", ".join(map(str, selected))
                msg = f"{name} is {keypoint}, which is not among the keypoints that are read: "
                raise ValueError(msg + chosen)
        return self

    def resolve(self, facts: DatasetFacts) -> Self:
        """Turn names of keypoints into numbers, and take the frame rate of the dataset."""
        resolved = super().resolve(facts)
        named = resolved.pose.named_facts(facts)
        changed: dict[str, object] = {
            "pose": resolved.pose.resolve(facts),
            "sampling": sampling_of(resolved.sampling, facts).model_dump(),
            "neck_idx": resolve_keypoint(resolved.neck_idx, named),
            "tail_base_idx": resolve_keypoint(resolved.tail_base_idx, named),
        }
        if resolved.center_mode != _MEAN:
            changed["center_mode"] = resolve_keypoint(resolved.center_mode, named)
        return type(self).from_overrides(resolved.model_dump() | changed)


@register
class PairEgocentric(Feature[PairEgocentricParams]):
    """Motion of both animals of a pair, and where the partner is, from their keypoints.

    The columns, the cleaning and the rules about runs and pairs are those of ``pair-position``;
    the heading points from the tail base to the neck, and the centre is the mean of the keypoints
    or one of them.

    Notes
    -----
    Where neck and tail base coincide there is no heading: what needs it is NaN in that frame, and
    the turning rate in the frames beside it too. Notes of the table: n_filled, n_median,
    n_dropped, n_pairs.
    """

    name = "pair-egocentric"
    version = "1.0"
    Params = PairEgocentricParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and the keypoints that are read."""
        return ("frame", "id", *self.params.pose.columns())

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Pairs and the egocentric columns."""
        self.check_columns(schema)
        return pair_schema(schema, EGO_COLUMNS)

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Compute the columns for one recording."""
        self.check_columns(table.schema)
        columns = self.params.pose.columns_by_axis()
        clean = clean_rows(table, columns, self.params.interpolation, angles=())
        x, y = np.split(clean.values, 2)
        pose = self._pose(x, y)
        return ego_table(table, clean, pose, self.params.sampling, self.name)

    def _pose(self, x: FloatArray, y: FloatArray) -> Pose:
        """Centre and heading from the coordinates, each of shape (n_keypoints, n_rows)."""
        selected = self.params.pose.selected()
        ends = keypoint_numbers((self.params.neck_idx, self.params.tail_base_idx))
        neck, tail = (selected.index(keypoint) for keypoint in ends)
        heading = unit(x[neck] - x[tail], y[neck] - y[tail])
        if self.params.center_mode == _MEAN:
            return Pose(x.mean(axis=0), y.mean(axis=0), *heading)
        center = selected.index(keypoint_numbers((self.params.center_mode,))[0])
        return Pose(x[center], y[center], *heading)
