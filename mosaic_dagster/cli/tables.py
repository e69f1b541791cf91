"""One way to print a table: for a terminal, for a file or a pipe, and for a program."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS = {
    "fresh": "green", "empty": "green", "stale": "yellow", "missing": "yellow",
    "partial": "yellow", "failed": "red", "blocked": "red", "refused": "red", "read": "green",
}  # fmt: skip
_GAP = "  "


def print_table(table: pl.DataFrame, as_json: bool = False) -> None:
    """Print a table: in colour on a terminal, as aligned text elsewhere, or as JSON rows.

    Parameters
    ----------
    table
        What is printed. On paper an underscore in a column's name is a space.
    as_json
        Print a JSON list with one object per row; a number that is not finite becomes null.
    """
    if as_json:
        print_json(table.to_dicts())
    elif sys.stdout.isatty():
        Console().print(_rich_table(table))
    else:
        print_lines(_aligned(table))


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print_lines([json.dumps(plain(value), indent=2, allow_nan=False)])


def print_lines(lines: Sequence[str]) -> None:
    """Print lines to standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """A value in types that JSON has; times in UTC, without a zone, as ISO text."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def size_text(count: int) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> size_text(999), size_text(1_500), size_text(2_340_000)
    ('999 B', '1.5 kB', '2.3 MB')
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def cell_text(value: Any) -> str:
    """A value as people read it, on one line and without anything that moves the cursor."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return one_line(str(value))


def one_line(text: str) -> str:
    """A text with line breaks as spaces, and other control characters spelled out."""
    joined = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


def shown_path(path: str | Path, root: Path) -> str:
    """A path relative to the project where it lies in it."""
    found = Path(path)
    return str(found.relative_to(root)) if found.is_relative_to(root) else str(found)


def _texts(table: pl.DataFrame) -> tuple[list[str], list[list[str]], list[bool]]:
    names = [name.replace("_", " ") for name in table.columns]
    rows = [[cell_text(value) for value in row] for row in table.iter_rows()]
    return names, rows, [dtype.is_numeric() for dtype in table.dtypes]


def _aligned(table: pl.DataFrame) -> list[str]:
    names, rows, to_the_right = _texts(table)
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    return [
        _GAP.join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, to_the_right, strict=True)
        ).rstrip()
        for row in [names, *rows]
    ]


def _rich_table(table: pl.DataFrame) -> Table:
    names, rows, to_the_right = _texts(table)
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, right in zip(names, to_the_right, strict=True):
        drawn.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in row))
    return drawn
