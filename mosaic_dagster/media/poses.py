"""Tracks as arrays: where each individual is in each frame."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from mosaic_dagster.errors import MissingColumnError, ScopeError, TracksError
from mosaic_dagster.media.arrays import FloatArray, IntArray

_KEYPOINT = re.compile(r"poseX(\d+)")
BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
"""Columns of an individual's box: left, top, right, bottom."""


def require_columns(table: pl.DataFrame, names: Iterable[str], what: str) -> None:
    """Refuse a table that lacks columns.

    Raises
    ------
    MissingColumnError
        One or more are not there; all are named.
    """
    missing = [name for name in names if name not in table.columns]
    if missing:
        msg = f"{what} lacks the column(s) {', '.join(missing)}."
        raise MissingColumnError(msg, f"It has: {', '.join(table.columns)}.")


def keypoint_numbers(table: pl.DataFrame) -> tuple[int, ...]:
    """Numbers k for which the table has ``poseX{k}`` and ``poseY{k}``, sorted."""
    numbers = (int(m[1]) for name in table.columns if (m := _KEYPOINT.fullmatch(name)))
    return tuple(sorted(k for k in numbers if f"poseY{k}" in table.columns))


@dataclass(frozen=True, eq=False)
class Poses:
    """One individual of one recording, by frame.

    Attributes
    ----------
    individual
        Its id.
    frames
        Frame numbers, ascending, each once, shape (n,).
    centre
        ``X``, ``Y`` in pixels, shape (n, 2); NaN where missing.
    keypoints
        Shape (n, n_keypoints, 2); NaN where missing.
    numbers
        Suffix of each keypoint's columns.
    angle
        ``ANGLE`` in radians, shape (n,); NaN where missing or without such a column.
    """

    individual: Any
    frames: IntArray
    centre: FloatArray
    keypoints: FloatArray
    numbers: tuple[int, ...]
    angle: FloatArray

    @classmethod
    def of(cls, tracks: pl.DataFrame, individual: Any) -> Self:
        """Take one individual out of a tracks table.

        Raises
        ------
        MissingColumnError
            The table lacks ``frame``, ``id``, ``X`` or ``Y``.
        ScopeError
            The table has no such individual.
        TracksError
            The individual has two rows in one frame.
        """
        require_columns(tracks, ("frame", "id", "X", "Y"), "The tracks table")
        rows = tracks.filter(pl.col("id").cast(pl.String) == str(individual)).sort("frame")
        if not rows.height:
            known = ", ".join(str(i) for i in tracks["id"].unique().sort().head(20).to_list())
            msg = f"The tracks have no individual {individual!r}."
            raise ScopeError(msg, f"They have: {known}.")
        frames = rows["frame"].cast(pl.Int64).to_numpy()
        if (twice := frames[1:][np.diff(frames) == 0]).size:
            msg = f"Individual {individual!r} has two rows in frame {twice[0]}."
            raise TracksError(msg, "Give the tracks of one recording, each row once.")
        numbers = keypoint_numbers(rows)
        names = [f"pose{axis}{k}" for k in numbers for axis in "XY"]
        angle = floats(rows, ["ANGLE"])[:, 0] if "ANGLE" in rows.columns else np.nan
        return cls(
            individual,
            frames,
            floats(rows, ["X", "Y"]),
            floats(rows, names).reshape(len(frames), len(numbers), 2),
            numbers,
            np.broadcast_to(np.asarray(angle, dtype=np.float64), frames.shape),
        )

    def keypoint(self, number: int) -> FloatArray:
        """Places of one keypoint, shape (n, 2).

        Raises
        ------
        MissingColumnError
            The tracks have no such keypoint.
        """
        if number not in self.numbers:
            msg = f"The tracks have no keypoint {number} (poseX{number}, poseY{number})."
            known = ", ".join(map(str, self.numbers)) or "none"
            raise MissingColumnError(msg, f"Choose one that is there: {known}.")
        points: FloatArray = self.keypoints[:, self.numbers.index(number)]
        return points

    def rows_of(self, frames: IntArray) -> IntArray:
        """Position of each frame, or -1 where the individual has no row, shape of ``frames``."""
        at = np.searchsorted(self.frames, frames)
        within = np.minimum(at, len(self.frames) - 1)
        return np.where(self.frames[within] == frames, within, -1)


def floats(table: pl.DataFrame, names: list[str]) -> FloatArray:
    """Columns as numbers, shape (n_rows, n_columns); null and infinite become NaN."""
    if not names:
        return np.empty((table.height, 0))
    values = table.select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)
