"""Files that are either wholly there or not there, also after a crash or on a full disk."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from mosaic_dagster.errors import StoreError, StoreFullError

READ_ONLY = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
FOR_PEOPLE = 0o644
TEMPORARY_SUFFIX = ".tmp"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXTS = ("no space left on device", "disk quota exceeded", "file too large")
_counter = itertools.count()


def full_error(folder: Path) -> StoreFullError:
    """Error for a disk that takes no more bytes."""
    return StoreFullError(
        f"The disk that holds {folder} is full.",
        "Free some space there (`mosaic store gc` shows what the store can give back) "
        "and start again; what was stored before is kept.",
    )


def is_full_message(message: str) -> bool:
    """Whether a message of another library means that the disk is full."""
    lowered = message.lower()
    return any(text in lowered for text in _FULL_TEXTS)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn the operating system's errors about writing in a folder into ours.

    Raises
    ------
    StoreFullError
        The disk or the quota is full.
    StoreError
        The folder cannot be written for another reason, such as missing rights.
    """
    try:
        yield
    except (StoreError, FileNotFoundError):
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise full_error(folder) from error
        msg = f"{folder} cannot be written: {error}."
        raise StoreError(msg, "Check that the disk is there and that you may write.") from error


def write_whole(
    path: Path, pieces: Iterable[bytes], *, sync: bool = True, mode: int = READ_ONLY
) -> None:
    """Write a new file, with ``sync`` until it is on the disk; a failure leaves nothing behind."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    handle = os.open(path, flags, 0o600)
    try:
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(handle, view) :]
            os.fchmod(handle, mode)
            if sync:
                os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_filesystem(folder: Path) -> None:
    """Make everything that was written to the filesystem of a folder durable, at once.

    One call for many files costs a fraction of a call for each. Where the system has no such
    call for one filesystem, all of them are synced.
    """
    call = _syncfs()
    if call is None:
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if call(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(folder))
    finally:
        os.close(handle)


@cache
def _syncfs() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def move_into_place(source: Path, target: Path, *, sync: bool = True) -> None:
    """Give a whole file its name, over whatever has it; makes the target's folder if needed."""
    try:
        source.replace(target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        if sync:
            sync_folder(target.parent.parent)
    if sync:
        sync_folder(target.parent)


def replace_file(path: Path, data: bytes) -> Path:
    """Write a file for people, over the one that has its name; a reader sees the old or the new.

    Folders above it are made. The path is returned.

    Raises
    ------
    StoreFullError
        The disk is full; what was there is still there.
    StoreError
        The folder cannot be written.
    """
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{temporary_name()}")
        write_whole(temporary, (data,), mode=FOR_PEOPLE)
        try:
            move_into_place(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return path


def temporary_name() -> str:
    """Name that no other put of this or another process uses."""
    # Process ids repeat across machines that share a disk, hence the random part.
    return f"{os.getpid()}-{next(_counter)}-{os.urandom(6).hex()}{TEMPORARY_SUFFIX}"
