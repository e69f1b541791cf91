"""Reports about a folder of objects, and the removal of those that nobody names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_dagster.store.content.objects import ContentStore, StoredObject

GRACE = timedelta(hours=24)
"""Age up to which an object is spared although nothing names it yet."""

_TEMPORARY_GRACE = timedelta(hours=1)
# A put that is being written must not lose its file, however short a grace the caller asks for.


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What reading every object showed.

    Parameters
    ----------
    checked, bytes
        Objects read, and their size in all.
    damaged
        Objects whose bytes do not have the digest in their name.
    unexpected
        Files in the folder that are no objects.
    temporary
        Files of puts that are under way or were killed; harmless, and removed by gc.
    """

    checked: int
    bytes: int
    damaged: list[StoredObject]
    unexpected: list[Path]
    temporary: list[Path]


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Objects and bytes, in all and by extension as (objects, bytes)."""

    objects: int
    bytes: int
    by_ext: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class GcReport:
    """What gc removed, or would remove.

    Parameters
    ----------
    removed, bytes
        Objects that nothing names, and their size in all.
    kept
        How many objects are named.
    spared_by_grace
        How many are not named but too young to go.
    dry_run
        Whether everything is still there.
    temporary
        How many left-over temporary files went with them.
    """

    removed: list[StoredObject]
    bytes: int
    kept: int
    spared_by_grace: int
    dry_run: bool
    temporary: int


def sweep(
    objects: ContentStore, live: AbstractSet[str], grace: timedelta, dry_run: bool
) -> GcReport:
    """Do the work of :meth:`ContentStore.gc`."""
    oldest = time.time() - grace.total_seconds()
    removed: list[StoredObject] = []
    kept = spared = 0
    for stored in objects.all():
        if stored.digest in live:
            kept += 1
        elif _remove(objects, stored, oldest, dry_run):
            removed.append(stored)
        else:
            spared += 1
    size = sum(stored.size for stored in removed)
    leftovers = sum(1 for _ in _sweep_temporaries(objects, grace, dry_run))
    return GcReport(removed, size, kept, spared, dry_run, leftovers)


def _remove(objects: ContentStore, stored: StoredObject, oldest: float, dry_run: bool) -> bool:
    path = objects.root / stored.digest[:2] / f"{stored.digest}.{stored.ext}"
    try:
        if path.stat().st_mtime > oldest:
            return False
        if dry_run:
            return True
        aside = objects.temporary()
        path.rename(aside)
        if aside.stat().st_mtime > oldest:
            aside.rename(path)
            return False
        aside.unlink()
    except FileNotFoundError:
        # Another gc was faster.
        return False
    return True


def _sweep_temporaries(objects: ContentStore, grace: timedelta, dry_run: bool) -> Iterator[Path]:
    oldest = time.time() - max(grace, _TEMPORARY_GRACE).total_seconds()
    for path in objects.temporaries():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime <= oldest:
                if not dry_run:
                    path.unlink()
                yield path
