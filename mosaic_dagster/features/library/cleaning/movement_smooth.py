"""Smooth coordinates over windows of frames."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.frame_windows import (
    EdgeMode,
    Statistic,
    grid_positions,
    rolling_statistic,
    savgol_grid,
)
from mosaic_dagster.features.library.cleaning._coordinates import (
    CoordinateParams,
    changed_schema,
    with_changed,
)
from mosaic_dagster.features.library.rows import matrix, order_rows
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


class MovementSmoothParams(CoordinateParams):
    """Parameters of :class:`MovementSmooth`, beside those of ``CoordinateParams``.

    Attributes
    ----------
    method
        ``savgol`` fits polynomials, ``rolling`` takes a statistic.
    window
        Odd number of frames.
    statistic
        What ``rolling`` takes of the values in a window.
    min_periods
        Fewest known values in a window of ``rolling``; None means the whole window.
    polyorder
        Degree of the polynomials of ``savgol``, below the window.
    savgol_mode
        How ``savgol`` goes on beyond the first and the last frame of an individual.
    """

    method: Literal["savgol", "rolling"] = "savgol"
    window: int = Field(default=5, ge=1)
    statistic: Statistic = "median"
    min_periods: int | None = Field(default=None, ge=1)
    polyorder: int = Field(default=2, ge=0)
    savgol_mode: EdgeMode = "nearest"

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            msg = "must be odd, so that the window has a middle frame"
            raise ValueError(msg)
        return window

    @model_validator(mode="after")
    def _window_is_large_enough(self) -> Self:
        if self.method == "savgol" and self.polyorder >= self.window:
            msg = f"window {self.window} must be larger than polyorder {self.polyorder}"
            raise ValueError(msg)
        if self.min_periods is not None and self.min_periods > self.window:
            msg = f"min_periods {self.min_periods} is larger than window {self.window}"
            raise ValueError(msg)
        return self


@register
class MovementSmooth(Feature[MovementSmoothParams]):
    """Tracks with their coordinates smoothed over a centred window of frames.

    Gives every column of the input; the chosen coordinates (X, Y, poseX{k}, poseY{k}) are changed
    in place (float64, unit of the tracks).

    Notes
    -----
    Each coordinate of each individual is smoothed by itself, over all frames from the individual's
    first to its last; frames without a row are missing values and get no row. ``savgol``: a window
    with a missing value gives NaN; see
    :func:`~mosaic_dagster.features.kernels.frame_windows.savgol_grid` for the ends. ``rolling``: a
    window with fewer than ``min_periods`` known values gives NaN, and frames before the first and
    after the last are missing; a row without a value gets one where its window has enough of them.
    Infinite positions count as missing. Rows keep the order of the input.
    """

    name = "movement-smooth"
    version = "1.0"
    Params = MovementSmoothParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, and the coordinates that are named."""
        return self.params.needed_columns()

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The input's columns, the chosen coordinates as float64."""
        return changed_schema(schema, self.params.chosen_columns(schema, self.name))

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Smooth one recording."""
        self.check_columns(table.schema)
        names = self.params.chosen_columns(table.columns, self.name)
        rows = order_rows(table)
        values = matrix(table, names)
        for track in rows.tracks:
            order = rows.order[track]
            places = grid_positions(rows.frames[track], self.params.window)
            grid = np.full((places[-1] + 1, len(names)), np.nan)
            grid[places] = values[order]
            values[order] = self._smooth(grid)[places]
        return with_changed(table, dict(zip(names, values.T, strict=True)))

    def _smooth(self, grid: FloatArray) -> FloatArray:
        params = self.params
        if params.method == "savgol":
            return savgol_grid(grid, params.window, params.polyorder, params.savgol_mode)
        min_periods = params.window if params.min_periods is None else params.min_periods
        return rolling_statistic(grid, params.window, params.statistic, min_periods)
