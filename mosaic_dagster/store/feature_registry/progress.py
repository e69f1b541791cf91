"""How far trainings have come: rows that are only ever added, one by one, through the journal.

A row costs one write and one sync of the journal of its process, no lease. Readers, in this
process or another, see it from their next lease on.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store.database.bulk import fetch_frame, first_row
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.journal.kinds import PROGRESS
from mosaic_dagster.store.database.journal.records import Record

SCHEMA: Mapping[str, Any] = {
    "seq": pl.Int64,
    "step_type": pl.String,
    "step_index": pl.Int64,
    "step_total": pl.Int64,
    "metrics": pl.String,
    "message": pl.String,
    "at": pl.Datetime("us"),
}
"""Columns of what :func:`read_rows` gives; ``metrics`` is JSON text."""

_LARGEST = 2**31 - 1


class ProgressWriter:
    """Adds the rows of one job; may be used from several threads.

    Parameters
    ----------
    database
        Where the rows go.
    job
        Name of the job; rows of an earlier writer of the same name stay, and numbers go on behind
        theirs.

    Raises
    ------
    StoreValueError, StoreTypeError
        The name is empty or no text.
    StoreLockedError
        Others held the database for too long.
    """

    def __init__(self, database: Database, job: str) -> None:
        self.job = _job(job)
        self._database = database
        self._lock = threading.Lock()
        with database.lease() as con:
            query = "SELECT max(seq) FROM features.training_progress WHERE job_id = ?"
            (last,) = first_row(con, query, [self.job]) or (None,)
        self._next = 0 if last is None else int(last) + 1

    def write(
        self,
        step_type: str,
        index: int | None = None,
        total: int | None = None,
        metrics: Mapping[str, Any] | None = None,
        message: str | None = None,
    ) -> int:
        """Add a row and return its number; it is on the disk then.

        Parameters
        ----------
        step_type
            What has gone on: ``epoch``, ``class``, ``phase`` and so on.
        index, total
            Which of how many.
        metrics
            Numbers by name; those that are not finite become null.
        message
            For people.

        Raises
        ------
        StoreTypeError
            A metric cannot be written as JSON, or an index is no whole number.
        StoreValueError
            An index is beyond 32 bits.
        """
        given = [_whole(index, "index"), _whole(total, "total")]
        text = None if metrics is None else _json(metrics)
        told = None if message is None else _readable(message)
        with self._lock:
            # The journal keeps the order of writing, so numbers are given where they are written.
            number = self._next
            at = time.time_ns() // 1000
            values = [self.job, number, _readable(step_type), *given, text, told, at]
            self._database.append(Record(PROGRESS, values))
            self._next = number + 1
        return number


def read_rows(database: Database, job: str, after: int = -1) -> pl.DataFrame:
    """Rows of a job in the order of their numbers, those behind a number only.

    Parameters
    ----------
    database
        Where the rows are.
    job
        Name of the job; nothing is known of one that has no row.
    after
        The last number that is known already; -1 for all.
    """
    query = f"""
        SELECT {", ".join(f'"{name}"' for name in SCHEMA)} FROM features.training_progress
        WHERE job_id = ? AND seq > ? ORDER BY seq, "at", rowid
    """
    with database.lease() as con:
        return fetch_frame(con.execute(query, [_job(job), after]), SCHEMA)


def jobs(database: Database) -> pl.DataFrame:
    """Every job with its number of rows, and when the first and the last were written."""
    schema = {"job_id": pl.String, "rows": pl.Int64, "started_at": SCHEMA["at"],
              "updated_at": SCHEMA["at"]}  # fmt: skip
    query = """
        SELECT job_id, count(*), min("at"), max("at") FROM features.training_progress
        GROUP BY job_id ORDER BY min("at"), job_id
    """
    with database.lease() as con:
        return fetch_frame(con.execute(query), schema)


def _job(name: Any) -> str:
    if not isinstance(name, str):
        msg = f"The name of a job is a {type(name).__name__}."
        raise StoreTypeError(msg, "Give a text.")
    if not name:
        msg = "The name of a job is empty."
        raise StoreValueError(msg, "Give every training a name.")
    return _readable(name)


def _readable(text: str) -> str:
    """Text that the tables take: what is not valid unicode is escaped."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def _whole(value: Any, name: str) -> int | None:
    if value is None:
        return None
    try:
        number = value.__index__()
    except AttributeError as error:
        msg = f"The {name} of a progress row is {value!r:.100}."
        raise StoreTypeError(msg, "Give a whole number.") from error
    if not -_LARGEST <= number <= _LARGEST:
        msg = f"The {name} of a progress row is {number}."
        raise StoreValueError(msg, "Whole numbers there have 32 bits.")
    return int(number)


def _json(metrics: Mapping[str, Any]) -> str:
    plain = {_readable(str(name)): _plain(value) for name, value in metrics.items()}
    try:
        return json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        msg = f"The metrics of a progress row are not JSON: {error}."
        raise StoreTypeError(msg, "Give numbers, texts, lists or mappings.") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numbers and arrays of numpy and of libraries like it
        value = value.tolist()
    match value:
        case str():
            return _readable(value)
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return value.isoformat()
        case Mapping():
            return {_readable(str(name)): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value
