"""Context from the recordings beside one: a few frames before it and after it.

A group of a continuous dataset is one long recording in pieces. A feature that looks around each
frame has nothing to look at beyond the ends of a piece. With an overlap of n frames it sees the
last n frames of the piece before and the first n of the piece after, and what it makes of them is
cut off again::

    frames of the piece before | own frames     | frames of the piece after
    …, first - 2, first - 1    | first … last   | last + 1, last + 2, …

A piece is a neighbour only where it abuts in time: its last time plus one frame is the first time
of the next piece, within half a frame. Where it does not, there is no context on that side. An
animal must have the same ``id`` on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from mosaic_dagster.errors import AlignmentError, FeatureError
from mosaic_dagster.features.output import IDENTITY_COLUMNS, ORIGIN_COLUMNS

BEFORE, AFTER = "before", "after"
"""Sides, and roles (``before:0``) that a neighbour's tables have among the inputs of an entry."""

_SAME_TIME = 1e-6
"""Clocks that differ by less (in frames) count as one, so that times stay exactly as they are."""

_SAME_FPS = 1e-9
"""Relative difference up to which two frame rates are the same number, written twice."""


@dataclass(frozen=True)
class FrameWindow:
    """Which frames a step uses.

    Attributes
    ----------
    start, end
        Only frames in ``[start, end)`` of the entry's own input; None means no limit.
    overlap
        Number of frames of each neighbour.
    """

    start: int | None = None
    end: int | None = None
    overlap: int = 0

    @property
    def limits(self) -> tuple[int | None, int | None]:
        """First frame, and the frame after the last one."""
        return self.start, self.end


def order_neighbours(entries: Sequence[str]) -> dict[str, dict[str, str]]:
    """For each entry, the entries of its group ``before`` and ``after`` it, where there are.

    Parameters
    ----------
    entries
        Keys, sorted by group and sequence.

    Examples
    --------
    >>> order_neighbours(["a/1", "a/2", "b/1"])
    {'a/1': {'after': 'a/2'}, 'a/2': {'before': 'a/1'}, 'b/1': {}}
    """
    found: dict[str, dict[str, str]] = {key: {} for key in entries}
    for one, following in pairwise(entries):
        if one.partition("/")[0] == following.partition("/")[0]:
            found[one][AFTER] = following
            found[following][BEFORE] = one
    return found


def extend(
    before: pl.DataFrame | None, own: pl.DataFrame, after: pl.DataFrame | None, n: int
) -> pl.DataFrame:
    """Put the last n frames of one table and the first n of another around a table.

    Frames are counted by value: of each neighbour the rows in the n frame numbers nearest to
    the seam are taken, for every individual; a shorter neighbour gives all it has.

    Parameters
    ----------
    before, after
        Joined inputs of the neighbours; None where there is none.
    own
        Joined input of the entry, with ``frame`` and ``time`` (s).
    n
        Number of frames on each side.

    Returns
    -------
    polars.DataFrame
        The columns of ``own``. Frames of the neighbours run on from its own, and so do their
        times; ``fps``, ``group`` and ``sequence`` are its own in every row; a column that a
        neighbour lacks is null there. A table that is sorted by identity and frame stays so.
        A neighbour without rows, with another fps, without a time at the seam, or that does not
        abut, is left out.

    Raises
    ------
    FeatureError
        A table has no ``frame`` or ``time``, a frame is null, or the length of a frame is
        neither in ``fps`` nor to be found from the times.
    AlignmentError
        A column has another type in a neighbour.
    """
    if n == 0 or not own.height:
        return own
    mine = _Clock.read(own, "the recording itself")
    pieces = [own]
    if before is not None and before.height:
        theirs = _Clock.read(before, "the recording before it")
        seconds = _seam(theirs, mine)
        if seconds is not None:
            tail = before.filter(pl.col("frame") > theirs.last - n)
            late = mine.starts - seconds - theirs.ends
            pieces.insert(0, _moved(tail, own, mine.first - 1 - theirs.last, late, seconds))
    if after is not None and after.height:
        theirs = _Clock.read(after, "the recording after it")
        seconds = _seam(mine, theirs)
        if seconds is not None:
            head = after.filter(pl.col("frame") < theirs.first + n)
            late = mine.ends + seconds - theirs.starts
            pieces.append(_moved(head, own, mine.last + 1 - theirs.first, late, seconds))
    return own if len(pieces) == 1 else _ordered(pl.concat(pieces), own)


def cut(result: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """The rows of a result whose frame lies between the first and the last frame of a table.

    Parameters
    ----------
    result
        What a feature made of an extended table.
    own
        The table before it was extended.

    Raises
    ------
    FeatureError
        The result has no ``frame``, so it cannot be told what belongs to the entry.
    """
    if not own.height:
        return result
    if "frame" not in result.columns:
        msg = "The result has no column 'frame', so what an overlap added cannot be cut off again."
        raise FeatureError(msg, "Give the step overlap_frames 0 in its run_kwargs.")
    first, last = own["frame"].min(), own["frame"].max()
    return result.filter(pl.col("frame").is_between(first, last))


@dataclass(frozen=True)
class _Clock:
    """First and last frame of a table, the times there (s; NaN if unknown), and its fps."""

    first: int
    last: int
    starts: float
    ends: float
    fps: float | None

    @classmethod
    def read(cls, table: pl.DataFrame, which: str) -> _Clock:
        missing = [name for name in ("frame", "time") if name not in table.columns]
        if missing:
            msg = f"An overlap needs {' and '.join(missing)} in the input of {which}."
            raise FeatureError(msg, f"The input has: {', '.join(table.columns)}.")
        if table["frame"].null_count():
            msg = f"A row in the input of {which} has no frame, which an overlap needs."
            raise FeatureError(msg, "Give every row its frame number.")
        edges = table.select(first=pl.col("frame").min(), last=pl.col("frame").max())
        first, last = (int(edge) for edge in edges.row(0))
        fps: Any = table["fps"].drop_nulls().first() if "fps" in table.columns else None
        known = fps is not None and math.isfinite(fps) and fps > 0
        starts, ends = _time_at(table, first), _time_at(table, last)
        return cls(first, last, starts, ends, float(fps) if known else None)

    @property
    def seconds_per_frame(self) -> float | None:
        """As the times tell; None for a single frame."""
        span = self.last - self.first
        return (self.ends - self.starts) / span if span else None


def _time_at(table: pl.DataFrame, frame: int) -> float:
    times = table.filter(pl.col("frame") == frame)["time"].cast(pl.Float64).drop_nulls()
    return next((time for time in times.to_list() if math.isfinite(time)), math.nan)


def _seam(earlier: _Clock, later: _Clock) -> float | None:
    """Length of a frame (s) where one recording runs on in the other, else None.

    Raises
    ------
    FeatureError
        The length of a frame is not known.
    """
    rates = [clock.fps for clock in (earlier, later) if clock.fps is not None]
    if len(rates) == 2 and not math.isclose(*rates, rel_tol=_SAME_FPS):
        return None
    lengths = [1.0 / rate for rate in rates] or [
        length for c in (earlier, later) if (length := c.seconds_per_frame) is not None
    ]
    if not lengths:
        msg = "An overlap needs to know how long a frame is, and the inputs do not tell."
        raise FeatureError(msg, "Keep the column fps in the tables of the steps above.")
    abuts = abs(earlier.ends + lengths[0] - later.starts) <= lengths[0] / 2
    return lengths[0] if abuts else None


def _moved(
    rows: pl.DataFrame, own: pl.DataFrame, frames: int, late: float, seconds: float
) -> pl.DataFrame:
    """Rows of a neighbour as rows of the table they are put beside, ``late`` seconds later."""
    moves_time = abs(late) > _SAME_TIME * seconds
    columns = []
    for name, dtype in own.schema.items():
        if name in ORIGIN_COLUMNS:
            column = pl.lit(own[name].item(0), dtype)
        elif name not in rows.columns:
            column = pl.lit(None, dtype)
        elif rows.schema[name] != dtype:
            msg = f"The column {name!r} is {dtype}, and {rows.schema[name]} in a neighbour."
            raise AlignmentError(msg, "An overlap needs the same types in all recordings.")
        elif name == "frame":
            column = pl.col(name) + frames
        elif name == "time" and moves_time:
            column = pl.col(name) + late
        else:
            column = pl.col(name)
        columns.append(column.alias(name))
    return rows.select(columns)


def _ordered(extended: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    keys = [*(name for name in IDENTITY_COLUMNS if name in own.columns), "frame"]
    found = own.select(keys)
    if found.equals(found.sort(keys, maintain_order=True)):
        return extended.sort(keys, maintain_order=True)
    return extended
