"""Csv files as columns of text, with the line number of every row, and text as numbers.

Parsing is left to polars; what polars would let pass is refused here: rows that are too short,
bytes that are not UTF-8, an empty file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mosaic_dagster.errors import ReaderError

MISSING_CELLS = ("", "nan", "na", "n/a", "null", "none")
"""How files spell a missing value, lower case."""

_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class CsvText:
    """The lines of a file that hold something, and where they were.

    Attributes
    ----------
    path
        The file.
    lines
        Its lines without blank ones.
    numbers
        Line number of each, counted from 1.
    """

    path: Path
    lines: tuple[bytes, ...]
    numbers: tuple[int, ...]

    def cells(self, row: int) -> list[str]:
        """Split one line into stripped cells; an empty list when there is no such line."""
        if row >= len(self.lines):
            return []
        return split_line(self.lines[row].decode())

    def body(self, first: int, width: int) -> pl.DataFrame:
        """Return the lines from ``first`` on as stripped text columns ``0``, ``1``, ….

        Raises
        ------
        ReaderError
            A line has another number of cells than ``width``.
        """
        rows = self.lines[first:]
        names = [str(column) for column in range(width)]
        self._check_width(first, width)
        if not rows:
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        if any(b'"' in line for line in rows):
            quoted = [split_line(line.decode()) for line in rows]
            return pl.DataFrame(quoted, schema=dict.fromkeys(names, pl.String), orient="row")
        table = pl.read_csv(
            b"\n".join(rows),
            has_header=False,
            new_columns=names,
            quote_char=None,
            infer_schema=False,
        )
        return table.select(pl.all().fill_null("").str.strip_chars())

    def line_of(self, row: int, first: int) -> int:
        """Line number of a row of :meth:`body`."""
        return self.numbers[first + row]

    def _check_width(self, first: int, width: int) -> None:
        for row, line in enumerate(self.lines[first:], start=first):
            commas = line.count(b",")
            if commas != width - 1 or b'"' in line:
                cells = len(split_line(line.decode()))
                if cells != width:
                    msg = f"{self.path}, line {self.numbers[row]} has {cells} cells, not {width}."
                    raise ReaderError(msg, "Every line must have as many cells as the header.")


def split_line(line: str) -> list[str]:
    """Cells of one line of csv, stripped."""
    try:
        cells = next(csv.reader([line]), [])
    except csv.Error:  # a cell of more than 128 KiB: no table of numbers, but no crash either
        cells = line.split(",")
    return [cell.strip() for cell in cells]


def read_csv_text(path: Path) -> CsvText:
    """Read a csv file.

    Raises
    ------
    ReaderError
        The file is empty, is not UTF-8, or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that the file is there and that you may read it.") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        msg = f"{path} is empty ({path.stat().st_size} bytes)."
        raise ReaderError(msg, "Export it again, or take it out of the folder.")
    numbered = [(n, line) for n, line in enumerate(data.splitlines(), start=1) if line.strip()]
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        msg = f"{path}, line {line} is not UTF-8 text (byte {data[error.start]:#04x})."
        raise ReaderError(msg, "Save the file as csv in UTF-8.") from error
    return CsvText(path, tuple(line for _, line in numbered), tuple(n for n, _ in numbered))


def read_head(path: Path, lines: int) -> list[list[str]]:
    """Split the first non-blank lines, decoded leniently; for recognising files."""
    with path.open("rb") as file:
        data = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    filled = [line for line in data.splitlines() if line.strip()][:lines]
    return [split_line(line.decode(errors="replace")) for line in filled]


def parse_numbers(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Text as Float64 with NaN where missing; and which cells hold something that is no number."""
    missing = text.str.to_lowercase().is_in(MISSING_CELLS)
    numbers = text.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & ~missing
    return numbers.fill_null(float("nan")).alias(text.name), wrong


def whole_numbers(text: CsvText, cells: pl.Series, column: str, first: int) -> pl.Series:
    """Cells as Int64 from 0.

    Raises
    ------
    ReaderError
        A cell is empty, is no whole number or is negative; names line, column and value.
    """
    whole = cells.cast(pl.Int64, strict=False)
    if whole.null_count():
        numbers = cells.cast(pl.Float64, strict=False)
        rounded = numbers.is_finite() & (numbers == numbers.round(0))
        whole = pl.select(pl.when(rounded).then(numbers)).to_series().cast(pl.Int64)
    bad = whole.is_null() | (whole < 0)
    if bad.any():
        row = int(bad.arg_true()[0])
        raise cell_error(text, cells, row, column, first, "a whole number from 0")
    return whole.alias(column)


def cell_error(
    text: CsvText, cells: pl.Series, row: int, column: str, first: int, wanted: str
) -> ReaderError:
    """Make the error for one cell: file, line, column, value."""
    value = cells[row]
    shown = repr(value) if value else "empty"
    msg = f"{text.path}, line {text.line_of(row, first)}, column {column!r} is {shown}."
    return ReaderError(msg, f"It must be {wanted}; correct the file or its export.")


def check_header(text: CsvText, names: Sequence[str]) -> None:
    """Refuse a header with an unnamed or repeated column.

    Raises
    ------
    ReaderError
        Names the column and its place.
    """
    for place, name in enumerate(names, start=1):
        if not name:
            msg = f"{text.path}: column {place} of the header has no name."
            raise ReaderError(msg, "Name every column.")
        if name in names[: place - 1]:
            msg = f"{text.path}: the header has the column {name!r} twice."
            raise ReaderError(msg, "Rename or remove one of them.")
