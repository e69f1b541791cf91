"""One individual moves towards another that moves away."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import polars as pl
from pydantic import Field

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.kernels.approach import Limits, Motion, approach_events, ratio
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.derivatives import step_difference
from mosaic_dagster.features.kernels.frame_pairs import (
    pair_numbers,
    split_labels,
    unordered_pairs,
)
from mosaic_dagster.features.kernels.runs import find_runs
from mosaic_dagster.features.kernels.smoothing import moving_mean
from mosaic_dagster.features.kernels.stretches import stretches_of
from mosaic_dagster.features.library.interpolated import CleanRows, clean_rows
from mosaic_dagster.features.library.pairs._frame_rows import BLOCK, FrameRows, pair_schema
from mosaic_dagster.features.library.rows import need_fps, numbers
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import (
    DatasetFacts,
    InterpolationConfig,
    Params,
    SamplingConfig,
)
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_FLAGS = ("label_id", "aa_event", "aa_event_12", "aa_event_21")


class ApproachAvoidanceParams(Params):
    """Parameters of :class:`ApproachAvoidance`.

    Attributes
    ----------
    interpolation
        Which holes are filled and which rows are dropped first.
    sampling
        Frame rate for tables that do not say it, and smoothing of positions and headings.
    velocity_units
        ``per_frame``: displacement since the row before; ``per_second``: unit of the tracks per
        second.
    angle_units
        Unit of ANGLE; ``auto`` takes it for degrees where a recording has a value beyond 2 pi.
    consecutive_frame_delta
        Rows follow each other when their frames differ by this much.
    distance_threshold
        Largest distance of the two, unit of the tracks.
    approacher_velocity_threshold, avoider_velocity_threshold
        Lowest speed of either, in ``velocity_units``.
    cos_approacher_threshold, cos_avoider_threshold
        Lowest cosine between the velocity and the direction from the approacher to the avoider.
    min_event_length, min_event_count
        A candidate frame is an event when at least ``min_event_count`` (at most the length) of the
        last ``min_event_length`` frames, itself included, are candidates.
    orientation_gate_cos
        Lowest cosine between the approacher's heading and its velocity; None asks for none, and
        ANGLE is not read.
    smooth_window_sec
        Distances, speeds and cosines are averaged over this centred window; None does not.
    """

    interpolation: InterpolationConfig = InterpolationConfig()
    sampling: SamplingConfig = SamplingConfig()
    velocity_units: Literal["per_frame", "per_second"] = "per_frame"
    angle_units: Literal["radians", "degrees", "auto"] = "radians"
    consecutive_frame_delta: int = Field(default=1, ge=1)
    distance_threshold: float = Field(default=200.0, gt=0)
    approacher_velocity_threshold: float = Field(default=5.0, ge=0)
    avoider_velocity_threshold: float = Field(default=5.0, ge=0)
    cos_approacher_threshold: float = Field(default=0.8, ge=-1, le=1)
    cos_avoider_threshold: float = Field(default=0.5, ge=-1, le=1)
    min_event_length: int = Field(default=10, ge=1)
    min_event_count: int = Field(default=5, ge=1)
    orientation_gate_cos: float | None = Field(default=0.8660254, ge=-1, le=1)
    smooth_window_sec: float | None = Field(default=None, gt=0)

    def resolve(self, facts: DatasetFacts) -> Self:
        """Take the frame rate of the dataset where none is given."""
        resolved = super().resolve(facts)
        if resolved.sampling.fps_default is not None or facts.fps is None:
            return resolved
        sampling = resolved.sampling.model_copy(update={"fps_default": facts.fps})
        return resolved.model_copy(update={"sampling": sampling})


@register
class ApproachAvoidance(Feature[ApproachAvoidanceParams]):
    """Frames in which one individual approaches another that avoids it.

    Columns per frame and pair (id1 below id2), int8: ``aa_event_12`` (id1 approaches id2, which
    avoids it), ``aa_event_21`` (the reverse), ``aa_event`` (either) and ``label_id`` (the same as
    ``aa_event``). :func:`extract_events` makes a table of events of them.

    Notes
    -----
    With velocity v (difference to the row before where the frames differ by
    ``consecutive_frame_delta``, else none) and d from id1 to id2, a frame is a candidate of
    direction 12 when ``0 < |d| <= distance_threshold``, both speeds reach their thresholds,
    ``v1·d / |v1||d|`` and ``v2·d / |v2||d|`` reach theirs, and so does the cosine of id1's heading
    and v1. Direction 21 swaps the two. What is missing is never a candidate. Averages skip missing
    values and end at frame gaps. Frames in which one of both has no row after cleaning give no row;
    rows are in the order of frame, id1, id2. Notes of the table: n_filled, n_median, n_dropped.
    """

    name = "approach-avoidance"
    version = "1.0"
    Params = ApproachAvoidanceParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, centre, and the heading for the gate."""
        return ("frame", "id", *self._columns())

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Keys of the pair and four flags."""
        return pair_schema(schema, dict.fromkeys(_FLAGS, pl.Int8()), perspective=False)

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Find the events of one recording."""
        self.check_columns(table.schema)
        radians = self._in_radians(table)
        clean = clean_rows(radians, self._columns(), self.params.interpolation)
        again = np.argsort(clean.frames, kind="stable")
        rows = FrameRows(table, clean.positions[again], clean.frames[again], clean.identity[again])
        motion = self._motion(clean, self._rate(table)).take(again)
        first, second = unordered_pairs(rows.frames)
        owner = pair_numbers(rows.individual, (first, second))
        by_pair = np.argsort(owner, kind="stable")
        window, limits = self._averaged_rows(table), self._limits()
        flags = np.zeros((2, len(first)), dtype=np.int8)
        for block in split_labels(owner[by_pair], BLOCK):
            at = by_pair[block]
            flags[:, at] = approach_events(
                motion.take(first[at]),
                motion.take(second[at]),
                owner[at],
                rows.frames[first[at]],
                limits,
                window=window,
                step=self.params.consecutive_frame_delta,
            )
        either = flags.max(axis=0)
        values = dict(zip(_FLAGS, (either, either, *flags), strict=True))
        made = rows.pair_table((first, second), values, perspective=False)
        return FeatureTable(made, clean.notes)

    def _columns(self) -> list[str]:
        return ["X", "Y", *(["ANGLE"] if self.params.orientation_gate_cos is not None else [])]

    def _in_radians(self, table: pl.DataFrame) -> pl.DataFrame:
        units = self.params.angle_units
        if "ANGLE" not in self._columns() or units == "radians":
            return table
        angle = numbers(table, "ANGLE")
        if units == "auto" and np.abs(np.nan_to_num(angle)).max(initial=0.0) <= 2 * np.pi:
            return table
        return table.with_columns(pl.Series("ANGLE", np.radians(angle)))

    def _averaged_rows(self, table: pl.DataFrame) -> int:
        if self.params.smooth_window_sec is None or not table.height:
            return 1
        fps = need_fps(table, self.params.sampling.fps_default, self.name)
        return max(1, round(self.params.smooth_window_sec * fps))

    def _motion(self, clean: CleanRows, rate: float) -> Motion:
        """Motion of each row, sorted by individual, then frame."""
        x, y, *angles = clean.values
        angle = angles[0] if angles else np.zeros(len(x))
        cos, sin = np.cos(angle), np.sin(angle)
        if self.params.sampling.smooth_win > 1:
            runs = find_runs(clean.identity, clean.frames)
            x, y, cos, sin = (self._smooth(signal, runs) for signal in (x, y, cos, sin))
        step = step_difference(clean.frames.astype(np.float64), clean.identity)
        factor = np.where(step == self.params.consecutive_frame_delta, rate, np.nan)
        vx = step_difference(x, clean.identity) * factor
        vy = step_difference(y, clean.identity) * factor
        speed = np.hypot(vx, vy)
        along = ratio(vx * cos + vy * sin, speed * np.hypot(cos, sin))
        return Motion(x, y, vx, vy, speed, along)

    def _smooth(self, signal: FloatArray, runs: list[slice]) -> FloatArray:
        smoothed = np.empty_like(signal)
        for run in runs:
            smoothed[run] = moving_mean(signal[run], self.params.sampling.smooth_win)
        return smoothed

    def _rate(self, table: pl.DataFrame) -> float:
        if self.params.velocity_units == "per_frame" or not table.height:
            return 1.0
        fps = need_fps(table, self.params.sampling.fps_default, self.name)
        return fps / self.params.consecutive_frame_delta

    def _limits(self) -> Limits:
        given = self.params
        gate = given.orientation_gate_cos
        return Limits(
            distance=given.distance_threshold,
            approacher_speed=given.approacher_velocity_threshold,
            avoider_speed=given.avoider_velocity_threshold,
            approacher_cos=given.cos_approacher_threshold,
            avoider_cos=given.cos_avoider_threshold,
            along=-np.inf if gate is None else gate,
            length=given.min_event_length,
            count=min(given.min_event_count, given.min_event_length),
        )


def extract_events(
    table: pl.DataFrame, min_duration: int = 1, *, consecutive_frame_delta: int = 1
) -> pl.DataFrame:
    """Maximal stretches of frames in which one individual approaches another.

    Parameters
    ----------
    table
        Tables of :class:`ApproachAvoidance`, of one or several recordings.
    min_duration
        Shortest event in frames.
    consecutive_frame_delta
        A larger step between two frames ends an event.

    Returns
    -------
    DataFrame
        One row per event, sorted by recording, pair, direction and start: ``id1``, ``id2``,
        ``start_frame``, ``end_frame`` (its last frame), ``duration`` (frames from the first to the
        last, both counted), ``direction`` (``12``: id1 approaches; ``21``), ``approacher_id``,
        ``avoider_id``, and ``group`` and ``sequence`` if the table has them.

    Raises
    ------
    MissingColumnError
        The table is not one of approach-avoidance.
    """
    needed = ("frame", "id1", "id2", "aa_event_12", "aa_event_21")
    for column in needed:
        if column not in table.columns:
            msg = f"The table has no column {column!r}, which events are made of."
            raise MissingColumnError(msg, "Give a table of approach-avoidance.")
    origin = [name for name in ("group", "sequence") if name in table.columns]
    pair = [*origin, "id1", "id2"]
    found = []
    for direction in ("12", "21"):
        active = table.filter(pl.col(f"aa_event_{direction}") == 1).sort(*pair, "frame")
        owner = active.select(pl.struct(pair).rle_id().cast(pl.Int64)).to_series().to_numpy()
        frames = active["frame"].cast(pl.Int64).to_numpy()
        events = stretches_of(owner, frames, consecutive_frame_delta).at_least(min_duration)
        firsts = np.searchsorted(owner, events.owner)
        approacher, avoider = pair[-2:] if direction == "12" else pair[:-3:-1]
        found.append(
            active.select(pair)[firsts].select(
                "id1",
                "id2",
                pl.Series("start_frame", events.start),
                pl.Series("end_frame", events.end),
                pl.Series("duration", events.end - events.start + 1),
                pl.lit(direction).alias("direction"),
                pl.col(approacher).alias("approacher_id"),
                pl.col(avoider).alias("avoider_id"),
                *origin,
            )
        )
    return pl.concat(found).sort(*pair, "direction", "start_frame")
