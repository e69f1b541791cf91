"""Tables of text with a header: comma, tab or semicolon, with the line number of every row."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mosaic_dagster.dataset.readers.csv_text import MISSING_CELLS, read_csv_text
from mosaic_dagster.errors import ReaderError

Row = tuple[str, ...]

_DELIMITERS = ("\t", ",", ";")
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class TextRows:
    """All rows of a file that hold something, cells stripped, and the lines they begin at."""

    path: Path
    rows: tuple[Row, ...]
    lines: tuple[int, ...]

    def below(self, header: int) -> TextTable:
        """Take one row as the header and those after it as the table.

        Raises
        ------
        ReaderError
            A row has another number of cells than the header.
        """
        return self.named(self.rows[header], header + 1)

    def named(self, names: Row, first: int = 0) -> TextTable:
        """Take the rows from ``first`` on as a table with these names of columns.

        Raises
        ------
        ReaderError
            A row has another number of cells than there are names.
        """
        for row, line in zip(self.rows[first:], self.lines[first:], strict=True):
            if len(row) != len(names):
                msg = f"{self.path}, line {line} has {len(row)} cells, not {len(names)}."
                raise ReaderError(msg, "Is the file cut short? Every row has a cell per column.")
        return TextTable(self.path, names, self.rows[first:], self.lines[first:])


@dataclass(frozen=True)
class TextTable:
    """Rows by name of column.

    Attributes
    ----------
    path
        The file.
    names
        Names of the columns.
    rows
        Stripped cells.
    lines
        Line number of each row, counted from 1.
    """

    path: Path
    names: Row
    rows: tuple[Row, ...]
    lines: tuple[int, ...]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in reversed(list(enumerate(self.names)))}

    def has(self, name: str) -> bool:
        """Whether there is a column of this name."""
        return name in self._places

    def first_of(self, names: Sequence[str]) -> str | None:
        """Return the first of these names that is a column."""
        return next((name for name in names if self.has(name)), None)

    def check(self, needed: Sequence[str]) -> None:
        """Refuse a table that lacks a column or has it twice.

        Raises
        ------
        ReaderError
            Names the column.
        """
        for name in needed:
            times = self.names.count(name)
            if times != 1:
                wrong = "has no column" if not times else f"has {times} columns called"
                msg = f"{self.path} {wrong} {name!r}."
                raise ReaderError(msg, f"Its columns are: {', '.join(self.names)}.")

    def cell(self, row: int, name: str | None) -> str:
        """Return one cell; empty where the column is absent or the cell says *missing*."""
        if name is None or name not in self._places:
            return ""
        text = self.rows[row][self._places[name]]
        return "" if text.lower() in MISSING_CELLS else text

    def number(self, row: int, name: str | None) -> float | None:
        """Return one cell as a number; None where there is nothing.

        Raises
        ------
        ReaderError
            It is no finite number; names line, column and value.
        """
        text = self.cell(row, name)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(row, name, f"{text!r}", "a number, with a point for decimals")
        return value

    def needed_number(self, row: int, name: str) -> float:
        """Return one cell as a number.

        Raises
        ------
        ReaderError
            It is empty or no finite number.
        """
        value = self.number(row, name)
        if value is None:
            raise self.error(row, name, "empty", "a number")
        return value

    def needed_text(self, row: int, name: str) -> str:
        """Return one cell.

        Raises
        ------
        ReaderError
            It is empty.
        """
        # A behaviour may well be called "none": only an empty cell is nothing here.
        text = self.rows[row][self._places[name]]
        if not text:
            raise self.error(row, name, "empty", "a name")
        return text

    def error(self, row: int, name: str | None, is_now: str, wanted: str) -> ReaderError:
        """Make the error for one cell."""
        msg = f"{self.path}, line {self.lines[row]}, column {name!r} is {is_now}."
        return ReaderError(msg, f"It must be {wanted}; correct the file or its export.")


def read_rows(path: Path) -> TextRows:
    """Read a file of delimited text.

    Raises
    ------
    ReaderError
        The file is empty, is not UTF-8, or cannot be read.
    """
    text = read_csv_text(path)
    reader = csv.reader(
        (line.decode() + "\n" for line in text.lines),
        delimiter=delimiter_of(text.lines[0].decode()),
    )
    rows: list[Row] = []
    lines: list[int] = []
    begins = 0
    try:
        for row in reader:
            rows.append(tuple(cell.strip() for cell in row))
            lines.append(text.numbers[begins])
            begins = reader.line_num
    except csv.Error as error:
        msg = f"{path}, line {text.numbers[begins]}: {error}."
        raise ReaderError(msg, "Is it a table of text? Export it again.") from error
    return TextRows(path, tuple(rows), tuple(lines))


def head_rows(path: Path) -> Iterator[Row]:
    """Rows at the start of a file, decoded leniently; for recognising files."""
    with path.open("rb") as file:
        data = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    lines = [line.decode(errors="replace") for line in data.splitlines() if line.strip()]
    if not lines:
        return
    try:
        for row in csv.reader(lines, delimiter=delimiter_of(lines[0])):
            yield tuple(cell.strip() for cell in row)
    except csv.Error:
        return


def delimiter_of(line: str) -> str:
    """What separates the cells of a line: the most frequent of tab, comma and semicolon."""
    counts = Counter(line)
    return max(_DELIMITERS, key=lambda mark: counts[mark])
