"""What the threads of one process share about one database file."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

from mosaic_dagster.store.database.attachment import Attachment
from mosaic_dagster.store.database.holder import FileHolder
from mosaic_dagster.store.database.journal.fold import Folded
from mosaic_dagster.store.database.journal.writer import JournalWriter
from mosaic_dagster.store.database.recent import Recent

JOURNAL_FOLDER = "journal"

_KNOWN_PARENTS = 100_000


class Gate:
    """A queue, the file and its state; one for each file that the process uses."""

    def __init__(self, path: Path) -> None:
        self.pid = os.getpid()
        self.queue = threading.RLock()
        self.holder = FileHolder(path)
        self.attachment = Attachment(path)
        self.con: duckdb.DuckDBPyConnection | None = None
        self.depth = 0
        self.sessions = 0
        self.in_transaction = False
        self.read_only = False
        self.writable = False
        self.folded: Folded | None = None
        self.alive: Recent[bool] = Recent(_KNOWN_PARENTS)
        self.current: dict[str, tuple[int, int]] = {}
        self.journal = JournalWriter(path.parent / JOURNAL_FOLDER)

    @property
    def inherited(self) -> bool:
        """Whether this is the copy that a fork made; it belongs to the parent."""
        return self.pid != os.getpid()

    def abandon(self) -> None:
        """Never destroy what a forked child got of a lease: its destructor would crash there."""
        for held in (self.con, *self.attachment.held()):
            if held is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))


_gates: dict[tuple[int, Path], Gate] = {}


def _close_idle_instances() -> None:
    # A child has none of the threads of a DuckDB instance, and would hang on them when it ends.
    for gate in _free_gates():
        if gate.con is None:
            gate.attachment.close()


def _close_instances() -> None:
    # An instance that outlives the interpreter's modules makes DuckDB complain on the terminal.
    for gate in _free_gates():
        if gate.con is not None and not gate.depth:
            gate.con.close()
            gate.con = None
        if gate.con is None:
            gate.attachment.close()


def _free_gates() -> Iterator[Gate]:
    """Gates of this process that no thread is in; none can enter while it is looked at."""
    for gate in list(_gates.values()):
        if not gate.inherited and gate.queue.acquire(blocking=False):
            try:
                yield gate
            finally:
                gate.queue.release()


def _forget_parent() -> None:
    for gate in _gates.values():
        gate.abandon()


atexit.register(_close_instances)
os.register_at_fork(before=_close_idle_instances, after_in_child=_forget_parent)


def gate_of(path: Path) -> Gate:
    """The gate of a file in this process; a forked child gets a new one."""
    key = (os.getpid(), path)
    # Without a lock: a store that is collected in here may ask for its gate, too.
    return _gates.get(key) or _gates.setdefault(key, Gate(path))
