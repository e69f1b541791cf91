"""SQLite connections that stay open between statements.

Opening a SQLite database and asking it for its tables costs several milliseconds, an insert a
fraction of one. A connection may not cross a fork, and the file below it may be deleted by
another process; both are noticed here.
"""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool, StaticPool

BUSY_TIMEOUT_S: Final = 30
"""How long a statement waits for another process to finish its transaction, in s."""

# Closing, in a forked child, a connection of its parent could damage the parent's locks; a
# reference keeps the garbage collector from doing so.
_of_parents: list[Engine] = []


class KeptEngines:
    """The engines of one storage, least recently used last, each with one open connection.

    The caller serialises the use of an instance.

    Parameters
    ----------
    limit
        How many engines stay open.
    always
        Name of the one that is never closed to make room.
    """

    def __init__(self, limit: int, always: str) -> None:
        self._limit = limit
        self._always = always
        self._pid = os.getpid()
        self._open: OrderedDict[str, tuple[Engine, tuple[int, int]]] = OrderedDict()
        weakref.finalize(self, _close_own, self._open, self._pid)

    def __len__(self) -> int:
        return len(self._open)

    def leave_to_parent(self) -> bool:
        """Let go of all engines if this is a fork of the process that opened them; say whether."""
        if self._pid == os.getpid():
            return False
        _of_parents.extend(engine for engine, _ in self._open.values())
        self._pid = os.getpid()
        self._open = OrderedDict()
        weakref.finalize(self, _close_own, self._open, self._pid)
        return True

    def get(self, name: str, path: Path) -> Engine | None:
        """Return the open engine, unless there is none or its file is not there any more."""
        if name not in self._open:
            return None
        engine, opened = self._open[name]
        if _identity(path) != opened:
            self.close(name)
            return None
        self._open.move_to_end(name)
        return engine

    def open(self, name: str, path: Path, url: str) -> Engine:
        """Open an engine, and close the one that was not used for longest if there are too many.

        Parameters
        ----------
        name
            Name to find it again.
        path
            The database file, which exists.
        url
            The same as a connection string.
        """
        engine = _engine(url, StaticPool)
        event.listen(engine, "connect", _set_pragmas)
        identity = _identity(path)
        if identity is None:
            path.touch()
            identity = _identity(path) or (0, 0)
        self._open[name] = (engine, identity)
        spare = [other for other in self._open if other not in (name, self._always)]
        for other in spare[: max(0, len(self._open) - self._limit)]:
            self.close(other)
        return engine

    @contextmanager
    def passing(self, url: str) -> Iterator[Engine]:
        """Give an engine that keeps nothing open."""
        engine = _engine(url, NullPool)
        try:
            yield engine
        finally:
            engine.dispose()

    def close(self, name: str) -> None:
        """Close one engine if it is open."""
        kept = self._open.pop(name, None)
        if kept is not None:
            kept[0].dispose()

    def close_all(self) -> None:
        """Close all engines."""
        for name in list(self._open):
            self.close(name)


def _engine(url: str, pool: Any) -> Engine:
    connect_args = {"timeout": BUSY_TIMEOUT_S}
    if pool is StaticPool:
        connect_args["check_same_thread"] = False
    return create_engine(url, poolclass=pool, connect_args=connect_args)


def _set_pragmas(connection: Any, _record: Any) -> None:
    # In write-ahead mode NORMAL loses at most the last transactions at a power cut.
    connection.execute("PRAGMA synchronous=NORMAL")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _close_own(engines: OrderedDict[str, tuple[Engine, tuple[int, int]]], pid: int) -> None:
    if pid == os.getpid():
        for engine, _ in engines.values():
            engine.dispose()
