"""Speed, velocity and turning rate of each individual."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from mosaic_dagster.features.kernels.angles import wrap
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.derivatives import step_difference
from mosaic_dagster.features.kernels.smoothing import savgol_finite
from mosaic_dagster.features.library.rows import RowOrder, find_fps, order_rows
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.params import FromDataset, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


class SpeedAngvelParams(Params):
    """Parameters of :class:`SpeedAngvel`.

    Attributes
    ----------
    step_size
        Also compute changes over this many rows.
    smooth_window
        Also smooth the speed over this odd number of rows.
    fps
        Frames per second for tables that do not say it.
    """

    step_size: int | None = Field(default=None, ge=1)
    smooth_window: int | None = Field(default=None, ge=3)
    fps: Annotated[float | None, Field(gt=0), FromDataset("fps")] = None

    @field_validator("smooth_window")
    @classmethod
    def _odd(cls, window: int | None) -> int | None:
        if window is not None and window % 2 == 0:
            msg = "must be odd, so that the window has a middle row"
            raise ValueError(msg)
        return window


@register
class SpeedAngvel(Feature[SpeedAngvelParams]):
    """Backward differences of position and heading, divided by the time between the two rows.

    Columns: ``speed``, ``vx``, ``vy`` (unit of the tracks per second), ``angvel`` (rad/s, only with
    ANGLE), ``speed_smooth`` (with smooth_window), ``speed_step`` and ``angvel_step`` (with
    step_size).

    Notes
    -----
    Time is frame difference / fps, else the difference of ``time``, else the frame difference (so
    rates are per frame). A gap of g frames is a time of g / fps: speeds across gaps are means over
    the gap. The first row of an individual, and any row where a value that is needed is missing or
    infinite, is NaN. ``speed_smooth`` is a Savitzky–Golay filter of degree 1 over each stretch of
    successive frames with a speed; stretches shorter than the window stay unsmoothed. Rows keep
    the order of the input.
    """

    name = "speed-angvel"
    version = "1.0"
    Params = SpeedAngvelParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and centre."""
        return ("frame", "id", "X", "Y")

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Columns by the parameters and by whether there is an ANGLE."""
        angle = "ANGLE" in schema
        names = ["speed", "vx", "vy", *(["angvel"] if angle else [])]
        if self.params.smooth_window is not None:
            names.append("speed_smooth")
        if self.params.step_size is not None:
            names += ["speed_step", *(["angvel_step"] if angle else [])]
        return values_schema(schema, {name: pl.Float64() for name in names})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compute the columns for one recording."""
        self.check_columns(table.schema)
        rows = order_rows(table)
        x, y = rows.sort(table, "X"), rows.sort(table, "Y")
        heading = rows.sort(table, "ANGLE") if "ANGLE" in table.columns else None
        clock = self._clock(table, rows)
        values = _rates(rows, clock, x, y, heading, 1)
        if self.params.smooth_window is not None:
            values["speed_smooth"] = _smooth(values["speed"], rows, self.params.smooth_window)
        if self.params.step_size is not None:
            step = _rates(rows, clock, x, y, heading, self.params.step_size)
            values |= {f"{k}_step": step[k] for k in ("speed", "angvel") if k in step}
        return with_values(table, {name: rows.restore(v) for name, v in values.items()})

    def _clock(self, table: pl.DataFrame, rows: RowOrder) -> FloatArray:
        fps = find_fps(table, self.params.fps)
        if fps is not None:
            return rows.frames / fps
        if "time" in table.columns:
            return rows.sort(table, "time")
        return rows.frames.astype(np.float64)


def _rates(
    rows: RowOrder,
    clock: FloatArray,
    x: FloatArray,
    y: FloatArray,
    heading: FloatArray | None,
    step: int,
) -> dict[str, FloatArray]:
    dt = step_difference(clock, rows.identity, step)
    dt[dt == 0] = np.nan
    vx = step_difference(x, rows.identity, step) / dt
    vy = step_difference(y, rows.identity, step) / dt
    rates = {"speed": np.hypot(vx, vy), "vx": vx, "vy": vy}
    if heading is not None:
        rates["angvel"] = wrap(step_difference(heading, rows.identity, step)) / dt
    return rates


def _smooth(speed: FloatArray, rows: RowOrder, window: int) -> FloatArray:
    smoothed = speed.copy()
    for run in rows.runs:
        smoothed[run] = savgol_finite(speed[run], window, 1)
    return smoothed
