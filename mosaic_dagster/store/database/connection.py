"""The one way to the database: lock, attach, work, detach.

DuckDB lets one process have a file open for writing, and nobody else meanwhile. So the file is
held for as long as a lease lasts and not longer. Each process keeps one DuckDB instance in memory
per file and attaches the file to it for a lease: making an instance takes 20 ms, attaching 1 ms.

A lock file beside the database, held through the operating system and so gone with its process,
puts our own processes in a queue; DuckDB's own lock keeps foreign tools out.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from mosaic_dagster.errors import StoreError, StoreLockedError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.database.attachment import Attachment
from mosaic_dagster.store.database.holder import FileHolder
from mosaic_dagster.store.database.migrations import Migration, check_versions, migrate
from mosaic_dagster.store.database.schemas import OWNERS

LOCK_TIMEOUT = 10.0
"""Seconds that a lease waits for others before it gives up."""


class _Gate:
    """What the threads of one process share about one file: a queue, the file and its state."""

    def __init__(self, path: Path) -> None:
        self.pid = os.getpid()
        self.queue = threading.RLock()
        self.holder = FileHolder(path)
        self.attachment = Attachment(path)
        self.con: duckdb.DuckDBPyConnection | None = None
        self.depth = 0
        self.in_transaction = False
        self.read_only = False
        self.current: dict[str, tuple[int, int]] = {}

    @property
    def inherited(self) -> bool:
        """Whether this is the copy that a fork made; it belongs to the parent."""
        return self.pid != os.getpid()

    def abandon(self) -> None:
        """Never destroy what a forked child got of a lease: its destructor would crash there."""
        for held in (self.con, *self.attachment.held()):
            if held is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))


_gates: dict[tuple[int, Path], _Gate] = {}
_gates_lock = threading.Lock()


def _close_idle_instances() -> None:
    # A child has none of the threads of a DuckDB instance, and would hang on them when it ends.
    for gate in list(_gates.values()):
        if not gate.inherited and gate.queue.acquire(blocking=False):
            try:
                if not gate.depth:
                    gate.attachment.close()
            finally:
                gate.queue.release()


def _forget_parent() -> None:
    # A thread that the child lacks may hold the old one.
    global _gates_lock
    _gates_lock = threading.Lock()
    for gate in _gates.values():
        gate.abandon()


# An instance that outlives the interpreter's modules makes DuckDB complain on the terminal.
atexit.register(_close_idle_instances)
os.register_at_fork(before=_close_idle_instances, after_in_child=_forget_parent)


class Database:
    """The database file of one workspace.

    Nothing is opened before the first lease. Objects for the same file share one queue, one
    connection and its transaction, within a process; a copy in a worker or a forked child starts
    anew, without the lease of its parent.

    Parameters
    ----------
    path
        The file, ``<workspace>/store.duckdb``; it and its folder are made by the first lease.
    lock_timeout
        Seconds to wait for others.
    read_only
        Never change anything, not even to create or migrate the file.
    """

    def __init__(
        self, path: Path, *, lock_timeout: float = LOCK_TIMEOUT, read_only: bool = False
    ) -> None:
        self.path = Path(path).resolve()
        self.lock_timeout = lock_timeout
        self.read_only = read_only

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r})"

    @contextmanager
    def lease(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hold the database for a short time; a lease inside a lease of the same thread joins it.

        Yields
        ------
        duckdb.DuckDBPyConnection
            Valid inside the ``with`` block only; so is everything fetched lazily from it.

        Raises
        ------
        StoreLockedError
            Others held the database for longer than the lock timeout; the message says who.
        StoreFullError
            The disk is full; the transaction did not happen.
        SchemaVersionError
            The file was written by a newer version of this package.
        StoreError
            The file is no database of ours, or the database refused a statement.
        """
        gate = self._gate()
        with _translated(self.path):
            con = self._enter(gate)
            try:
                yield con
            finally:
                self._leave(gate)

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lease in which all changes happen, or none; an inner transaction joins the outer one.

        Raises
        ------
        StoreError
            The database is read-only; else as :meth:`lease`.
        """
        if self.read_only:
            msg = f"{self.path} was opened read-only."
            raise StoreError(msg, "Open it without read_only to change it.")
        gate = self._gate()
        with self.lease() as con:
            if gate.in_transaction:
                yield con
                return
            con.execute("BEGIN TRANSACTION")
            gate.in_transaction = True
            try:
                yield con
                if not gate.inherited:
                    con.execute("COMMIT")
            except BaseException:
                _roll_back(gate, con)
                raise
            finally:
                gate.in_transaction = False

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep one lease over several calls; it is no transaction."""
        with self.lease():
            yield

    def require(self, schema: str, steps: tuple[Migration, ...]) -> None:
        """Bring another owner's schema up to date, once per process and file.

        Raises
        ------
        SchemaVersionError
            The schema is newer than the code.
        """
        gate = self._gate()
        with self.lease() as con:
            if gate.current.get(schema) != _identity(self.path):
                _bring_up(con, {schema: steps}, self.read_only or gate.read_only)
                gate.current[schema] = _identity(self.path)

    def _gate(self) -> _Gate:
        key = (os.getpid(), self.path)
        with _gates_lock:
            if key not in _gates:
                _gates[key] = _Gate(self.path)
            return _gates[key]

    def _enter(self, gate: _Gate) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + self.lock_timeout
        if not gate.queue.acquire(timeout=max(self.lock_timeout, 0)):
            msg = f"{self.path} was in use by another thread for {self.lock_timeout:g} s."
            raise StoreLockedError(msg, "Leases must be short; wait and try again.")
        try:
            if not gate.depth:
                self._open(gate, deadline)
            elif gate.read_only and not self.read_only:
                msg = f"{self.path} is held read-only by a caller of this one."
                raise StoreError(msg, "Leave the read-only lease before writing.")
            gate.depth += 1
        except BaseException:
            gate.queue.release()
            raise
        assert gate.con is not None
        return gate.con

    def _open(self, gate: _Gate, deadline: float) -> None:
        writable = not self.read_only and _prepare(self.path)
        if not self.path.exists() and not writable:
            msg = f"There is no database {self.path}."
            raise StoreError(msg, "Open the workspace for writing once, or check its path.")
        gate.holder.acquire(deadline, self.lock_timeout)
        try:
            gate.con = gate.attachment.attach(deadline, self.lock_timeout, read_only=not writable)
            gate.read_only = not writable
            identity = _identity(self.path)
            if any(gate.current.get(schema) != identity for schema in OWNERS):
                _bring_up(gate.con, OWNERS, not writable)
                gate.current = dict.fromkeys(OWNERS, identity)
        except BaseException:
            self._close(gate)
            raise

    def _leave(self, gate: _Gate) -> None:
        if gate.inherited:
            return
        gate.depth -= 1
        try:
            if not gate.depth:
                self._close(gate)
        finally:
            gate.queue.release()

    @staticmethod
    def _close(gate: _Gate) -> None:
        try:
            con, gate.con = gate.con, None
            gate.attachment.detach(con)
        finally:
            gate.holder.release()


def _roll_back(gate: _Gate, con: duckdb.DuckDBPyConnection) -> None:
    if gate.inherited:
        return
    try:
        con.execute("ROLLBACK")
    except duckdb.Error:
        # The instance gave up the transaction itself, and may be unusable after a full disk.
        gate.attachment.discard()


def _bring_up(
    con: duckdb.DuckDBPyConnection, owners: dict[str, tuple[Migration, ...]], read_only: bool
) -> None:
    # All are checked before any is changed.
    check_versions(con, owners, complete=read_only)
    if not read_only:
        for schema, steps in owners.items():
            migrate(con, schema, steps)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _prepare(path: Path) -> bool:
    """Make the folder, and say whether the file may be written."""
    with durable.disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        if durable.is_full_message(text):
            raise durable.full_error(path.parent) from error
        msg = f"The database {path} refused: {text}"
        raise StoreError(msg) from error


_databases: dict[Path, Database] = {}


def open_database(path: Path) -> Database:
    """Database of a file, the same object for every caller in a process.

    Nothing is read yet; the first lease creates what is missing.
    """
    resolved = Path(path).resolve()
    return _databases.setdefault(resolved, Database(resolved))
