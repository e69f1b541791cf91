"""DeepLabCut predictions as HDF5: a table of pandas with one row per frame.

Columns are named on three levels (scorer, body part, coordinate) or four (with individuals
second). Some laboratories hide several animals in a file of three levels, in the names of body
parts (``B_Nose``, ``W_Nose``); the parameter ``individual_prefixes`` tells them apart. The table
may lie under any key. Pixels, y downwards. The file does not tell its frame rate; the scorer is
ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording, one_sequence
from mosaic_dagster.dataset.readers.hdf5 import find, is_hdf5, open_hdf5
from mosaic_dagster.dataset.readers.pandas_hdf5 import (
    Column,
    PandasFrame,
    frame_columns,
    frame_keys,
    read_frame,
)
from mosaic_dagster.dataset.readers.pose_rows import pose_table
from mosaic_dagster.errors import ReaderError

_KEY = "df_with_missing"
_COORDS = ("x", "y", "likelihood")
_REMEDY = "Is this a file that DeepLabCut wrote when it analysed a video?"


class DeepLabCutH5Params(ReaderParams):
    """Parameters of :class:`DeepLabCutH5`.

    Attributes
    ----------
    individual_prefixes
        How the names of the body parts of each animal begin, for animals that have no level of
        their own: ``{"B_": "black", "W_": "white"}``, or ``["B_", "W_"]`` for animals B and W.
    """

    individual_prefixes: dict[str, str] | tuple[str, ...] = Field(default=())

    def prefixes(self) -> dict[str, str]:
        """Name of the animal by prefix, longer prefixes first."""
        given = self.individual_prefixes
        names = given if isinstance(given, Mapping) else {p: p.rstrip("_-. ") or p for p in given}
        return dict(sorted(names.items(), key=lambda item: (-len(item[0]), item[0])))


@dataclass(frozen=True)
class _Layout:
    """Column numbers by (individual, keypoint, coordinate); names in order of appearance."""

    columns: dict[tuple[str, str, str], int]
    individuals: tuple[str, ...]
    keypoints: tuple[str, ...]


class DeepLabCutH5:
    """Reads DeepLabCut HDF5 files with one or several animals."""

    name: ClassVar[str] = "deeplabcut_h5"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".h5",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = DeepLabCutH5Params

    def sniff(self, path: Path) -> bool:
        """Whether it holds a table of pandas with three or four levels of columns.

        Raises
        ------
        MissingExtraError
            The file is HDF5 and h5py is not installed.
        ReaderError
            The file is HDF5 and damaged.
        """
        if not is_hdf5(path):
            return False
        with open_hdf5(path, _what(self.name)) as file:
            try:
                headers = [frame_columns(find(file, key)) for key in frame_keys(file)]
            except ReaderError:
                return False
        return any(_is_header(header) for header in headers)

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file."""
        return one_sequence(path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Body parts in the order in which they appear, without the prefixes of animals."""
        with _table(path) as group:
            return _layout(path, frame_columns(group), _prefixes(params)).keypoints

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recording in the file.

        Individuals are numbered as they appear; the column ``individual`` keeps their names
        where there are several. Points at (0, 0) with likelihood 0 stay as they are: they are
        taken for missing, and counted, when the table becomes tracks.

        Raises
        ------
        ReaderError
            The file is damaged, holds no table or several, or its columns are not DeepLabCut's.
        MissingExtraError
            h5py is not installed.
        """
        prefixes = _prefixes(params)
        with _table(path) as group:
            frame = read_frame(group)
        layout = _layout(path, frame.columns, prefixes)
        tables = [_individual(frame, layout, number) for number in range(len(layout.individuals))]
        notes = {} if prefixes else _suspicion(layout)
        return [Recording(path.stem, None, pl.concat(tables), layout.keypoints, notes=notes)]


def _what(name: str) -> str:
    return f"The reader {name!r}"


def _prefixes(params: ReaderParams) -> dict[str, str]:
    return params.prefixes() if isinstance(params, DeepLabCutH5Params) else {}


def _is_header(columns: tuple[Column, ...]) -> bool:
    levels = {len(column) for column in columns}
    return levels in ({3}, {4}) and {column[-1] for column in columns} <= set(_COORDS)


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    """Open the one table of a file; of several, the one under DeepLabCut's own key."""
    with open_hdf5(path, _what(DeepLabCutH5.name)) as file:
        keys = frame_keys(file)
        chosen = [_KEY] if _KEY in keys else keys
        if len(chosen) != 1:
            told = f"{len(keys)} tables: {', '.join(keys)}" if keys else "no table"
            msg = f"{path} holds {told}."
            raise ReaderError(msg, _REMEDY)
        yield find(file, chosen[0])


def _layout(path: Path, names: tuple[Column, ...], prefixes: dict[str, str]) -> _Layout:
    columns: dict[tuple[str, str, str], int] = {}
    for place, name in enumerate(names):
        point = _point(path, name, prefixes)
        if point in columns:
            msg = f"{path}: {' '.join(point).strip()} is there twice."
            raise ReaderError(msg, "Remove one of the columns.")
        columns[point] = place
    if not columns:
        msg = f"{path}: the table has no columns."
        raise ReaderError(msg, _REMEDY)
    for individual, keypoint, _ in columns:
        for coord in "xy":
            if (individual, keypoint, coord) not in columns:
                msg = f"{path}: {f'{individual} {keypoint}'.strip()} has no {coord}."
                raise ReaderError(msg, "Give both coordinates of a keypoint.")
    return _Layout(
        columns,
        individuals=tuple(dict.fromkeys(individual for individual, _, _ in columns)),
        keypoints=tuple(dict.fromkeys(keypoint for _, keypoint, _ in columns)),
    )


def _point(path: Path, name: Column, prefixes: dict[str, str]) -> tuple[str, str, str]:
    """Individual, keypoint and coordinate that a column name says."""
    if len(name) not in (3, 4) or name[-1] not in _COORDS:
        told = ", ".join(map(repr, name))
        msg = f"{path}: a column is called ({told}), not (scorer, body part, x, y or likelihood)."
        raise ReaderError(msg, _REMEDY)
    if len(name) == 4 and prefixes:
        msg = f"{path}: individual_prefixes were given, and the file names individuals itself."
        raise ReaderError(msg, "Leave the parameter out.")
    individual, keypoint = name[1:3] if len(name) == 4 else ("", name[1])
    if not prefixes:
        return individual, keypoint, name[-1]
    prefix = next((p for p in prefixes if keypoint.startswith(p) and keypoint != p), None)
    if prefix is None:
        msg = f"{path}: the body part {keypoint!r} begins with none of {', '.join(prefixes)}."
        raise ReaderError(msg, "Give a prefix for every animal in individual_prefixes.")
    return prefixes[prefix], keypoint.removeprefix(prefix), name[-1]


def _individual(frame: PandasFrame, layout: _Layout, number: int) -> pl.DataFrame:
    """Rows of one animal; keypoints that only others have are missing for it."""
    individual = layout.individuals[number]
    values = np.full((len(frame.index), len(layout.keypoints), 3), np.nan)
    for k, keypoint in enumerate(layout.keypoints):
        for part, coord in enumerate(_COORDS):
            place = layout.columns.get((individual, keypoint, coord))
            if place is not None:
                values[:, k, part] = frame.values[:, place]
    scored = any(coord == "likelihood" for _, _, coord in layout.columns)
    ids = np.full(len(frame.index), number)
    confidence = values[:, :, 2] if scored else None
    return pose_table(frame.index, ids, values[:, :, :2], confidence, layout.individuals)


def _suspicion(layout: _Layout) -> dict[str, Any]:
    """Tell of prefixes when each of them comes with the same body parts."""
    parts: dict[str, set[str]] = {}
    for keypoint in layout.keypoints:
        prefix, _, rest = keypoint.partition("_")
        parts.setdefault(prefix, set()).add(rest)
    known = list(parts.values())
    alike = len(known) > 1 and all(rest == known[0] for rest in known) and "" not in known[0]
    hidden = alike and len(layout.individuals) == 1
    prefixes = [f"{prefix}_" for prefix in parts]
    return {"possible_individual_prefixes": prefixes} if hidden else {}
