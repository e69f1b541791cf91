"""How much of its time each animal spends in groups of each size, and where in them."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, field_validator, model_validator

from mosaic_dagster.errors import FeatureError
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.membership import (
    deviation,
    group_frame,
    group_median,
    is_peripheral,
    stretch_ends,
)
from mosaic_dagster.features.kernels.scenes import divide, scene_mean, scene_sum
from mosaic_dagster.features.library.collective._scene import (
    check_ids,
    find_scenes,
    without_excluded,
)
from mosaic_dagster.features.library.rows import find_fps, need_fps, numbers, order_rows
from mosaic_dagster.features.output import META_COLUMNS, ORIGIN_COLUMNS
from mosaic_dagster.features.params import FromDataset, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_MEANS = ("distance_from_centroid", "offset_x", "offset_y", "dev_speed_to_mean")
_SHARES = (
    "fractime_norm2",
    "avg_duration_frame",
    "med_duration_frame",
    "ftime_periphery",
    "ftime_periphery_norm",
)


class FfgroupsMetricsParams(Params):
    """Parameters of :class:`FfgroupsMetrics`.

    Attributes
    ----------
    group_col
        Column that says which group an animal is in; missing or below 0 is none.
    speed_col
        Column of speeds.
    time_chunk_sec, frame_chunk
        Summarise stretches of this many seconds or frames; neither: the whole recording.
    centroid_heading_col
        Heading of the group (rad) by which offsets are rotated, where the table has the column.
    exclude_cols
        Flags; a row where one is true (or a number other than 0) is left out.
    fps
        Frames per second for tables that do not say it.
    """

    group_col: str = Field(default="event", min_length=1)
    speed_col: str = Field(default="speed", min_length=1)
    time_chunk_sec: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    frame_chunk: int | None = Field(default=None, ge=1)
    centroid_heading_col: str = Field(default="centroid_heading", min_length=1)
    exclude_cols: tuple[str, ...] = ()
    fps: Annotated[float | None, Field(gt=0), FromDataset("fps")] = None

    @field_validator("group_col")
    @classmethod
    def _not_a_key(cls, column: str) -> str:
        if column in META_COLUMNS:
            msg = "is a key column, not a group of animals"
            raise ValueError(msg)
        return column

    @model_validator(mode="after")
    def _one_kind_of_chunk(self) -> Self:
        if self.time_chunk_sec is not None and self.frame_chunk is not None:
            msg = "time_chunk_sec and frame_chunk are both given"
            raise ValueError(msg)
        return self


@register
class FfgroupsMetrics(Feature[FfgroupsMetricsParams]):
    """Time, place and speed of each animal in groups of each size.

    Reads tracks joined with ffgroups and a table of speeds. One row per chunk of time, individual
    and group size, sorted so. Over the individual's rows of the chunk with this ``group_size``:

    - ``fractime_norm2``: their share of its rows (all sizes); ``avg_duration_frame`` and
      ``med_duration_frame``: mean and median length, in frames, of the stretches of successive
      frames with this size;
    - over those that are in a group: ``ftime_periphery``, the share in which it is the farthest
      from the centroid of a complete group; ``ftime_periphery_norm`` = that times the size;
      and the means of ``distance_from_centroid``, ``offset_x`` and ``offset_y`` (from the
      centroid, rotated by the circular mean of the group's heading: ahead, and along
      (-sin, cos); unrotated without such a column) and ``dev_speed_to_mean`` (its speed minus
      the group's mean).

    ``chunk_start_frame``, ``chunk_end_frame``, ``chunk_start_time``, ``chunk_end_time`` are those
    of the first and last row of the chunk that counts (time: of the column, else frame / fps,
    else NaN).

    Notes
    -----
    Rows without a group size (the animal is absent) count for nothing. Rows whose group is
    missing or below 0 form no group: they count for time and duration only. Stretches end at
    frame gaps and at chunks. Chunks are counted from the first row of the recording. NaN speeds
    and positions are left out of means; no row that is known: NaN. Animals equally far from the
    centroid, such as any two, are all at the periphery.
    """

    name = "ffgroups-metrics"
    version = "1.0"
    category = "summary"
    Params = FfgroupsMetricsParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, position, group, size, speed and flags."""
        own = ("frame", "id", "X", "Y", self.params.group_col, "group_size", self.params.speed_col)
        return tuple(dict.fromkeys((*own, *self.params.exclude_cols)))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The same columns always."""
        columns: dict[str, pl.DataType] = {"id": schema["id"], "chunk_id": pl.Int64()}
        columns |= {f"chunk_{end}_frame": pl.Int64() for end in ("start", "end")}
        columns |= {f"chunk_{end}_time": pl.Float64() for end in ("start", "end")}
        columns |= {"group_size": pl.Int64()}
        columns |= {name: pl.Float64() for name in (*_SHARES, *_MEANS)}
        return pl.Schema(columns | {c: schema[c] for c in ORIGIN_COLUMNS if c in schema})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Summarise one recording."""
        self.check_columns(table.schema)
        schema = self.output_schema(table.schema)
        check_ids(table)
        order_rows(table)  # refuses repeated rows, also among those that are taken out
        if not table.height:
            return pl.DataFrame(schema=schema)
        table = table.with_columns(
            pl.Series(_CHUNK, self._chunks(table)), pl.Series(_CLOCK, self._clock(table))
        )
        used = without_excluded(table, self.params.exclude_cols)
        used = used.filter(pl.Series(numbers(used, "group_size") >= 1))
        if not used.height:
            return pl.DataFrame(schema=schema)
        used = used[order_rows(used).order]
        places = self._places(used)
        summary = _summarise(used, places).with_columns(
            pl.lit(table[c].drop_nulls().first(), dtype=table[c].dtype).alias(c)
            for c in ORIGIN_COLUMNS
            if c in table.columns
        )
        return summary.select(pl.col(c).cast(t) for c, t in schema.items())

    def _clock(self, table: pl.DataFrame) -> FloatArray:
        """Time of each row in seconds, NaN where unknown."""
        if "time" in table.columns:
            return numbers(table, "time")
        fps = find_fps(table, self.params.fps)
        frames = table["frame"].cast(pl.Float64).to_numpy()
        return np.full(len(frames), np.nan) if fps is None else frames / fps

    def _chunks(self, table: pl.DataFrame) -> IntArray:
        """Number of each row's chunk."""
        frames: IntArray = table["frame"].cast(pl.Int64).to_numpy()
        if self.params.frame_chunk is not None:
            number: IntArray = np.floor_divide(frames - frames.min(), self.params.frame_chunk)
            return number
        if self.params.time_chunk_sec is None:
            return np.zeros(len(frames), dtype=np.int64)
        if "time" not in table.columns:
            need_fps(table, self.params.fps, self.name)
        clock = self._clock(table)
        if np.isnan(clock).any():
            frame = frames[int(np.isnan(clock).argmax())]
            msg = f"Frame {frame} has no time, so it belongs to no chunk of seconds."
            raise FeatureError(msg, "Use frame_chunk instead, or complete the column 'time'.")
        # Times such as 0.3 / 0.1 fall a rounding error short of the next chunk.
        passed: FloatArray = (clock - clock.min()) / self.params.time_chunk_sec
        return np.floor(passed + 1e-6).astype(np.int64)

    def _places(self, table: pl.DataFrame) -> dict[str, FloatArray]:
        """Where each row is in its group, NaN outside of groups, in the order of the table."""
        x, y = numbers(table, "X"), numbers(table, "Y")
        scenes = find_scenes(table, self.params.group_col)
        rows, scene = scenes.present(np.isfinite(x) & np.isfinite(y))
        heading = None
        if self.params.centroid_heading_col in table.columns:
            heading = numbers(table, self.params.centroid_heading_col)[rows]
        n = len(scenes)
        distance, along, across = group_frame(x[rows], y[rows], heading, scene, n)
        size = table["group_size"].cast(pl.Int64).to_numpy()[rows]
        farthest = is_peripheral(distance, scene, n, size)
        speed = numbers(table, self.params.speed_col)[rows]
        found = {
            "ftime_periphery": farthest.astype(np.float64),
            "distance_from_centroid": distance,
            "offset_x": along,
            "offset_y": across,
            "dev_speed_to_mean": deviation(speed, scene, n),
        }
        return {name: _spread(value, rows, table.height) for name, value in found.items()}


_CHUNK, _CLOCK = "chunk of the row", "clock of the row"


def _spread(values: FloatArray, rows: IntArray, n_rows: int) -> FloatArray:
    spread = np.full(n_rows, np.nan)
    spread[rows] = values
    return spread


def _summarise(table: pl.DataFrame, places: dict[str, FloatArray]) -> pl.DataFrame:
    """One row per chunk, individual and size; the table is sorted by individual, then frame."""
    frames = table["frame"].cast(pl.Int64).to_numpy()
    individual = table["id"].rle_id().cast(pl.Int64).to_numpy()
    chunk = table[_CHUNK].to_numpy()
    size = table["group_size"].cast(pl.Int64).to_numpy()
    code, heads = _number((chunk, individual, size))
    n = len(heads)
    n_rows = np.bincount(code, minlength=n).astype(np.float64)
    whose = _number((chunk[heads], individual[heads]))[0]
    first, last = stretch_ends(frames, individual, chunk, size)
    duration = (frames[last] - frames[first] + 1).astype(np.float64)
    n_stretches = np.bincount(code[first], minlength=n)
    values: dict[str, npt.NDArray[np.generic]] = {
        "chunk_id": chunk[heads],
        "group_size": size[heads],
    }
    values |= _chunk_ends(frames, table[_CLOCK].to_numpy(), chunk, chunk[heads])
    values["fractime_norm2"] = n_rows / scene_sum(n_rows, whose, n)[whose]
    values["avg_duration_frame"] = divide(scene_sum(duration, code[first], n), n_stretches)
    values["med_duration_frame"] = group_median(duration, code[first], n)
    values |= {name: scene_mean(value, code, n) for name, value in places.items()}
    values["ftime_periphery_norm"] = values["ftime_periphery"] * size[heads]
    return pl.DataFrame({"id": table["id"].gather(heads), **values})


def _number(keys: tuple[IntArray, ...]) -> tuple[IntArray, IntArray]:
    """Number of each row's combination, in sorted order, and the first row of each."""
    order = np.lexsort(keys[::-1])
    changed = np.zeros(len(order), dtype=np.bool_)
    changed[:1] = True
    for key in keys:
        changed[1:] |= np.diff(key[order]) != 0
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(changed) - 1
    return number, order[changed]


def _chunk_ends(
    frames: IntArray, clock: FloatArray, chunk: IntArray, wanted: IntArray
) -> dict[str, npt.NDArray[np.generic]]:
    """First and last frame and time of the chunk of each row of the result."""
    heads = _number((chunk, frames))[1]
    of_chunk = chunk[heads]
    first = heads[np.searchsorted(of_chunk, wanted, side="left")]
    last = heads[np.searchsorted(of_chunk, wanted, side="right") - 1]
    return {
        "chunk_start_frame": frames[first],
        "chunk_end_frame": frames[last],
        "chunk_start_time": clock[first],
        "chunk_end_time": clock[last],
    }
