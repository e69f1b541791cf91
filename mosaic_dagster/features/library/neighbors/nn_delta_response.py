"""How each animal moves in the frames after its nearest neighbour stood somewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.features.kernels.angles import ego, wrap
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.smoothing import moving_mean
from mosaic_dagster.features.library.neighbors._rows import (
    animals,
    frame_rate,
    need_column,
    neighbor_values,
    order_by_animal,
)
from mosaic_dagster.features.library.rows import RowOrder, numbers
from mosaic_dagster.features.output import META_COLUMNS, values_schema, with_values
from mosaic_dagster.features.params import DatasetFacts, Params, SamplingConfig
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_OFFSETS = ("neighbor_x", "neighbor_y")
_CHANGES = ("dx", "dy", "dt", "dangle", "dspeed", "dt_frames", "dx_back", "dy_back")
_MADE = ("nn_id", *_OFFSETS, "neighbor_focal", *_CHANGES)


class NnDeltaResponseParams(Params):
    """Parameters of :class:`NnDeltaResponse`.

    Attributes
    ----------
    sampling
        Frame rate for tables that do not say it, and smoothing of position, speed and heading.
    speed_col
        Speed; ``speed`` where the table does not have this column.
    nn_id_col
        Number of the nearest neighbour; ``nn_fishID`` where the table does not have this column.
    nn_dx_ego_col, nn_dy_ego_col
        Offset of the neighbour seen from the animal.
    nn_dx_world_col, nn_dy_world_col
        Offset along the image's axes, used where the table lacks the former.
    focal_col
        Flag of each animal; may be absent.
    diff_numframes
        Lag in frames.
    diff_numframes_col
        Column that holds a lag of its own for each row.
    emit_backward
        Also give the change over the lag before the row.
    wrap_angle
        Bring turns to [-pi, pi).
    divide_dangle_by_frames
        Divide turns by the lag.
    scale_dangle_by_fps
        Multiply turns by the frame rate.
    tag_cols
        Columns to carry over, for the animal and for its neighbour.
    """

    sampling: SamplingConfig = SamplingConfig()
    speed_col: str = Field(default="SPEED", min_length=1)
    nn_id_col: str = Field(default="nn_id", min_length=1)
    nn_dx_ego_col: str = Field(default="nn_delta_x_ego", min_length=1)
    nn_dy_ego_col: str = Field(default="nn_delta_y_ego", min_length=1)
    nn_dx_world_col: str = Field(default="nn_delta_x", min_length=1)
    nn_dy_world_col: str = Field(default="nn_delta_y", min_length=1)
    focal_col: str = Field(default="Focal_fish", min_length=1)
    diff_numframes: int = Field(default=4, ge=1)
    diff_numframes_col: str | None = Field(default=None, min_length=1)
    emit_backward: bool = False
    wrap_angle: bool = True
    divide_dangle_by_frames: bool = True
    scale_dangle_by_fps: bool = True
    tag_cols: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        tags = [tag for tag in self.tag_cols if tag != self.focal_col]
        names = [self.focal_col, *tags, *(f"neighbor_{tag}" for tag in self.tag_cols)]
        taken = {*META_COLUMNS, *_MADE}
        for position, name in enumerate(names):
            if name in taken or name in names[:position]:
                msg = f"focal_col and tag_cols lead to a second column {name!r}"
                raise ValueError(msg)
        return self

    def resolve(self, facts: DatasetFacts) -> Self:
        """Take the frame rate of the dataset where none is given."""
        resolved = super().resolve(facts)
        if resolved.sampling.fps_default is not None or facts.fps is None:
            return resolved
        sampling = resolved.sampling.model_copy(update={"fps_default": facts.fps})
        return resolved.model_copy(update={"sampling": sampling})


@register
class NnDeltaResponse(Feature[NnDeltaResponseParams]):
    """Change of position, heading and speed over a lag, beside where the neighbour was before it.

    Reads tracks with ANGLE, a speed and the table of nearest-neighbor. One row for each row of the
    input whose row L further on (same animal) is exactly L frames later, that is without a gap
    between; L is ``diff_numframes``, or the rounded value of ``diff_numframes_col`` (half to even)
    where that is finite and at least 1.

    Columns: ``nn_id`` (Int64, null for none); ``neighbor_x``, ``neighbor_y``: neighbour seen from
    the animal at the first frame (ahead, and along its ``(-sin, cos)`` axis; unit of the tracks);
    ``neighbor_focal``: flag of the neighbour there, with the column ``focal_col``; ``dx``, ``dy``:
    displacement along the image's axes, unit of the tracks; ``dt``: L in frames; ``dangle``: turn
    in radians, by default wrapped, divided by L and multiplied by the frame rate (rad/s);
    ``dspeed``: change of the speed, in its unit; ``dt_frames`` (with diff_numframes_col): L;
    ``dx_back``, ``dy_back`` (with emit_backward): position now minus L frames ago, NaN where that
    row is not exactly L frames earlier; then ``focal_col``, and each tag with ``neighbor_<tag>``.

    Notes
    -----
    Missing or infinite values give NaN in what is computed from them and drop no row. Without ego
    offsets in the input the offsets along the image's axes are rotated by the animal's heading;
    without either ``neighbor_x`` and ``neighbor_y`` are NaN. Values of a neighbour are null where
    it has no row in that frame. With ``sampling.smooth_win`` position, speed and heading (as a
    unit vector) are moving means over each run of successive frames. Rows keep their order.
    """

    name = "nn-delta-response"
    version = "1.0"
    Params = NnDeltaResponseParams

    def input_columns(self) -> tuple[str, ...]:
        """What has one possible name; the speed and the neighbour's number have two."""
        lag = [] if self.params.diff_numframes_col is None else [self.params.diff_numframes_col]
        return ("frame", "id", "X", "Y", "ANGLE", *lag, *self.params.tag_cols)

    def check_columns(self, schema: Mapping[str, Any]) -> None:
        """Refuse an input that lacks a column, and say which feature makes it."""
        for column in ("frame", "id", "X", "Y"):
            need_column(schema, [column], "the tracks", self.name)
        need_column(schema, ["ANGLE"], "heading", self.name)
        self._speed_col(schema)
        self._nn_id_col(schema)
        for column in self.params.tag_cols:
            need_column(schema, [column], "id-tag-columns", self.name)
        super().check_columns(schema)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Columns by the parameters and by whether there is a flag of the animals."""
        values: dict[str, pl.DataType] = {"nn_id": pl.Int64()}
        values |= {"neighbor_x": pl.Float64(), "neighbor_y": pl.Float64()}
        focal = self.params.focal_col
        if focal in schema:
            values["neighbor_focal"] = schema[focal]
        for name in ("dx", "dy", "dt", "dangle", "dspeed"):
            values[name] = pl.Int64() if name == "dt" else pl.Float64()
        if self.params.diff_numframes_col is not None:
            values["dt_frames"] = pl.Int64()
        if self.params.emit_backward:
            values |= {"dx_back": pl.Float64(), "dy_back": pl.Float64()}
        if focal in schema:
            values[focal] = schema[focal]
        for tag in self.params.tag_cols:
            values |= {tag: schema[tag], f"neighbor_{tag}": schema[tag]}
        return values_schema(schema, values)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compute the responses of one recording."""
        self.check_columns(table.schema)
        rows = order_by_animal(table)
        lag = self._lags(table)
        later, found = _row_at(rows, lag)
        now = np.flatnonzero(found)
        nn_id = animals(table, self._nn_id_col(table.schema))
        focal = [c for c in (self.params.focal_col,) if c in table.columns]
        tags = list(self.params.tag_cols)
        carried = list(dict.fromkeys([*focal, *tags]))
        of_neighbor = neighbor_values(table, nn_id, carried)
        values: dict[str, npt.NDArray[Any] | pl.Series] = {"nn_id": nn_id[now]}
        for name, offset in zip(_OFFSETS, self._neighbor_offsets(table), strict=True):
            values[name] = offset[now]
        if focal:
            values["neighbor_focal"] = of_neighbor[focal[0]][now]
        values |= self._changes(table, rows, lag, now, later[now])
        values |= {column: table[column][now] for column in focal}
        for tag in tags:
            values |= {tag: table[tag][now], f"neighbor_{tag}": of_neighbor[tag][now]}
        keys = [table[column] for column in META_COLUMNS if column in table.columns]
        return with_values(pl.DataFrame(keys)[now], values)

    def _speed_col(self, schema: Mapping[str, Any]) -> str:
        return need_column(schema, [self.params.speed_col, "speed"], "speed-angvel", self.name)

    def _nn_id_col(self, schema: Mapping[str, Any]) -> str:
        names = [self.params.nn_id_col, "nn_fishID"]
        return need_column(schema, names, "nearest-neighbor", self.name)

    def _lags(self, table: pl.DataFrame) -> IntArray:
        """Lag of each row in frames, shape (n_rows,)."""
        lag = np.full(table.height, self.params.diff_numframes, dtype=np.int64)
        if self.params.diff_numframes_col is not None:
            asked = np.rint(numbers(table, self.params.diff_numframes_col))
            own = asked >= 1
            # No row lies further on than there are rows.
            lag[own] = np.minimum(asked[own], table.height).astype(np.int64)
        return lag

    def _neighbor_offsets(self, table: pl.DataFrame) -> tuple[FloatArray, FloatArray]:
        params = self.params
        seen = (params.nn_dx_ego_col, params.nn_dy_ego_col)
        if all(column in table.columns for column in seen):
            return numbers(table, seen[0]), numbers(table, seen[1])
        world = (params.nn_dx_world_col, params.nn_dy_world_col)
        if all(column in table.columns for column in world):
            dx, dy = (numbers(table, column) for column in world)
            return ego(dx, dy, numbers(table, "ANGLE"))
        return np.full(table.height, np.nan), np.full(table.height, np.nan)

    def _changes(
        self, table: pl.DataFrame, rows: RowOrder, lag: IntArray, now: IntArray, later: IntArray
    ) -> dict[str, npt.NDArray[Any]]:
        """Changes from some rows of the table to those at the end of their lag."""
        window, lags = self.params.sampling.smooth_win, lag[now]
        x, y = (_smooth(rows, numbers(table, column), window) for column in ("X", "Y"))
        speed = _smooth(rows, numbers(table, self._speed_col(table.schema)), window)
        heading = _smooth_angle(rows, numbers(table, "ANGLE"), window)
        turn = heading[later] - heading[now]
        if self.params.wrap_angle:
            turn = wrap(turn)
        if self.params.divide_dangle_by_frames:
            turn = turn / lags
        if self.params.scale_dangle_by_fps and table.height:
            turn = turn * frame_rate(table, self.params.sampling.fps_default, self.name)
        changes: dict[str, npt.NDArray[Any]] = {"dx": x[later] - x[now], "dy": y[later] - y[now]}
        changes |= {"dt": lags, "dangle": turn, "dspeed": speed[later] - speed[now]}
        if self.params.diff_numframes_col is not None:
            changes["dt_frames"] = lags
        if self.params.emit_backward:
            earlier, known = (column[now] for column in _row_at(rows, -lag))
            changes["dx_back"] = np.where(known, x[now] - x[earlier], np.nan)
            changes["dy_back"] = np.where(known, y[now] - y[earlier], np.nan)
        return changes


def _row_at(rows: RowOrder, lag: IntArray) -> tuple[IntArray, BoolArray]:
    """Row so many rows further on, and whether it is the same animal's and as many frames on.

    Parameters
    ----------
    rows
        Order of the table's rows.
    lag
        Lag of each row of the table, below 0 for rows before it, shape (n_rows,).
    """
    n = len(lag)
    if not n:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
    lag = lag[rows.order]
    target = np.arange(n) + lag
    found = (target >= 0) & (target < n)
    target = np.where(found, target, 0)
    found &= rows.identity[target] == rows.identity
    found &= rows.frames[target] - rows.frames == lag
    return rows.restore(rows.order[target]), rows.restore(found)


def _smooth(rows: RowOrder, values: FloatArray, window: int) -> FloatArray:
    """Moving mean of each run, in the order of the table's rows."""
    if window <= 1:
        return values
    ordered = values[rows.order]
    for run in rows.runs:
        ordered[run] = moving_mean(ordered[run], window)
    return rows.restore(ordered)


def _smooth_angle(rows: RowOrder, angle: FloatArray, window: int) -> FloatArray:
    if window <= 1:
        return angle
    return np.arctan2(*(_smooth(rows, part, window) for part in (np.sin(angle), np.cos(angle))))
