"""The lock file beside the database, and who holds it."""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from mosaic_dagster.errors import StoreLockedError

_SHORTEST, _LONGEST = 0.001, 0.05
_DUCKDB_PID = re.compile(r"\(PID (\d+)\)")
_REMEDY = "Wait until it is done or stop it, then try again."


class FileHolder:
    """Turns among the processes that want one database file.

    Parameters
    ----------
    path
        The database file. ``<path>.lock`` is locked; ``<path>.holder`` says by whom.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path.with_name(path.name + ".holder")
        lock = path.with_name(path.name + ".lock")
        # The queue of threads lies above this lock, which therefore belongs to the process.
        self._lock = FileLock(lock, timeout=0, thread_local=False)

    def acquire(self, deadline: float, waited: float) -> None:
        """Wait until it is our turn.

        Parameters
        ----------
        deadline
            ``time.monotonic()`` at which to give up.
        waited
            The whole waiting time in seconds, for the message.

        Raises
        ------
        StoreLockedError
            Others held the file until the deadline.
        """
        pause = _SHORTEST
        while True:
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                if time.monotonic() >= deadline:
                    raise self._locked_error(waited) from None
            except PermissionError:
                # The folder is not ours to write in: nobody's turn is kept, DuckDB's lock decides.
                return
            else:
                self._sign()
                return
            pause = wait(pause)

    def release(self) -> None:
        """Let the next one in."""
        if self._lock.is_locked:
            self._lock.release()

    def _sign(self) -> None:
        note = {
            "pid": os.getpid(),
            "command": " ".join(sys.argv),
            "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        }
        # The note is a courtesy: a full disk must not stop a reader.
        with suppress(OSError):
            self._note.write_text(json.dumps(note))

    def _locked_error(self, waited: float) -> StoreLockedError:
        try:
            note = json.loads(self._note.read_text())
            who = f"process {note['pid']} ({note['command']}) since {note['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        msg = f"{self._path} is in use by {who}; waited {waited:g} s."
        return StoreLockedError(msg, _REMEDY)


def wait(pause: float) -> float:
    """Sleep a jittered while and return the next, longer pause, in seconds."""
    time.sleep(pause * random.uniform(0.5, 1.0))
    return min(pause * 2, _LONGEST)


def foreign_lock_error(path: Path, message: str, waited: float) -> StoreLockedError:
    """Error for a file that a program without our lock file has open.

    Parameters
    ----------
    path
        The database file.
    message
        What DuckDB said; it names the process.
    waited
        Seconds waited.
    """
    found = _DUCKDB_PID.search(message)
    who = f"process {found[1]} ({_command(int(found[1]))})" if found else "another program"
    msg = f"{path} is open in {who}; waited {waited:g} s."
    return StoreLockedError(msg, _REMEDY)


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline()) or "name unknown"
    except psutil.Error:
        return "name unknown"


@contextmanager
def exclusive(path: Path, timeout: float = 60.0) -> Iterator[None]:
    """Hold a lock file that ends with the process; for short work that two must not do at once.

    Raises
    ------
    StoreLockedError
        Another process held it for the whole timeout.
    """
    try:
        with FileLock(path, timeout=timeout):
            yield
    except Timeout as error:
        msg = f"Another process holds {path} for more than {timeout:g} s."
        raise StoreLockedError(msg, "Wait for it, or end it, and start again.") from error
