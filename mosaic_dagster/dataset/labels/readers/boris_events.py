"""Tabular events of BORIS: a row for each START, STOP or POINT.

Older versions put a preamble before the table: the id of the observation, a line for each media
file and each independent variable. Its length varies, so the header is found by its content.
Newer versions have no preamble and tell the observation in every row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mosaic_dagster.dataset.labels.readers.base import LabelledRecording, LabelReaderParams
from mosaic_dagster.dataset.labels.readers.boris_columns import (
    BEHAVIOR,
    OBSERVATION,
    SUBJECT,
    TYPE,
    row_observation,
)
from mosaic_dagster.dataset.labels.readers.boris_marks import Mark, Status, paired
from mosaic_dagster.dataset.labels.readers.boris_scores import (
    BorisParams,
    Observation,
    listed,
    recordings,
    subject_name,
)
from mosaic_dagster.dataset.labels.readers.delimited import (
    Row,
    TextRows,
    TextTable,
    head_rows,
    read_rows,
)
from mosaic_dagster.dataset.readers.base import Names
from mosaic_dagster.errors import ReaderError

TIME = "Time"

_STATUS = ("Status", TYPE)
_STATUSES: dict[str, Status] = {"START": "START", "STOP": "STOP", "POINT": "POINT"}
_OFFSET = "Time offset (s)"


@dataclass(frozen=True)
class _Events:
    """The table, and what the preamble says of all its rows."""

    table: TextTable
    status: str
    id: str | None
    offset: float


class BorisEvents:
    """Reads tabular events, separated by commas, tabs or semicolons."""

    name: ClassVar[str] = "boris_events"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".csv", ".tsv")
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = BorisParams

    def sniff(self, path: Path) -> bool:
        """Whether one of its first lines is the header of such a table."""
        return any(map(_is_header, head_rows(path)))

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:
        """List the recordings in the file.

        Raises
        ------
        ReaderError
            The file has no header, or what should name a recording does not.
        """
        events = _opened(path)
        rows = range(len(events.table.rows))
        return listed(path, [_told(events, row) for row in rows], _asked(params))

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Labels of every recording in the file.

        Raises
        ------
        ReaderError
            The file has no header, a cell holds something else than it must, a START has no
            STOP or a STOP no START (names the line), or see
            :func:`~mosaic_dagster.dataset.labels.readers.boris_scores.recordings`.
        """
        events = _opened(path)
        asked = _asked(params)
        marks = [_mark(events, row) for row in range(len(events.table.rows))]
        if asked.only is not None:
            marks = [mark for mark in marks if mark.of.id in asked.only]
        found = recordings(path, paired(path, marks), asked)
        if events.offset:
            # The times of the file are taken as they are.
            for recording in found:
                recording.notes["time_offset_told"] = events.offset
        return found


def _asked(params: LabelReaderParams) -> BorisParams:
    return BorisParams.model_validate(params.model_dump())


def _is_header(row: Row) -> bool:
    names = set(row)
    # A variable of the preamble may be called "Time" too, so one name is not enough.
    return {TIME, SUBJECT, BEHAVIOR} <= names and not names.isdisjoint(_STATUS)


def _opened(path: Path) -> _Events:
    rows = read_rows(path)
    header = next((place for place, row in enumerate(rows.rows) if _is_header(row)), None)
    if header is None:
        msg = f"{path} has no line with the columns 'Time', 'Subject', 'Behavior' and 'Status'."
        raise ReaderError(msg, "Export it as tabular events with column names.")
    table = rows.below(header)
    status = table.first_of(_STATUS) or ""
    once = [name for name in (OBSERVATION,) if table.has(name)]
    table.check([TIME, SUBJECT, BEHAVIOR, status, *once])
    preamble = _preamble(rows, header)
    id = None if table.has(OBSERVATION) else preamble.get(OBSERVATION, "")
    return _Events(table, status, id, _offset(preamble.get(_OFFSET, "")))


def _preamble(rows: TextRows, header: int) -> dict[str, str]:
    return {row[0]: row[1] for row in reversed(rows.rows[:header]) if len(row) > 1}


def _offset(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _told(events: _Events, row: int) -> tuple[Observation, str]:
    table = events.table
    return row_observation(table, row, events.id), subject_name(table.cell(row, SUBJECT))


def _mark(events: _Events, row: int) -> Mark:
    table = events.table
    of, subject = _told(events, row)
    text = table.cell(row, events.status)
    status = _STATUSES.get(text.upper())
    if status is None:
        wanted = "START, STOP or POINT"
        raise table.error(row, events.status, repr(text) if text else "empty", wanted)
    modifiers = tuple(table.cell(row, name) for name in _modifiers(table.names))
    return Mark(
        of,
        subject,
        table.needed_text(row, BEHAVIOR),
        modifiers,
        table.needed_number(row, TIME),
        status,
        f"line {table.lines[row]}",
    )


def _modifiers(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith("Modifier")]
