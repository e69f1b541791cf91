"""All individuals of one frame, and tables looked up by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.media.arrays import FloatArray, IntArray
from mosaic_dagster.media.poses import BOX, floats, keypoint_numbers, require_columns

WHOLE_SCENE = None
"""Stands for the id of a label that is about nobody in particular."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The individuals of one frame.

    Attributes
    ----------
    frame
        Its number.
    ids
        Id of each individual.
    centre
        Shape (n, 2); NaN where missing.
    keypoints
        Shape (n, n_keypoints, 2); NaN where missing.
    boxes
        Left, top, right, bottom, shape (n, 4); NaN where missing.
    """

    frame: int
    ids: tuple[Any, ...]
    centre: FloatArray
    keypoints: FloatArray
    boxes: FloatArray

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Place of each id, as text, among the individuals."""
        return {str(individual): i for i, individual in enumerate(self.ids)}

    def place(self, individual: Any) -> FloatArray:
        """Centre of one individual, shape (2,); NaN when it is not in the frame."""
        i = self.position.get(str(individual))
        missing: FloatArray = np.full(2, np.nan)
        return missing if i is None else self.centre[i]


class Scenes:
    """A tracks table, frame by frame.

    Parameters
    ----------
    tracks
        ``frame``, ``id``, ``X``, ``Y`` in pixels of the video, keypoints and boxes where there
        are any.

    Raises
    ------
    MissingColumnError
        A column is missing.
    """

    def __init__(self, tracks: pl.DataFrame) -> None:
        require_columns(tracks, ("frame", "id", "X", "Y"), "The tracks table")
        rows = tracks.sort("frame", "id")
        self.frames: IntArray = rows["frame"].cast(pl.Int64).to_numpy()
        self.keypoint_numbers = keypoint_numbers(rows)
        self._ids = rows["id"].to_list()
        self._centre = floats(rows, ["X", "Y"])
        points = floats(rows, [f"pose{axis}{k}" for k in self.keypoint_numbers for axis in "XY"])
        self._keypoints = points.reshape(rows.height, len(self.keypoint_numbers), 2)
        boxed = all(name in rows.columns for name in BOX)
        self._boxes = floats(rows, list(BOX)) if boxed else np.full((rows.height, 4), np.nan)

    def at(self, frame: int) -> Scene:
        """The individuals of one frame; a frame without rows has none."""
        rows = slice(*np.searchsorted(self.frames, [frame, frame + 1]))
        return Scene(
            frame,
            tuple(self._ids[rows]),
            self._centre[rows],
            self._keypoints[rows],
            self._boxes[rows],
        )


class FrameTable:
    """Rows of a table by frame.

    Parameters
    ----------
    table
        Has ``frame`` and the columns.
    columns
        What is looked up.
    what
        Name of the table in errors.

    Raises
    ------
    MissingColumnError
        A column is missing.
    """

    def __init__(self, table: pl.DataFrame, columns: tuple[str, ...], what: str) -> None:
        require_columns(table, ("frame", *columns), what)
        rows = table.sort("frame", maintain_order=True)
        self._frames = rows["frame"].cast(pl.Int64).to_numpy()
        self._rows = rows.select(columns).rows()

    def at(self, frame: int) -> list[tuple[Any, ...]]:
        """The rows of one frame, each a tuple of the columns."""
        return self._rows[slice(*np.searchsorted(self._frames, [frame, frame + 1]))]


class LabelLookup:
    """What each individual, or the whole scene, is labelled in each frame.

    Parameters
    ----------
    table
        ``frame``, the column, and ``id`` where the labels are about individuals.
    column
        The label: text or a number.
    names
        Text for each value of a column of numbers, in the order of the numbers.

    Raises
    ------
    MissingColumnError
        A column is missing.
    """

    def __init__(self, table: pl.DataFrame, column: str, names: tuple[str, ...] = ()) -> None:
        individual = "id" in table.columns
        columns = ("id", column) if individual else (column,)
        self._table = FrameTable(table, columns, "The table of labels")
        self._individual = individual
        self._names = names

    def at(self, frame: int) -> dict[str | None, Any]:
        """Id as text to label; a label of the whole scene is under None, nulls are left out."""
        found: dict[str | None, Any] = {}
        for row in self._table.at(frame):
            key = str(row[0]) if self._individual else WHOLE_SCENE
            if row[-1] is not None:
                found[key] = row[-1]
        return found

    def name(self, label: Any) -> str:
        """Words for a label.

        Raises
        ------
        ParamsError
            Names are given, and there is none for this number.
        """
        if not self._names or isinstance(label, str):
            return str(label)
        if not 0 <= int(label) < len(self._names):
            msg = f"There is no name for the label {label}."
            raise ParamsError(msg, f"Names are given for 0 to {len(self._names) - 1}.")
        return self._names[int(label)]
