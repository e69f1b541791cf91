"""Rows of a table laid out over time, and long recordings on few pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.errors import ParamsError

Array = np.ndarray[Any, np.dtype[Any]]

_UNITS = ((7200.0, 3600.0, "h"), (600.0, 60.0, "min"), (0.0, 1.0, "s"))


@dataclass(frozen=True)
class Timeline:
    """Where the rows of one table lie.

    Attributes
    ----------
    start, width
        Time of the first row and time between rows, in seconds; in frames if there is no time.
    slots
        Place of each row, counted in rows from the first, shape (n,).
    """

    start: float
    width: float
    slots: Array

    @property
    def length(self) -> int:
        """Number of places, with those that no row fills."""
        return int(self.slots[-1]) + 1

    @property
    def stop(self) -> float:
        """Where the last row ends; it lasts as long as any other."""
        return self.start + self.length * self.width

    def fill(self, codes: Array) -> Array:
        """Codes by place, shape (length,); -1 where there is no row."""
        filled = np.full(self.length, -1, dtype=np.int32)
        filled[self.slots] = codes
        return filled


def timeline(table: pl.DataFrame, row: str, timed: bool) -> Timeline:
    """Lay out a table that is sorted by ``frame`` and not empty.

    Parameters
    ----------
    table
        With ``frame``, and ``time`` if ``timed``.
    row
        Its name, for errors.
    timed
        Whether to measure in seconds.

    Raises
    ------
    ParamsError
        If a frame is missing or occurs twice: the table holds more than one animal or pair.
    """
    if table["frame"].null_count():
        raise ParamsError(f"A row of {row!r} has no frame.", "Leave such rows out.")
    frames = table["frame"].cast(pl.Int64).to_numpy()
    twice = np.flatnonzero(np.diff(frames) == 0)
    if len(twice):
        raise ParamsError(
            f"The frame {frames[twice[0]]} occurs twice in the row {row!r}.",
            "Give one animal, or one pair in one order, for each row.",
        )
    step = usual_step(np.diff(frames))
    slots = (frames - frames[0]) // step
    if not timed:
        return Timeline(float(frames[0]), float(step), slots)
    start, per_frame = _line(frames, table["time"].cast(pl.Float64).to_numpy())
    return Timeline(start, per_frame * step, slots)


def usual_step(steps: Array) -> int:
    """The most common of the positive steps between frames, the smallest of several; 1 if none."""
    steps = steps[steps > 0]
    if not len(steps):
        return 1
    values, counts = np.unique(steps, return_counts=True)
    return int(values[counts.argmax()])


def is_timed(tables: Iterable[pl.DataFrame]) -> bool:
    """Whether every table that has rows has a finite time."""
    filled = [table for table in tables if table.height]
    return all(
        "time" in table.columns and bool(table["time"].cast(pl.Float64).is_finite().any())
        for table in filled
    )


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds in the unit that suits a span, and its name."""
    return next((size, name) for least, size, name in _UNITS if seconds >= least)


def condense(codes: Array, columns: int) -> Array:
    """Codes of a long recording as a picture that is at most ``columns`` wide.

    Parameters
    ----------
    codes
        Shape (n,).
    columns
        Most columns.

    Returns
    -------
    numpy.ndarray
        Shape (1, n), or (ceil(n / columns), columns): a column holds the codes of its stretch of
        frames, sorted, so each class takes its share of the height. No frame is left out.
    """
    n = len(codes)
    if n <= columns:
        return codes[None, :]
    height = -(-n // columns)
    inside = (np.arange(height) + 0.5) / height
    places = ((np.arange(columns)[:, None] + inside[None, :]) * (n / columns)).astype(np.int64)
    return np.sort(codes[places], axis=1).T


def _line(frames: Array, times: Array) -> tuple[float, float]:
    """Time of the first frame, and time per frame, from the first and the last finite time."""
    known = np.flatnonzero(np.isfinite(times))
    first, last = known[0], known[-1]
    span = frames[last] - frames[first]
    per_frame = float(times[last] - times[first]) / float(span) if span else 1.0
    return float(times[first]) - per_frame * float(frames[first] - frames[0]), per_frame
