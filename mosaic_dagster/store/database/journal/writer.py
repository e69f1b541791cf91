"""The journal file of this process: append, make durable, return."""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from mosaic_dagster.store.content import durable
from mosaic_dagster.store.database.journal.records import Record, encode

SUFFIX = ".jnl"
FULL = 1 << 24
"""Bytes after which a file is closed and a new one begun."""

_RESERVE = 1 << 20
# Writing into reserved space does not change the file's size, which makes syncing it cheaper.

_sync = getattr(os, "fdatasync", os.fsync)


class JournalWriter:
    """Rows of one process on their way to the tables.

    The file is locked for as long as it may grow; a file that nobody locks belongs to a process
    that is gone, or is complete. Whoever next holds the database folds it and removes it.

    Parameters
    ----------
    folder
        ``<workspace>/journal``; made by the first append. The files of a process are numbered,
        since a row may need one that was written to the file before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._path: Path | None = None
        self._end = 0
        self._reserved = 0
        self._begun = 0
        self._process = f"{os.getpid()}-{int(time.time())}"

    @property
    def path(self) -> Path | None:
        """The file that rows go to now, if any."""
        return self._path

    def append(self, record: Record) -> bool:
        """Write a record until it is on the disk; True when the file is full and was closed.

        Raises
        ------
        StoreFullError
            The disk is full; the record was not written.
        StoreError
            The journal cannot be written.
        """
        pieces = encode(record)
        with self._lock, durable.disk_errors(self._folder):
            try:
                handle = self._handle
                if handle is None or not self._is_there(handle):
                    handle = self._begin()
                self._write(handle, pieces)
            except BaseException:
                self._give_up()
                raise
            self._end += sum(len(piece) for piece in pieces)
            if self._end < FULL:
                return False
            self._close()
            return True

    def close(self) -> None:
        """Let go of the file, so that it can be removed once it is folded."""
        with self._lock:
            self._close()

    def _is_there(self, handle: int) -> bool:
        """Whether the file is where others will look for it; the workspace may be another now."""
        try:
            found = os.stat(self._path or "")  # noqa: PTH116 - one call on the path of every row
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(handle))

    def _begin(self) -> int:
        self._close()
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            durable.sync_folder(self._folder.parent)
        while True:
            name = f"{self._process}-{self._begun:08d}-{uuid.uuid4().hex}{SUFFIX}"
            self._begun += 1
            path = self._folder / name
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            self._handle, self._path, self._end, self._reserved = handle, path, 0, 0
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Between the two calls it looked as if its process were gone, and may be removed.
            if os.fstat(handle).st_nlink:
                break
            self._close()
        durable.sync_folder(self._folder)
        return handle

    def _write(self, handle: int, pieces: list[bytes | memoryview]) -> None:
        size = sum(len(piece) for piece in pieces)
        if self._end + size > self._reserved:
            self._reserve(handle, size)
        if os.pwritev(handle, pieces, self._end) < size:
            data = b"".join(pieces)
            written = 0
            while written < size:
                written += os.pwrite(handle, data[written:], self._end + written)
        _sync(handle)

    def _reserve(self, handle: int, size: int) -> None:
        # Not every system can reserve; then each write makes the file longer.
        with suppress(OSError, AttributeError):
            os.posix_fallocate(handle, self._end, max(size, _RESERVE))
            self._reserved = self._end + max(size, _RESERVE)

    def _give_up(self) -> None:
        """Make sure that a record whose writing failed is not read, and go on in another file.

        Someone may have folded the record before its writing failed; whatever were written in its
        place would then be passed over.
        """
        if self._handle is not None:
            with suppress(OSError):
                os.ftruncate(self._handle, self._end)
                os.fsync(self._handle)
        self._close()

    def _close(self) -> None:
        if self._handle is not None:
            # A forked child has the file open too, and would keep it locked.
            fcntl.flock(self._handle, fcntl.LOCK_UN)
            os.close(self._handle)
        self._handle = self._path = None
        self._end = self._reserved = 0
