"""The journal files of a workspace: which there are, what is new in them, whose they are."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mosaic_dagster.errors import StoreError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.database.journal.kinds import understood
from mosaic_dagster.store.database.journal.records import Record, scan
from mosaic_dagster.store.database.journal.writer import SUFFIX

_PORTION = 1 << 24
_HEADER_SIZE = 16


@dataclass(frozen=True, slots=True)
class Portion:
    """New records of one file.

    Parameters
    ----------
    records
        In the order of writing.
    end
        Bytes of the file up to their end.
    damaged
        Whether something unreadable follows, and whole records behind it.
    more
        Whether the file was longer than a portion when it was read.
    """

    records: list[Record]
    end: int
    damaged: bool
    more: bool = False


def names(folder: Path) -> list[str]:
    """Names of the journal files, sorted."""
    try:
        with os.scandir(folder) as found:
            return sorted(entry.name for entry in found if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []


def read(path: Path, offset: int, *, growing: bool = False) -> Portion:
    """Read what is new in a file, up to a limit; no records at its end.

    With ``growing``, a file that has nothing at this place is not read any further.

    Raises
    ------
    StoreError
        The file cannot be read; what it holds may be known to its writer only.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            if growing and not any(file.read(_HEADER_SIZE)):
                return Portion([], offset, damaged=False)
            file.seek(offset)
            data = file.read(_PORTION)
            more = len(data) == _PORTION
            found = scan(data, not more, understood)
            if more and not found.records:
                # One record larger than a portion, or damage. Files are closed when they are full.
                found = scan(data + file.readall(), True, understood)
    except FileNotFoundError:
        return Portion([], offset, damaged=False)
    except OSError as error:
        msg = f"The journal {path} cannot be read: {error}."
        raise StoreError(
            msg, "Make it readable; it may hold rows that are nowhere else."
        ) from error
    return Portion(found.records, offset + found.end, found.damaged, more)


@contextmanager
def if_abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody writes a file any more; nobody can begin to while the block lasts."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file for good: a crash must not bring back what was folded."""
    with suppress(FileNotFoundError):
        path.unlink()
        durable.sync_folder(path.parent)
