"""Aggregated events of BORIS: a row for each bout, with its start and its stop.

Columns are found by name: every independent variable of the project adds one, and versions differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mosaic_dagster.dataset.labels.readers.base import LabelledRecording, LabelReaderParams
from mosaic_dagster.dataset.labels.readers.boris_columns import (
    BEHAVIOR,
    OBSERVATION,
    POINT,
    SUBJECT,
    TYPE,
    row_observation,
)
from mosaic_dagster.dataset.labels.readers.boris_scores import (
    BorisParams,
    Score,
    listed,
    recordings,
    subject_name,
)
from mosaic_dagster.dataset.labels.readers.delimited import TextTable, head_rows, read_rows
from mosaic_dagster.dataset.readers.base import Names
from mosaic_dagster.errors import ReaderError

START, STOP = "Start (s)", "Stop (s)"

_NEEDED = (SUBJECT, BEHAVIOR, START, STOP)
_ONCE = (OBSERVATION, TYPE)


class BorisAggregatedParams(BorisParams):
    """Parameters of :class:`BorisAggregated`.

    Attributes
    ----------
    header
        Names of the columns of a file that was exported without them.
    """

    header: tuple[str, ...] = ()


class BorisAggregated:
    """Reads aggregated events, separated by commas, tabs or semicolons."""

    name: ClassVar[str] = "boris_aggregated"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".csv", ".tsv")
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = BorisAggregatedParams

    def sniff(self, path: Path) -> bool:
        """Whether the first row names the columns that every such file has."""
        return set(_NEEDED) <= set(next(head_rows(path), ()))

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:
        """List the recordings in the file.

        Raises
        ------
        ReaderError
            The file has no header, or what should name a recording does not.
        """
        asked, table = _opened(path, params)
        told = [
            (row_observation(table, row), subject_name(table.cell(row, SUBJECT)))
            for row in range(len(table.rows))
        ]
        return listed(path, told, asked)

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Labels of every recording in the file.

        Raises
        ------
        ReaderError
            The file has no header, a cell holds something else than it must (names the line),
            or see :func:`~mosaic_dagster.dataset.labels.readers.boris_scores.recordings`.
        """
        asked, table = _opened(path, params)
        scores = [_score(table, row) for row in range(len(table.rows))]
        return recordings(path, scores, asked)


def _opened(path: Path, params: LabelReaderParams) -> tuple[BorisAggregatedParams, TextTable]:
    asked = BorisAggregatedParams.model_validate(params.model_dump())
    rows = read_rows(path)
    has_header = set(_NEEDED) <= set(rows.rows[0])
    if asked.header and has_header:
        msg = f"{path} has a header, and the parameter header gives another."
        raise ReaderError(msg, "Leave the parameter out for this file.")
    if not asked.header and not has_header:
        lacking = [name for name in _NEEDED if name not in rows.rows[0]]
        msg = f"{path}: the first line names no column {', '.join(map(repr, lacking))}."
        remedy = "Export it with column names, or give them all as the reader's parameter header."
        raise ReaderError(msg, remedy)
    table = rows.named(asked.header) if asked.header else rows.below(0)
    table.check([*_NEEDED, *(name for name in _ONCE if table.has(name))])
    return asked, table


def _score(table: TextTable, row: int) -> Score:
    start = table.needed_number(row, START)
    is_point = table.cell(row, TYPE).upper() == POINT
    stop = start if is_point else table.needed_number(row, STOP)
    if stop < start:
        raise table.error(row, STOP, f"{stop}, before the start {start}", "the end of the bout")
    return Score(
        row_observation(table, row),
        subject_name(table.cell(row, SUBJECT)),
        table.needed_text(row, BEHAVIOR),
        start,
        stop,
    )
