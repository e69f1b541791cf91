"""One opened workspace: its database, its objects, and what this process knows of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb

from mosaic_dagster.errors import StoreClosedError, StoreError, StoreLockedError, StoreValueError
from mosaic_dagster.store.content.objects import ContentStore
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.journal.records import Record
from mosaic_dagster.store.database.migrations import check_versions
from mosaic_dagster.store.database.recent import Recent
from mosaic_dagster.store.database.schemas import OWNERS
from mosaic_dagster.store.workspace.json_columns import check_row

Access = Literal["shared", "exclusive"]

DATABASE, ARTIFACTS = "store.duckdb", "artifacts"

_LOADED_OBJECTS = 100


class OpenWorkspace:
    """What every part of the store works on.

    Parameters
    ----------
    path
        Folder of the workspace; made unless it is only read.
    read_only
        Refuse every change.
    lock_timeout
        Seconds to wait for other processes.
    access
        'shared' holds the file inside each call only, 'exclusive' until :meth:`close`.
    allow_pickle
        Whether objects may be loaded from formats that run code.

    Attributes
    ----------
    loaded
        Objects that were loaded last, by artifact id.
    """

    def __init__(
        self, path: Path, *, read_only: bool, lock_timeout: float, access: Access,
        allow_pickle: bool,
    ) -> None:  # fmt: skip
        if access not in get_args(Access):
            msg = f"access is {access!r}."
            raise StoreValueError(msg, f"Use one of {', '.join(get_args(Access))}.")
        _check_timeout(lock_timeout)
        self.path = Path(path).resolve()
        self.read_only = read_only
        self.allow_pickle = allow_pickle
        self.database = Database(
            self.path / DATABASE, lock_timeout=lock_timeout, read_only=read_only
        )
        self.objects = ContentStore(self.path / ARTIFACTS)
        self.loaded: Recent[Any] = Recent(_LOADED_OBJECTS)
        self._pid = os.getpid()
        self._closed = False
        self._exclusive = access == "exclusive"
        self._open()

    def _open(self) -> None:
        if self._exclusive:
            self.database.hold()
        try:
            # Makes the file and its tables. This process may have seen the file before a newer
            # version of this package changed it, so the versions are read once more.
            with self.database.lease() as con:
                check_versions(con, OWNERS, complete=self.read_only)
        except BaseException:
            if self._exclusive:
                self.database.release()
            raise
        if not self.read_only:
            self.objects.root.mkdir(exist_ok=True)

    def close(self) -> None:
        """Bring journalled rows into the tables and let go of the file; again does nothing."""
        if self._closed or self._pid != os.getpid():
            return
        self.loaded.clear()
        try:
            if not self.read_only:
                # Who holds the file folds the journal in our place.
                with suppress(StoreLockedError):
                    self.database.settle()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file, and leave journalled rows to whoever takes it next."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        if self._exclusive:
            self.database.release()

    @property
    def alive(self) -> Recent[bool]:
        """Pipelines, chains and predictions without arrays that this process has seen alive."""
        return self.database.alive

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lease; see :meth:`Database.lease`."""
        self.check()
        with self.database.lease() as con:
            yield con

    @contextmanager
    def writing(self, *, outermost: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Transaction; see :meth:`Database.transaction`."""
        self.check()
        with self.database.transaction(outermost=outermost) as con:
            yield con

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the file over several calls; see :meth:`Database.session`."""
        self.check()
        with self.database.session():
            yield

    def append(
        self,
        kind: str,
        values: list[Any],
        arrays: dict[str, Any] | None = None,
        *,
        checked: bool = False,
    ) -> None:
        """Make one row durable; it is in the tables from the next lease on.

        With ``checked`` the caller has called :func:`check_row` itself.

        Raises
        ------
        StoreTypeError, StoreValueError
            The tables would refuse the row; it was not written.
        """
        self.check()
        if not checked:
            check_row(kind, values)
        self.database.append(Record(kind, values, arrays or {}))

    def compact(self) -> None:
        """Give back space; see :meth:`Database.compact`."""
        with self.writing():
            """Refuses a store that may only read."""
        self.database.compact()

    def forget(self) -> None:
        """Take nothing for alive or loaded that may have been deleted just now."""
        self.alive.clear()
        self.loaded.clear()

    def check_writable(self) -> None:
        """As :meth:`check`; also refuse a store that may only read.

        Raises
        ------
        StoreError
            The store was opened with ``read_only``.
        """
        self.check()
        if self.read_only:
            msg = f"{self.path} was opened read-only."
            raise StoreError(msg, "Open it without read_only to change it.")

    def check(self) -> None:
        """Refuse work after close or in a forked child.

        Raises
        ------
        StoreClosedError
            The store was closed.
        StoreError
            The store belongs to the parent of this process.
        """
        if self._closed:
            msg = f"The store of {self.path} was closed."
            raise StoreClosedError(msg, "Open it again.")
        if self._pid != os.getpid():
            msg = f"The store of {self.path} was opened by another process."
            raise StoreError(msg, "Open a store in each process.")


def _check_timeout(given: Any) -> None:
    is_time = isinstance(given, int | float) and 0 <= given <= threading.TIMEOUT_MAX
    if not is_time:
        msg = f"lock_timeout is {given!r}."
        raise StoreValueError(msg, "Give a time in seconds, not below zero.")
