"""The one way to the database: lock, attach, work, detach.

DuckDB lets one process have a file open for writing, and nobody else meanwhile. So the file is
held for as long as a lease lasts and not longer. Each process keeps one DuckDB instance in memory
per file and attaches the file to it for a lease: making an instance takes 20 ms, attaching 1 ms.

A lock file beside the database, held through the operating system and so gone with its process,
puts our own processes in a queue; DuckDB's own lock keeps foreign tools out.

Rows that must be durable one by one go to a journal; every lease begins by folding all journals
into the tables, so it sees what was acknowledged before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from mosaic_dagster.errors import StoreError, StoreLockedError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.database.gate import JOURNAL_FOLDER, Gate, gate_of
from mosaic_dagster.store.database.journal.fold import fold, pending
from mosaic_dagster.store.database.journal.records import Record
from mosaic_dagster.store.database.migrations import Migration, check_versions, migrate
from mosaic_dagster.store.database.recent import Recent
from mosaic_dagster.store.database.schemas import OWNERS

LOCK_TIMEOUT = 10.0
"""Seconds that a lease waits for others before it gives up."""


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

    @property
    def alive(self) -> Recent[bool]:
        """Parents of journalled rows that this process has seen alive, for all its stores."""
        return self._gate().alive

    @property
    def journal_folder(self) -> Path:
        """Where the journals of all processes lie."""
        return self.path.parent / JOURNAL_FOLDER

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
            The disk is full; a transaction that raises this did not happen.
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
    def transaction(self, *, outermost: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lease in which all changes happen, or none; an inner transaction joins the outer one.

        With ``outermost`` it refuses to join one: for work that is followed by what cannot be
        taken back, such as removing files.

        Raises
        ------
        StoreError
            The database is read-only, or another transaction is under way; else as
            :meth:`lease`.
        """
        if self.read_only:
            raise self._read_only_error()
        gate = self._gate()
        with self.lease() as con:
            if not gate.writable:
                raise self._unwritable_error()
            if gate.in_transaction and outermost:
                msg = f"A transaction on {self.path} is under way."
                raise StoreError(msg, "Files cannot be taken back; do this after it.")
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
        """Keep the file over several calls, of any thread; it is no transaction.

        Other processes wait meanwhile, so a child that needs the database must not be waited for.
        """
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Take the file and keep it until :meth:`release`, across calls and threads."""
        gate = self._gate()
        with _translated(self.path):
            self._enter(gate)
            gate.sessions += 1
            self._leave(gate)

    def release(self) -> None:
        """Let go of the file once; the last one closes it."""
        gate = self._gate()
        with gate.queue:
            # A forked child has a gate of its own, and gives back nothing of its parent's.
            if gate.sessions:
                gate.sessions -= 1
                if not gate.sessions and not gate.depth:
                    self._close(gate)

    def append(self, record: Record) -> None:
        """Make one row durable in the journal, without a lease.

        Raises
        ------
        StoreFullError
            The disk is full; the row was not written.
        StoreError
            The database is read-only, or the journal cannot be written.
        """
        if self.read_only:
            raise self._read_only_error()
        if self._gate().journal.append(record):
            # The row is safe; who cannot fold the full file now leaves it to the next lease.
            with suppress(StoreError), self.lease():
                """Folds the file that is full."""

    def settle(self) -> None:
        """Fold this process's journal and remove its file."""
        self._gate().journal.close()
        with self.lease():
            """Folds every file, and removes those that nobody writes."""

    def compact(self) -> None:
        """Give the space of deleted rows back to the disk, when most of the file is free.

        Raises
        ------
        StoreError
            A transaction of this thread is under way.
        """
        gate = self._gate()
        with self.lease() as con:
            if gate.depth > 1:
                msg = f"{self.path} cannot be made smaller inside a lease."
                raise StoreError(msg, "Leave the lease first; a session is fine.")
            con.execute("CHECKPOINT")
            if gate.attachment.mostly_free(con):
                gate.con = gate.attachment.rewrite(con)

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
                _bring_up(con, {schema: steps}, self.read_only or not gate.writable)
                gate.current[schema] = _identity(self.path)

    def _gate(self) -> Gate:
        return gate_of(self.path)

    def _enter(self, gate: Gate) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + self.lock_timeout
        if not gate.queue.acquire(timeout=max(self.lock_timeout, 0)):
            msg = f"{self.path} was in use by another thread for {self.lock_timeout:g} s."
            raise StoreLockedError(msg, "Leases must be short; wait and try again.")
        try:
            if gate.con is None:
                self._open(gate, deadline)
            assert gate.con is not None
            if not gate.depth:
                self._bring_up_and_fold(gate, gate.con)
                self._begin_reading(gate, gate.con)
            elif gate.read_only and not self.read_only:
                msg = f"{self.path} is held read-only by a caller of this one."
                raise StoreError(msg, "Leave the read-only lease before writing.")
            gate.depth += 1
        except BaseException:
            if not gate.depth and not gate.sessions:
                self._close(gate)
            gate.queue.release()
            raise
        return gate.con

    def _open(self, gate: Gate, deadline: float) -> None:
        if self.read_only and not self.path.exists():
            msg = f"There is no database {self.path}."
            raise StoreError(msg, "Open the workspace for writing once, or check its path.")
        gate.writable = _prepare(self.path, create=not self.read_only)
        if not gate.writable and not self.path.exists():
            raise self._unwritable_error()
        gate.holder.acquire(deadline, self.lock_timeout)
        if not self.path.exists():
            gate.current.clear()  # a new file may get the number of one that was deleted
        # The modes cannot be mixed in one process, so what is written is for the callers to keep.
        gate.con = gate.attachment.attach(deadline, self.lock_timeout, read_only=not gate.writable)

    def _bring_up_and_fold(self, gate: Gate, con: duckdb.DuckDBPyConnection) -> None:
        identity = _identity(self.path)
        if any(gate.current.get(schema) != identity for schema in OWNERS):
            _bring_up(con, OWNERS, self.read_only or not gate.writable)
            gate.current |= dict.fromkeys(OWNERS, identity)
        folder = self.journal_folder
        if gate.writable:
            # Nobody else folds while the file is held.
            known, gate.folded = gate.folded, None
            gate.folded = fold(con, folder, known)
        elif pending(con, folder):
            gate.attachment.overlay(con)
            fold(con, folder, removable=False)

    def _begin_reading(self, gate: Gate, con: duckdb.DuckDBPyConnection) -> None:
        if self.read_only:
            con.execute("BEGIN TRANSACTION READ ONLY")
            gate.read_only = True

    def _unwritable_error(self) -> StoreError:
        msg = f"The database {self.path} cannot be written."
        return StoreError(msg, "Check that the disk is there and that you may write.")

    def _read_only_error(self) -> StoreError:
        msg = f"{self.path} was opened read-only."
        return StoreError(msg, "Open it without read_only to change it.")

    def _leave(self, gate: Gate) -> None:
        if gate.inherited:
            return
        gate.depth -= 1
        try:
            if not gate.depth and gate.read_only:
                gate.read_only = False
                _roll_back(gate, gate.con)
            if not gate.depth and not gate.sessions:
                self._close(gate)
        finally:
            gate.queue.release()

    @staticmethod
    def _close(gate: Gate) -> None:
        try:
            con, gate.con, gate.folded = gate.con, None, None
            gate.attachment.detach(con)
        finally:
            gate.holder.release()


def _roll_back(gate: Gate, con: duckdb.DuckDBPyConnection | None) -> None:
    if gate.inherited or con is None:
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


def _prepare(path: Path, *, create: bool) -> bool:
    """Make the folder if asked to, and say whether the file may be written."""
    if create:
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
        raise StoreError(
            msg,
            "A change that was under way did not happen; `mosaic doctor` looks at the database.",
        ) from error


_databases: dict[Path, Database] = {}


def open_database(path: Path) -> Database:
    """Database of a file, the same object for every caller in a process.

    Nothing is read yet; the first lease creates what is missing.
    """
    resolved = Path(path).resolve()
    return _databases.setdefault(resolved, Database(resolved))
