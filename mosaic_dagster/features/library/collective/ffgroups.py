"""Which animals are together, frame by frame."""

from __future__ import annotations

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.fission_fusion import (
    group_events,
    group_leaders,
    group_numbers,
    group_sizes,
)
from mosaic_dagster.features.library.collective._scene import check_ids
from mosaic_dagster.features.library.rows import numbers, order_rows
from mosaic_dagster.features.output import ORIGIN_COLUMNS, values_schema
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_VALUES = ("group_membership", "group_size", "event")


class FfgroupsParams(Params):
    """Parameters of :class:`Ffgroups`.

    Attributes
    ----------
    distance_cutoff
        Two animals are linked where their mean distance is below this; unit of the tracks.
    window_size
        Odd number of frames around a frame over which distances are averaged.
    min_event_duration
        Events whose last frame minus first frame is less are not numbered.
    """

    distance_cutoff: float = Field(default=50.0, gt=0, allow_inf_nan=False)
    window_size: int = Field(default=5, ge=1)
    min_event_duration: int = Field(default=1, ge=0)

    @field_validator("window_size")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            msg = "must be odd, so that the window has a middle frame"
            raise ValueError(msg)
        return window


@register
class Ffgroups(Feature[FfgroupsParams]):
    """Fission–fusion groups: who is together, and in which event of lasting company.

    One row for every frame of the table and every id, sorted by frame, then id:
    ``group_membership`` is the number of the animal's group in that frame, counted from 0 in the
    order of their lowest ids; ``group_size`` its number of members; ``event`` the number of the
    event, -1 outside of events.

    Notes
    -----
    Two animals that are there in a frame are linked if the mean of their known distances over
    ``window_size`` frames around it is below the cutoff; groups are the connected components.
    Windows are made of frames: a frame without rows adds nothing. An animal without a row or
    without a finite position has null membership and size, event -1, and joins nobody.

    An event is a maximal span of successive frames in which exactly the same members (one alone
    counts) are a group, kept if it has at least ``min_event_duration`` + 1 frames. Events are
    numbered from 0 by run of successive frames, then by sorted members, then by start. ``time`` is
    the first known time of the frame. Distances are computed in blocks of frames: memory beyond
    the result is O(block × animals²), and a byte per event and animal.
    """

    name = "ffgroups"
    version = "1.0"
    Params = FfgroupsParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and position."""
        return ("frame", "id", "X", "Y")

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Group, size and event of each animal in each frame."""
        kept = pl.Schema({c: t for c, t in schema.items() if c in _kept(schema)})
        return values_schema(kept, dict.fromkeys(_VALUES, pl.Int64()))

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Find the groups of one recording."""
        self.check_columns(table.schema)
        schema = self.output_schema(table.schema)
        check_ids(table)
        order_rows(table)  # refuses repeated rows
        if not table.height:
            return pl.DataFrame(schema=schema)
        keys = _frames(table)
        frames = keys["frame"].cast(pl.Int64).to_numpy()
        ids = table["id"].unique().sort()
        x, y = _positions(table, frames, ids)
        params = self.params
        leaders = group_leaders(x, y, frames, params.distance_cutoff, params.window_size)
        events = group_events(leaders, frames, params.min_event_duration)
        absent = pl.Series(leaders.ravel() < 0)
        made = _repeat(keys, ids).with_columns(
            pl.Series("group_membership", group_numbers(leaders).ravel()).set(absent, None),
            pl.Series("group_size", group_sizes(leaders).ravel()).set(absent, None),
            pl.Series("event", events.ravel()),
        )
        return made.select(schema.names())


def _kept(schema: pl.Schema) -> list[str]:
    return [c for c in ("frame", "time", "id", *ORIGIN_COLUMNS) if c in schema]


def _frames(table: pl.DataFrame) -> pl.DataFrame:
    """One row per frame: frame, time where there is one, and the origin of the recording."""
    keys = table.select(c for c in ("frame", "time") if c in table.columns)
    if "time" in keys.columns:
        first = pl.col("time").drop_nulls().first()
        ordered = table.sort("frame", "id").group_by("frame", maintain_order=True)
        keys = ordered.agg(first.alias("time"))
    else:
        keys = keys.unique().sort("frame")
    origin = {c: table[c].drop_nulls().head(1) for c in ORIGIN_COLUMNS if c in table.columns}
    return keys.with_columns(
        pl.lit(value[0] if len(value) else None, dtype=value.dtype).alias(column)
        for column, value in origin.items()
    )


def _positions(
    table: pl.DataFrame, frames: IntArray, ids: pl.Series
) -> tuple[FloatArray, FloatArray]:
    """X and Y by frame and id, shape (n_frames, n_ids) each; NaN where unknown."""
    at_frame = np.searchsorted(frames, table["frame"].cast(pl.Int64).to_numpy())
    at_id = ids.search_sorted(table["id"]).to_numpy()
    grids = []
    for column in "XY":
        grid = np.full((len(frames), len(ids)), np.nan)
        grid[at_frame, at_id] = numbers(table, column)
        grids.append(grid)
    return grids[0], grids[1]


def _repeat(keys: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """Each row once per id, ids ascending."""
    rows = np.repeat(np.arange(keys.height), len(ids))
    which = np.tile(np.arange(len(ids)), keys.height)
    return keys[rows].with_columns(ids.gather(which).alias("id"))
