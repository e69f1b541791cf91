"""Columns of BORIS tables, whose names differ between versions, and what they tell."""

from __future__ import annotations

from pathlib import Path

from mosaic_dagster.dataset.labels.readers.boris_scores import Observation
from mosaic_dagster.dataset.labels.readers.delimited import TextTable
from mosaic_dagster.errors import ReaderError

OBSERVATION, SUBJECT, BEHAVIOR, TYPE = "Observation id", "Subject", "Behavior", "Behavior type"
MEDIA = ("Media file path", "Media file name", "Media file")
RATE = ("FPS", "FPS (frame/s)")
LENGTH = ("Total length", "Media duration (s)", "Observation duration")

POINT = "POINT"


def row_observation(table: TextTable, row: int, id: str | None = None) -> Observation:
    """Tell the observation of a row.

    Parameters
    ----------
    table
        The table.
    row
        Its row.
    id
        The id, where a preamble told it; else it is the row's.

    Raises
    ------
    ReaderError
        A cell is empty or no number where it must be one.
    """
    if id is None:
        id = table.needed_text(row, OBSERVATION) if table.has(OBSERVATION) else ""
    media = table.cell(row, table.first_of(MEDIA))
    rate, length = table.first_of(RATE), table.first_of(LENGTH)
    return Observation(
        id,
        (media,) if media else (),
        frozenset(_rates(table, row, rate)),
        _seconds(table, row, length),
    )


def _rates(table: TextTable, row: int, column: str | None) -> list[float]:
    """Rates of the media of a row; several media are told as ``25.0;25.0``."""
    rates = []
    for part in table.cell(row, column).split(";"):
        if part.strip():
            rates.append(positive(table.path, part, f"line {table.lines[row]}, {column}"))
    return rates


def _seconds(table: TextTable, row: int, column: str | None) -> float | None:
    try:
        return table.number(row, column)
    except ReaderError:
        return None  # several media, or a clock time; refused only where it is needed


def positive(path: Path, value: object, where: str) -> float:
    """Return a frame rate.

    Raises
    ------
    ReaderError
        It is no positive number.
    """
    try:
        rate = float(str(value))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        msg = f"{path}, {where}: {value!r} is no frame rate."
        raise ReaderError(msg, "It must be a positive number.")
    return rate
