"""Pairs seen from their centres and headings."""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl

from mosaic_dagster.features.kernels.egocentric import Pose
from mosaic_dagster.features.library.interpolated import clean_rows
from mosaic_dagster.features.library.pairs._ego import EGO_COLUMNS, ego_table, sampling_of
from mosaic_dagster.features.library.pairs._pair_table import pair_schema
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import (
    DatasetFacts,
    InterpolationConfig,
    Params,
    SamplingConfig,
)
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_COLUMNS = ("X", "Y", "ANGLE")


class PairPositionParams(Params):
    """Parameters of :class:`PairPosition`.

    Attributes
    ----------
    interpolation
        Which holes in X, Y and ANGLE are filled, and which rows are dropped.
    sampling
        Smoothing before rates are taken, and the frame rate for tables that do not say it.
    """

    interpolation: InterpolationConfig = InterpolationConfig()
    sampling: SamplingConfig = SamplingConfig()

    def resolve(self, facts: DatasetFacts) -> Self:
        """Take the frame rate of the dataset where none is given."""
        resolved = super().resolve(facts)
        return resolved.model_copy(update={"sampling": sampling_of(resolved.sampling, facts)})


@register
class PairPosition(Feature[PairPositionParams]):
    """Motion of both animals of a pair, and where the partner is, from X, Y and ANGLE.

    One row per frame, ordered pair and with both perspectives: ``id1`` is the focal animal A,
    ``id2`` its partner B; perspective 0 has the lower id as A, perspective 1 the higher. float32:
    ``A_speed``, ``A_v_para``, ``A_v_perp`` and the same of B (unit of the tracks per second; along
    the animal's own heading h = (cos, sin), and along (-sin, cos)), ``A_ang_speed``,
    ``B_ang_speed`` (rad/s), ``A_heading_cos``, ``A_heading_sin``, ``AB_dist``, ``AB_dx_egoA``,
    ``AB_dy_egoA`` (unit of the tracks; offset of B's centre along A's axes), ``rel_heading_cos``,
    ``rel_heading_sin`` (of B's heading minus A's).

    Notes
    -----
    Each track is cleaned first, see
    :func:`~mosaic_dagster.features.library.interpolated.interpolate_rows`; a frame counts for a
    pair when both animals have a row left. Smoothing (moving mean; headings as unit vectors) and
    rates (central differences, one-sided at the ends, times fps) stay inside runs of successive
    frames of the pair; a run of one frame has no rates (NaN). Formulas:
    :mod:`mosaic_dagster.features.kernels.egocentric`. Rows are sorted by frame, id1, id2; without
    a pair there is no row. Notes of the table: n_filled, n_median, n_dropped, n_pairs.
    """

    name = "pair-position"
    version = "1.0"
    Params = PairPositionParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, centre and heading."""
        return ("frame", "id", *_COLUMNS)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Pairs and the egocentric columns."""
        self.check_columns(schema)
        return pair_schema(schema, EGO_COLUMNS)

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Compute the columns for one recording."""
        self.check_columns(table.schema)
        clean = clean_rows(table, _COLUMNS, self.params.interpolation)
        x, y, heading = clean.values
        pose = Pose(x, y, np.cos(heading), np.sin(heading))
        return ego_table(table, clean, pose, self.params.sampling, self.name)
