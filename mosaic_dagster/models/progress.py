"""What a training says while it goes on, and who listens.

A model is given one callback and calls its methods; :class:`CompositeProgressCallback` hands each
call on to several. A listener that fails is told about and does not end the training.
"""

from __future__ import annotations

import csv
import logging
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.dataset import DATABASE_FILE
from mosaic_dagster.errors import StoreError, StoreTypeError
from mosaic_dagster.store import Database, WorkspaceStore, open_database
from mosaic_dagster.store.feature_registry.progress import ProgressWriter, read_rows

_log = logging.getLogger(__name__)

Where = Database | Dataset | WorkspaceStore | Path | str
"""A workspace: its folder, its database, or what was opened from it."""


class TrainingProgressCallback:
    """Hears how a training goes on; every method does nothing until it is overridden.

    Indices count from 0, totals are None where they are not known.
    """

    def on_epoch_end(
        self, epoch: int, total: int | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Hear that an epoch, an iteration or a fold has ended, with its metrics."""

    def on_class_start(self, index: int, total: int | None, name: str) -> None:
        """Hear that the model of one class is begun."""

    def on_phase(self, phase: str, message: str = "") -> None:
        """Hear that a part of the training is begun, such as reading or evaluating."""

    def on_entry_start(self, index: int, total: int | None, key: str) -> None:
        """Hear that work on one recording is begun."""

    def on_entry_end(self, index: int, total: int | None, key: str) -> None:
        """Hear that work on one recording has ended."""


class CompositeProgressCallback(TrainingProgressCallback):
    """Hands every call on to several callbacks.

    A callback that raises an exception keeps being called; its first failure is logged as a
    warning, and all are counted.

    Parameters
    ----------
    callbacks
        In the order in which they are called.

    Attributes
    ----------
    failures
        One sentence per callback that failed, with the first error and the number of failures.
    """

    def __init__(self, callbacks: Iterable[TrainingProgressCallback]) -> None:
        self._callbacks = tuple(callbacks)
        self._failures: dict[int, tuple[str, int]] = {}

    @property
    def failures(self) -> list[str]:
        """What went wrong in the callbacks so far."""
        return [f"{text} ({count} times)" for text, count in self._failures.values()]

    def on_epoch_end(
        self, epoch: int, total: int | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Hand on; see :meth:`TrainingProgressCallback.on_epoch_end`."""
        self._each(lambda callback: callback.on_epoch_end(epoch, total, metrics))

    def on_class_start(self, index: int, total: int | None, name: str) -> None:
        """Hand on; see :meth:`TrainingProgressCallback.on_class_start`."""
        self._each(lambda callback: callback.on_class_start(index, total, name))

    def on_phase(self, phase: str, message: str = "") -> None:
        """Hand on; see :meth:`TrainingProgressCallback.on_phase`."""
        self._each(lambda callback: callback.on_phase(phase, message))

    def on_entry_start(self, index: int, total: int | None, key: str) -> None:
        """Hand on; see :meth:`TrainingProgressCallback.on_entry_start`."""
        self._each(lambda callback: callback.on_entry_start(index, total, key))

    def on_entry_end(self, index: int, total: int | None, key: str) -> None:
        """Hand on; see :meth:`TrainingProgressCallback.on_entry_end`."""
        self._each(lambda callback: callback.on_entry_end(index, total, key))

    def _each(self, call: Callable[[TrainingProgressCallback], None]) -> None:
        for place, callback in enumerate(self._callbacks):
            try:
                call(callback)
            except Exception as error:  # noqa: BLE001 - whoever listens must not end the work
                self._note(place, callback, error)

    def _note(self, place: int, callback: object, error: Exception) -> None:
        text = f"{type(callback).__name__} failed: {type(error).__name__}: {error}"
        first, count = self._failures.get(place, (text, 0))
        self._failures[place] = (first, count + 1)
        if not count:
            _log.warning("The progress callback %s. The training goes on.", text)


@dataclass(frozen=True)
class _Row:
    """What one call says."""

    step_type: str
    index: int | None = None
    total: int | None = None
    metrics: Mapping[str, Any] | None = None
    message: str | None = None

    def told(self) -> list[str]:
        """Metrics as texts."""
        return [f"{name}={_shown(value)}" for name, value in (self.metrics or {}).items()]


class _RowCallback(TrainingProgressCallback, ABC):
    """A callback to which every call is a row of one table."""

    def on_epoch_end(
        self, epoch: int, total: int | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Add a row of type ``epoch``."""
        self._add(_Row("epoch", epoch, total, metrics))

    def on_class_start(self, index: int, total: int | None, name: str) -> None:
        """Add a row of type ``class``; the message is the name."""
        self._add(_Row("class", index, total, message=name))

    def on_phase(self, phase: str, message: str = "") -> None:
        """Add a row of type ``phase``; the message begins with its name."""
        self._add(_Row("phase", message=f"{phase}: {message}" if message else phase))

    def on_entry_start(self, index: int, total: int | None, key: str) -> None:
        """Add a row of type ``entry_start``; the message is the key."""
        self._add(_Row("entry_start", index, total, message=key))

    def on_entry_end(self, index: int, total: int | None, key: str) -> None:
        """Add a row of type ``entry_end``; the message is the key."""
        self._add(_Row("entry_end", index, total, message=key))

    @abstractmethod
    def _add(self, row: _Row) -> None:
        """Take one row."""


class ConsoleProgress(_RowCallback):
    """Writes a plain line for every call.

    Parameters
    ----------
    stream
        Where to; standard error by default.
    every
        Only every so many epochs have a line, and the last.
    """

    def __init__(self, stream: TextIO | None = None, every: int = 1) -> None:
        self._stream = stream
        self._every = max(1, every)

    def _add(self, row: _Row) -> None:
        index, total = row.index, row.total
        is_last = index is not None and total is not None and index + 1 == total
        if row.step_type == "epoch" and not is_last and (index or 0) % self._every:
            return
        place = "" if index is None else f" {index + 1}" + (f"/{total}" if total else "")
        parts = [
            f"{row.step_type.replace('_', ' ')}{place}",
            *([row.message] if row.message else []),
        ]
        print("  ".join([*parts, *row.told()]), file=self._stream or sys.stderr, flush=True)


class CsvProgress(_RowCallback):
    """Adds a line to a CSV file for every call, and one more of headings to a new file.

    Columns are ``seq, step_type, step_index, step_total, metrics, message, at``; metrics are
    ``name=value`` separated by ``;``, times are UTC.

    Parameters
    ----------
    path
        The file; lines are added to one that is there, numbered from 0 by each callback.
    """

    _HEADINGS = ("seq", "step_type", "step_index", "step_total", "metrics", "message", "at")

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._next = 0

    def _add(self, row: _Row) -> None:
        told = ";".join(row.told())
        at = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        with self._lock, self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if not file.tell():
                writer.writerow(self._HEADINGS)
            place = [self._next, row.step_type, row.index, row.total]
            writer.writerow([*place, told, row.message, at])
            self._next += 1


class DatabaseProgress(_RowCallback):
    """Adds a row to the workspace's database for every call; see :func:`read_progress`.

    Rows are on the disk when the call returns and are never changed, so a training that is
    killed leaves all it said.

    Parameters
    ----------
    db
        The workspace, or its folder.
    job
        Name under which the rows are read; rows of an earlier training of this name stay.

    Raises
    ------
    StoreValueError
        The name is empty.
    StoreLockedError
        Others held the database for too long.
    """

    def __init__(self, db: Where, job: str) -> None:
        self._writer = ProgressWriter(_database(db), job)

    @property
    def job(self) -> str:
        """Name of the job."""
        return self._writer.job

    def _add(self, row: _Row) -> None:
        self._writer.write(row.step_type, row.index, row.total, row.metrics, row.message)


def read_progress(db: Where, job: str, after: int = -1) -> pl.DataFrame:
    """What a training has said so far, also one of another process.

    Parameters
    ----------
    db
        The workspace, or its folder.
    job
        Name of the job, as :class:`DatabaseProgress` was given; :func:`train_model` uses the run
        id of the model.
    after
        Only rows with a greater ``seq``, for who asks again and again.

    Returns
    -------
    polars.DataFrame
        ``seq`` (Int64, from 0), ``step_type`` (``epoch``, ``class``, ``phase``, ``entry_start``,
        ``entry_end``), ``step_index``, ``step_total``, ``metrics`` (JSON text, null where a call
        has none), ``message``, ``at`` (UTC), in the order of ``seq``; no rows for an unknown job.

    Raises
    ------
    StoreError
        There is no such workspace, or its database cannot be read.
    """
    if isinstance(db, str | Path) and not (Path(db) / DATABASE_FILE).is_file():
        msg = f"There is no workspace at {Path(db)}."
        raise StoreError(msg, f"Give the folder that holds {DATABASE_FILE}.")
    return read_rows(_database(db), job, after)


def _database(where: Where) -> Database:
    match where:
        case Database():
            return where
        case Dataset():
            return where.registry.database
        case WorkspaceStore():
            return open_database(where.workspace_path / DATABASE_FILE)
        case str() | Path():
            return open_database(Path(where) / DATABASE_FILE)
    msg = f"A {type(where).__name__} is no workspace."
    raise StoreTypeError(msg, "Give a Dataset, a WorkspaceStore, a Database or a folder.")


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
