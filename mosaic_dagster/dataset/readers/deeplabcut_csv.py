"""DeepLabCut predictions as csv: one row per frame, three columns per animal and keypoint.

Three header lines name scorer, bodyparts and coords; with several animals a line of individuals
comes second. Pixels, y downwards. The file does not tell its frame rate. The scorer is ignored:
csv files that went through other programs number its cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording, one_sequence
from mosaic_dagster.dataset.readers.csv_text import (
    CsvText,
    parse_numbers,
    read_csv_text,
    read_head,
    whole_numbers,
)
from mosaic_dagster.errors import ReaderError

_PARTS = {"x": "X", "y": "Y", "likelihood": "P"}
_LEVELS = {
    "bodyparts": ("bodyparts", "coords"),
    "individuals": ("individuals", "bodyparts", "coords"),
}
_REMEDY = "Is this a csv file that DeepLabCut wrote when it analysed a video?"


class DeepLabCutParams(ReaderParams):
    """Parameters of :class:`DeepLabCutCsv`: those of every reader."""


@dataclass(frozen=True)
class _Layout:
    """Column numbers by (individual, keypoint, part), and the number of header lines."""

    columns: dict[tuple[str, str, str], int]
    individuals: tuple[str, ...]
    keypoints: tuple[str, ...]
    n_header: int
    width: int


class DeepLabCutCsv:
    """Reads DeepLabCut csv files with one or several animals."""

    name: ClassVar[str] = "deeplabcut"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".csv",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = DeepLabCutParams

    def sniff(self, path: Path) -> bool:
        """Whether the first cells of the first two lines are those of DeepLabCut."""
        head = read_head(path, 2)
        return [row[0] for row in head if row][:1] == ["scorer"] and head[-1][0] in _LEVELS

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file."""
        return one_sequence(path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:  # noqa: ARG002
        """Body parts in the order in which they appear."""
        rows = {row[0]: row[1:] for row in read_head(path, 4) if row}
        return tuple(dict.fromkeys(rows.get("bodyparts", [])))

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:  # noqa: ARG002
        """Read the recording in the file; cells that are no numbers are missing, and counted.

        Individuals are numbered as they appear; the column ``individual`` keeps their names
        where there are several.

        Raises
        ------
        ReaderError
            The header is not DeepLabCut's, a line has too few or too many cells, or a frame is
            no whole number.
        """
        text = read_csv_text(path)
        layout = _read_layout(text)
        cells = text.body(layout.n_header, layout.width)
        frames = whole_numbers(text, cells["0"], "frame", layout.n_header)
        tables, unparsable = [], 0
        for number, individual in enumerate(layout.individuals):
            table, wrong = _read_individual(cells, layout, individual)
            tables.append(
                table.insert_column(0, frames).insert_column(
                    1, pl.Series("id", [number] * len(frames), pl.Int64)
                )
            )
            unparsable += wrong
        table = pl.concat(tables)
        return [Recording(path.stem, None, table, layout.keypoints, unparsable=unparsable)]


def _read_layout(text: CsvText) -> _Layout:
    rows = [text.cells(row) for row in range(4)]
    first = [row[0] if row else "" for row in rows]
    levels = _LEVELS.get(first[1], ())
    if first[0] != "scorer" or not levels or tuple(first[1 : 1 + len(levels)]) != levels:
        msg = (
            f"{text.path}: the first cells are {', '.join(map(repr, first))}, not 'scorer', "
            "'bodyparts', 'coords' with 'individuals' second for several animals."
        )
        raise ReaderError(msg, _REMEDY)
    header = dict(zip(levels, rows[1:], strict=False))
    width = len(rows[0])
    for level, row in header.items():
        if len(row) != width:
            msg = f"{text.path}: the line {level!r} has {len(row)} cells and 'scorer' {width}."
            raise ReaderError(msg, _REMEDY)
    individuals = header.get("individuals", [""] * width)
    columns = _columns(text, individuals, header["bodyparts"], header["coords"])
    if not columns:
        msg = f"{text.path}: the header names no keypoints."
        raise ReaderError(msg, _REMEDY)
    return _Layout(
        columns,
        individuals=tuple(dict.fromkeys(individuals[1:])),
        keypoints=tuple(dict.fromkeys(header["bodyparts"][1:])),
        n_header=1 + len(levels),
        width=width,
    )


def _columns(
    text: CsvText, individuals: list[str], bodyparts: list[str], coords: list[str]
) -> dict[tuple[str, str, str], int]:
    columns: dict[tuple[str, str, str], int] = {}
    for place in range(1, len(coords)):
        point = (individuals[place], bodyparts[place])
        part = _PARTS.get(coords[place])
        if part is None:
            msg = f"{text.path}, column {place + 1}: coords says {coords[place]!r}."
            raise ReaderError(msg, "It must be x, y or likelihood.")
        if (*point, part) in columns:
            msg = f"{text.path}: {' '.join(point).strip()} has {coords[place]!r} twice."
            raise ReaderError(msg, "Remove one of the columns.")
        columns[(*point, part)] = place
    for individual, keypoint, part in columns:
        for needed in {"X": "Y", "Y": "X", "P": "XY"}[part]:
            if (individual, keypoint, needed) not in columns:
                name = f"{individual} {keypoint}".strip()
                msg = f"{text.path}: {name} has no {needed.lower()}."
                raise ReaderError(msg, "Give both coordinates of a keypoint.")
    return columns


def _read_individual(
    cells: pl.DataFrame, layout: _Layout, individual: str
) -> tuple[pl.DataFrame, int]:
    """Keypoints of one animal; those that only others have are missing for it."""
    parts = sorted({part for _, _, part in layout.columns}, key="XYP".index)
    columns, unparsable = [], 0
    for k, keypoint in enumerate(layout.keypoints):
        for part in parts:
            place = layout.columns.get((individual, keypoint, part))
            numbers = pl.Series([float("nan")] * cells.height, dtype=pl.Float64)
            if place is not None:
                numbers, wrong = parse_numbers(cells[str(place)])
                unparsable += int(wrong.sum())
            columns.append(numbers.alias(f"pose{part}{k}"))
    table = pl.DataFrame(columns)
    if len(layout.individuals) > 1:
        table = table.with_columns(individual=pl.lit(individual))
    return table, unparsable
