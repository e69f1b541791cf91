"""Remove jumps from trajectories, fill the holes, and smooth."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.kernels.derivatives import step_difference
from mosaic_dagster.features.kernels.interpolation import fill_holes
from mosaic_dagster.features.kernels.keypoints import keypoint_columns, keypoint_indices
from mosaic_dagster.features.kernels.smoothing import savgol_finite
from mosaic_dagster.features.library.rows import RowOrder, find_fps, order_rows
from mosaic_dagster.features.output import FeatureTable, key_first
from mosaic_dagster.features.params import FromDataset, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


class TrajectorySmoothParams(Params):
    """Parameters of :class:`TrajectorySmooth`.

    Attributes
    ----------
    speed_threshold
        Faster steps are taken for tracking errors: unit of the tracks per second where the frame
        rate is known, else per frame. None marks nothing.
    fps
        Frames per second for tables that do not say it.
    interpolate_centroid, interpolate_pose
        Whether X, Y and the keypoints are blanked at bad rows and then filled.
    expand_frames
        How many rows before and after a jump are bad too.
    savgol_window, savgol_polyorder
        Odd window in rows and degree of the smoothing; no window, no smoothing.
    max_gap
        Longest hole, and longest stretch before the first or after the last position, that is
        filled, in frames; None fills all.
    """

    speed_threshold: float | None = Field(default=None, gt=0)
    fps: Annotated[float | None, Field(gt=0), FromDataset("fps")] = None
    interpolate_centroid: bool = True
    interpolate_pose: bool = False
    expand_frames: int = Field(default=2, ge=0)
    savgol_window: int | None = Field(default=None, ge=1)
    savgol_polyorder: int = Field(default=2, ge=0)
    max_gap: int | None = Field(default=None, ge=0)

    @field_validator("savgol_window")
    @classmethod
    def _odd(cls, window: int | None) -> int | None:
        if window is not None and window % 2 == 0:
            msg = "must be odd, so that the window has a middle row"
            raise ValueError(msg)
        return window

    @model_validator(mode="after")
    def _window_holds_polynomial(self) -> Self:
        if self.savgol_window is not None and self.savgol_window <= self.savgol_polyorder:
            msg = (
                f"savgol_window {self.savgol_window} must be larger than "
                f"savgol_polyorder {self.savgol_polyorder}"
            )
            raise ValueError(msg)
        return self


@register
class TrajectorySmooth(Feature[TrajectorySmoothParams]):
    """Tracks with jumps taken out, holes filled and coordinates smoothed.

    Gives every column of the input, X, Y and the keypoints changed in place (float64), and
    ``bad_frame`` (bool).

    Notes
    -----
    A row is a jump when its distance from the individual's row before, divided by the difference
    of their frames, exceeds the threshold; ``expand_frames`` rows on either side are bad with it.
    Holes are filled by lines over frames, ends by the nearest value. The Savitzky–Golay filter
    runs over each stretch of successive frames with finite values; shorter stretches than the
    window stay as they are. Infinite positions count as missing. Rows keep their order. Notes
    of the table: counts of bad and of filled rows.
    """

    name = "trajectory-smooth"
    version = "1.0"
    Params = TrajectorySmoothParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and centre."""
        return ("frame", "id", "X", "Y")

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The input's columns and ``bad_frame`` before the origin columns."""
        changed = {"X", "Y", *keypoint_columns(keypoint_indices(schema))}
        types = {name: pl.Float64() if name in changed else t for name, t in schema.items()}
        types["bad_frame"] = pl.Boolean()
        return pl.Schema({name: types[name] for name in _column_order(schema)})

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Clean one recording."""
        self.check_columns(table.schema)
        rows = order_rows(table)
        bad = self._bad_rows(table, rows)
        pose = keypoint_columns(keypoint_indices(table.columns))
        filled = np.zeros(table.height, dtype=np.bool_)
        columns: dict[str, BoolArray | FloatArray] = {"bad_frame": bad}
        for name in ("X", "Y", *pose):
            asked = (
                self.params.interpolate_pose if name in pose else self.params.interpolate_centroid
            )
            values = rows.sort(table, name)
            if asked:
                blanked = np.where(bad, np.nan, values)
                values = self._fill(blanked, rows)
                filled |= np.isnan(blanked) & np.isfinite(values)
            columns[name] = self._smooth(values, rows)
        restored = [pl.Series(name, rows.restore(column)) for name, column in columns.items()]
        cleaned = table.with_columns(restored).select(_column_order(table.columns))
        return FeatureTable(cleaned, {"n_bad": int(bad.sum()), "n_filled": int(filled.sum())})

    def _bad_rows(self, table: pl.DataFrame, rows: RowOrder) -> BoolArray:
        bad = np.zeros(table.height, dtype=np.bool_)
        if self.params.speed_threshold is None:
            return bad
        fps = find_fps(table, self.params.fps)
        limit = self.params.speed_threshold / (1.0 if fps is None else fps)
        dx = step_difference(rows.sort(table, "X"), rows.identity)
        dy = step_difference(rows.sort(table, "Y"), rows.identity)
        elapsed = step_difference(rows.frames.astype(np.float64), rows.identity)
        jump = np.hypot(dx, dy) / elapsed > limit
        width = 2 * self.params.expand_frames + 1
        for track in rows.tracks:
            # np.convolve gives the longer of its two inputs, so a short track is cut out of it.
            near = np.convolve(jump[track], np.ones(width))
            start = self.params.expand_frames
            bad[track] = near[start : start + (track.stop - track.start)] > 0
        return bad

    def _fill(self, values: FloatArray, rows: RowOrder) -> FloatArray:
        filled = values.copy()
        limit = self.params.max_gap
        for track in rows.tracks:
            filled[track] = fill_holes(
                values[track], rows.frames[track], hole_limit=limit, edge_limit=limit
            )
        return filled

    def _smooth(self, values: FloatArray, rows: RowOrder) -> FloatArray:
        window = self.params.savgol_window
        if window is None:
            return values
        smoothed = values.copy()
        for run in rows.runs:
            smoothed[run] = savgol_finite(values[run], window, self.params.savgol_polyorder)
        return smoothed


def _column_order(columns: pl.Schema | list[str]) -> list[str]:
    return key_first([*(name for name in columns if name != "bad_frame"), "bad_frame"])
