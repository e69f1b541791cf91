"""How each animal moves, and how it moves with its neighbours, over a whole recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.kernels.derivatives import step_difference
from mosaic_dagster.features.library.neighbors._rows import (
    animals,
    frame_rate,
    need_column,
    neighbor_values,
    order_by_animal,
)
from mosaic_dagster.features.library.rows import RowOrder, numbers
from mosaic_dagster.features.output import ORIGIN_COLUMNS
from mosaic_dagster.features.params import FromDataset, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_SOCIAL = (
    "nn_align",
    "frac_nn_ahead",
    "nn_bearing_x",
    "nn_bearing_y",
    "speed_match_nn",
    "speed_match_group",
)
_STATISTICS = ("mean", "med", "cv", "rcv")
_MOTION = (
    "speed_cv",
    "speed_rcv",
    *(f"accel_{statistic}" for statistic in _STATISTICS),
    *(f"jerk_{statistic}" for statistic in _STATISTICS),
)
_BURSTS = ("kick_rate", "burst_coast_ratio")


class SocialMotionSummaryParams(Params):
    """Parameters of :class:`SocialMotionSummary`.

    Attributes
    ----------
    fps
        Frames per second for tables that do not say it.
    speed_col
        The speed of each animal.
    social_min_group_size
        Rows in smaller groups are not social; only with a column ``group_size``.
    compute_burst_coast
        Also give ``kick_rate`` and ``burst_coast_ratio``.
    """

    fps: Annotated[float | None, Field(gt=0), FromDataset("fps")] = None
    speed_col: str = Field(default="speed", min_length=1)
    social_min_group_size: int = Field(default=2, ge=1)
    compute_burst_coast: bool = False


@register
class SocialMotionSummary(Feature[SocialMotionSummaryParams]):
    """One row per animal: how it keeps to its neighbours, and how unevenly it moves.

    Over its social rows (it has a nearest neighbour and, with a column ``group_size``, is in a
    group of ``social_min_group_size`` or more): ``nn_align`` mean cos(nn_delta_angle);
    ``frac_nn_ahead`` share with nn_delta_x_ego > 0; ``nn_bearing_x``, ``nn_bearing_y`` mean unit
    vector to the neighbour, seen from the animal; ``speed_match_nn`` mean difference of speed to
    the neighbour, absolute; ``speed_match_group`` the same to the mean speed of its group in the
    frame (column ``group_membership``), itself included.

    Over all its rows: ``speed_cv`` standard deviation (ddof 0) / mean and ``speed_rcv``
    interquartile range / median of the speed; ``accel_mean``, ``accel_med``, ``accel_cv``,
    ``accel_rcv`` of the absolute acceleration, and ``jerk_…`` of the absolute jerk. With
    compute_burst_coast ``kick_rate``: how often the acceleration turns from above 0 to 0 or below
    from one row to the next, per second between the first and the last frame;
    ``burst_coast_ratio``: share of rows that accelerate.

    Units: those of the speed, per second for the acceleration, per second squared for the jerk;
    ratios have none.

    Notes
    -----
    Acceleration is the change of speed since the animal's row before, divided by frame difference
    / fps; jerk is the same of the acceleration. Each statistic is taken over its finite values;
    with none of them, with a denominator of 0, or without the columns of nearest-neighbor or
    ffgroups that it needs, it is NaN. Rows are sorted by id.
    """

    name = "social-motion-summary"
    version = "1.0"
    category = "summary"
    Params = SocialMotionSummaryParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and speed."""
        return ("frame", "id", self.params.speed_col)

    def check_columns(self, schema: Mapping[str, Any]) -> None:
        """Refuse an input that lacks a column, and say which feature makes it."""
        need_column(schema, [self.params.speed_col], "speed-angvel", self.name)
        super().check_columns(schema)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The id and one column per statistic."""
        names = [*_SOCIAL, *_MOTION, *(_BURSTS if self.params.compute_burst_coast else ())]
        columns = {"id": schema["id"], **{name: pl.Float64() for name in names}}
        return pl.Schema(
            columns | {name: schema[name] for name in ORIGIN_COLUMNS if name in schema}
        )

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Summarise one recording."""
        self.check_columns(table.schema)
        schema = self.output_schema(table.schema)
        if not table.height:
            return pl.DataFrame(schema=schema)
        rows = order_by_animal(table)
        per_row = self._social_values(table, rows)
        fps = frame_rate(table, self.params.fps, self.name)
        ordered = {name: values[rows.order] for name, values in per_row.items()}
        motion = _motion_values(rows, numbers(table, self.params.speed_col)[rows.order], fps)
        summaries = []
        for track in rows.tracks:
            summary = {name: _mean(values[track]) for name, values in ordered.items()}
            summary |= _spread("speed", motion["speed"][track])
            for rate in ("accel", "jerk"):
                summary |= _level(rate, np.abs(motion[rate][track]))
            if self.params.compute_burst_coast:
                frames = rows.frames[track]
                seconds = float(frames[-1] - frames[0]) / fps
                summary |= _bursts(motion["accel"][track], seconds)
            summaries.append(summary)
        first = rows.order[[track.start for track in rows.tracks]]
        origin = [table[name].gather(first) for name in ORIGIN_COLUMNS if name in table.columns]
        values = pl.DataFrame(summaries, schema={name: pl.Float64() for name in summaries[0]})
        made = pl.DataFrame([table["id"].gather(first), *values.get_columns(), *origin])
        return made.select(schema.names())

    def _social_values(self, table: pl.DataFrame, rows: RowOrder) -> dict[str, FloatArray]:
        """What the social means are taken over; NaN in rows that are not social."""
        speed = numbers(table, self.params.speed_col)
        angle, dx, dy = (
            _optional(table, column)
            for column in ("nn_delta_angle", "nn_delta_x_ego", "nn_delta_y_ego")
        )
        distance = np.hypot(dx, dy)
        distance[distance == 0] = np.nan
        values = {
            "nn_align": np.cos(angle),
            "frac_nn_ahead": np.where(np.isfinite(dx), dx > 0, np.nan),
            "nn_bearing_x": dx / distance,
            "nn_bearing_y": dy / distance,
            "speed_match_nn": np.abs(speed - self._neighbor_speed(table)),
            "speed_match_group": np.abs(speed - _group_speed(table, rows, speed)),
        }
        social = _is_social(table, self.params.social_min_group_size)
        return {name: np.where(social, column, np.nan) for name, column in values.items()}

    def _neighbor_speed(self, table: pl.DataFrame) -> FloatArray:
        if "nn_id" not in table.columns:
            return np.full(table.height, np.nan)
        column = self.params.speed_col
        found = neighbor_values(table, animals(table, "nn_id"), [column])
        return numbers(pl.DataFrame(found), column)


def _is_social(table: pl.DataFrame, min_group_size: int) -> BoolArray:
    if "nn_id" not in table.columns:
        return np.zeros(table.height, dtype=np.bool_)
    social: BoolArray = animals(table, "nn_id").is_not_null().to_numpy()
    if "group_size" in table.columns:
        social = social & (numbers(table, "group_size") >= min_group_size)
    return social


def _optional(table: pl.DataFrame, column: str) -> FloatArray:
    if column in table.columns:
        return numbers(table, column)
    return np.full(table.height, np.nan)


def _group_speed(table: pl.DataFrame, rows: RowOrder, speed: FloatArray) -> FloatArray:
    """Mean speed of the row's group in its frame over finite speeds, NaN without a group."""
    mean = np.full(table.height, np.nan)
    if "group_membership" not in table.columns:
        return mean
    group = numbers(table, "group_membership")
    # Sums run by id, so that they are the same for any order of the table's rows.
    members = rows.order[np.isfinite(group[rows.order]) & np.isfinite(speed[rows.order])]
    if not len(members):
        return mean
    frames = table["frame"].cast(pl.Int64).to_numpy()[members]
    _, frame_code = np.unique(frames, return_inverse=True)
    known, group_code = np.unique(group[members], return_inverse=True)
    _, cell = np.unique(frame_code * len(known) + group_code, return_inverse=True)
    mean[members] = (np.bincount(cell, weights=speed[members]) / np.bincount(cell))[cell]
    return mean


def _motion_values(rows: RowOrder, speed: FloatArray, fps: float) -> dict[str, FloatArray]:
    """Speed, acceleration and jerk of the sorted rows."""
    seconds = step_difference(rows.frames / fps, rows.identity)
    accel = step_difference(speed, rows.identity) / seconds
    return {
        "speed": speed,
        "accel": accel,
        "jerk": step_difference(accel, rows.identity) / seconds,
    }


def _mean(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else np.nan


def _spread(name: str, values: FloatArray) -> dict[str, float]:
    """Coefficients of variation, by moments and by quartiles."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {f"{name}_cv": np.nan, f"{name}_rcv": np.nan}
    low, median, high = (float(q) for q in np.quantile(finite, [0.25, 0.5, 0.75]))
    return {
        f"{name}_cv": _ratio(float(finite.std()), float(finite.mean())),
        f"{name}_rcv": _ratio(high - low, median),
    }


def _level(name: str, values: FloatArray) -> dict[str, float]:
    finite = values[np.isfinite(values)]
    median = float(np.median(finite)) if len(finite) else np.nan
    return {f"{name}_mean": _mean(values), f"{name}_med": median, **_spread(name, values)}


def _bursts(accel: FloatArray, seconds: float) -> dict[str, float]:
    ends = (accel[:-1] > 0) & (accel[1:] <= 0)
    known = accel[np.isfinite(accel)]
    return {
        "kick_rate": _ratio(float(ends.sum()), seconds) if len(known) else np.nan,
        "burst_coast_ratio": _mean((known > 0).astype(np.float64)),
    }
