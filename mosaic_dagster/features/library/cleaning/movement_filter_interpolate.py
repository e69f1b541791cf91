"""Take out positions that the tracker was unsure of, and interpolate what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.kernels.gap_interpolation import Method, interpolate_gaps
from mosaic_dagster.features.library.cleaning._coordinates import (
    CoordinateParams,
    changed_schema,
    with_changed,
)
from mosaic_dagster.features.library.rows import RowOrder, numbers, order_rows
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


class MovementFilterInterpolateParams(CoordinateParams):
    """Parameters of :class:`MovementFilterInterpolate`, beside those of ``CoordinateParams``.

    Attributes
    ----------
    confidence_threshold
        Keypoints with a lower ``poseP`` are taken out.
    interpolation_method
        ``linear``, ``nearest``, ``quadratic`` or ``cubic``.
    max_gap
        Longest gap that is filled, in frames; None fills all.
    """

    confidence_threshold: float = Field(default=0.6, ge=0, allow_inf_nan=False)
    interpolation_method: Method = "linear"
    max_gap: int | None = Field(default=None, ge=0)


@register
class MovementFilterInterpolate(Feature[MovementFilterInterpolateParams]):
    """Tracks without uncertain keypoints, and with the gaps between known positions filled.

    Gives every column of the input; the chosen coordinates (X, Y, poseX{k}, poseY{k}) are changed
    in place (float64, unit of the tracks, NaN where missing).

    Notes
    -----
    A keypoint is missing where ``poseP{k}`` is below the threshold or is missing itself; keypoints
    without that column are not filtered. The centre has no confidence and is never taken out.
    Then each coordinate of each individual is interpolated by itself over frames, see
    :func:`~mosaic_dagster.features.kernels.gap_interpolation.interpolate_gaps`; frames without a
    row count towards a gap and get no row, and nothing is filled before the first or after the
    last known value. Infinite positions count as missing. Rows keep the order of the input.

    Notes of the table: counts of coordinate values taken out (``n_low_confidence``), filled
    (``n_filled``) and still missing (``n_missing``); ``not_filtered`` says which keypoints have no
    confidence.
    """

    name = "movement-filter-interpolate"
    version = "1.0"
    Params = MovementFilterInterpolateParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, and the coordinates that are named."""
        return self.params.needed_columns()

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The input's columns, the chosen coordinates as float64."""
        return changed_schema(schema, self.params.chosen_columns(schema, self.name))

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Clean one recording."""
        self.check_columns(table.schema)
        names = self.params.chosen_columns(table.columns, self.name)
        rows = order_rows(table)
        low = self._low_confidence(table)
        changed: dict[str, FloatArray] = {}
        counts = dict.fromkeys(("n_low_confidence", "n_filled", "n_missing"), 0)
        for name in names:
            values = numbers(table, name)
            known = np.isfinite(values)
            if name in low:
                counts["n_low_confidence"] += int((known & low[name]).sum())
                values[low[name]] = np.nan
                known &= ~low[name]
            if not known.all():
                values = self._fill(values, rows)
            missing = int(np.isnan(values).sum())
            counts["n_filled"] += int((~known).sum()) - missing
            counts["n_missing"] += missing
            changed[name] = values
        notes: dict[str, Any] = {**counts, **self._not_filtered(table)}
        return FeatureTable(with_changed(table, changed), notes)

    def _low_confidence(self, table: pl.DataFrame) -> dict[str, BoolArray]:
        """Rows in which a coordinate is to be taken out, by column."""
        low = {}
        for k in self.params.chosen_keypoints(table.columns):
            if f"poseP{k}" in table.columns:
                confident = numbers(table, f"poseP{k}") >= self.params.confidence_threshold
                low[f"poseX{k}"] = low[f"poseY{k}"] = ~confident
        return low

    def _not_filtered(self, table: pl.DataFrame) -> dict[str, str]:
        chosen = self.params.chosen_keypoints(table.columns)
        lacking = [f"poseP{k}" for k in chosen if f"poseP{k}" not in table.columns]
        if not lacking:
            return {}
        which = "no keypoint" if len(lacking) == len(chosen) else "not all keypoints"
        found = f"{which} could be filtered by confidence: no column {', '.join(lacking)}"
        return {"not_filtered": found}

    def _fill(self, values: FloatArray, rows: RowOrder) -> FloatArray:
        ordered = values[rows.order]
        for track in rows.tracks:
            ordered[track] = interpolate_gaps(
                ordered[track],
                rows.frames[track],
                self.params.interpolation_method,
                self.params.max_gap,
            )
        return rows.restore(ordered)
