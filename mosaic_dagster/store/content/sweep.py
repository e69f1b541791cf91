"""Reports about a folder of objects, and the removal of those that nobody names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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

_TOGETHER = 100
_ASIDE = "~"

StillWanted = Callable[[], AbstractSet[str]]
"""Digests that somebody came to want since the live ones were read."""


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
    objects: ContentStore,
    live: AbstractSet[str],
    grace: timedelta,
    dry_run: bool,
    still_wanted: StillWanted = frozenset,
) -> GcReport:
    """Do the work of :meth:`ContentStore.gc`."""
    oldest = time.time() - grace.total_seconds()
    old: list[StoredObject] = []
    kept = spared = 0
    for stored in objects.all():
        if stored.digest in live:
            kept += 1
        elif _is_old(_file_of(objects, stored), oldest):
            old.append(stored)
        else:
            spared += 1
    gone = old if dry_run else removed(objects, old, grace, still_wanted)
    spared += len(old) - len(gone)
    size = sum(stored.size for stored in gone)
    leftovers = sum(1 for _ in _sweep_temporaries(objects, live, grace, dry_run))
    return GcReport(gone, size, kept, spared, dry_run, leftovers)


def removed(
    objects: ContentStore,
    candidates: Sequence[StoredObject],
    grace: timedelta | None,
    still_wanted: StillWanted = frozenset,
) -> list[StoredObject]:
    """Remove objects and return those that went.

    An object is first moved aside. It moves back when a put renewed it meanwhile, as far as a
    grace period is given, or when its digest is among those still wanted, which are asked for
    only then.
    """
    gone = []
    for start in range(0, len(candidates), _TOGETHER):
        aside = list(_moved_aside(objects, candidates[start : start + _TOGETHER]))
        wanted = still_wanted()
        oldest = None if grace is None else time.time() - grace.total_seconds()
        for stored, path in aside:
            # Whoever needed it may have put it back already.
            with suppress(FileNotFoundError):
                young = oldest is not None and path.stat().st_mtime > oldest
                if young or stored.digest in wanted:
                    path.rename(_file_of(objects, stored))
                else:
                    path.unlink()
                    gone.append(stored)
    for name in {stored.digest[:2] for stored in gone}:
        # Not empty, or filled again meanwhile: then it stays.
        with suppress(OSError):
            (objects.root / name).rmdir()
    return gone


def put_back(objects: ContentStore, digest: str) -> bool:
    """Put back an object that a gc moved aside and did not come to remove; whether there was one.

    A gc that was killed leaves it there; one that is at work then finds it gone, and lets it be.
    """
    found = False
    for path in objects.temporaries():
        name, aside, _ = path.name.partition(_ASIDE)
        if aside and name.partition(".")[0] == digest:
            target = objects.root / digest[:2] / name
            target.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                path.rename(target)
                found = True
    return found


def _moved_aside(
    objects: ContentStore, candidates: Sequence[StoredObject]
) -> Iterator[tuple[StoredObject, Path]]:
    for stored in candidates:
        # Its name says what it was, should this process be killed before it is put back.
        aside = objects.temporary()
        aside = aside.with_name(f"{stored.digest}.{stored.ext}{_ASIDE}{aside.name}")
        # Another gc may have been faster.
        with suppress(FileNotFoundError):
            _file_of(objects, stored).rename(aside)
            yield stored, aside


def _file_of(objects: ContentStore, stored: StoredObject) -> Path:
    return objects.root / stored.path


def _is_old(path: Path, oldest: float) -> bool:
    try:
        return path.stat().st_mtime <= oldest
    except FileNotFoundError:
        return False


def _sweep_temporaries(
    objects: ContentStore, live: AbstractSet[str], grace: timedelta, dry_run: bool
) -> Iterator[Path]:
    """Remove what killed puts left, and put back what a killed gc had moved aside in vain."""
    oldest = time.time() - max(grace, _TEMPORARY_GRACE).total_seconds()
    for path in objects.temporaries():
        with suppress(FileNotFoundError):
            name, _, _ = path.name.partition(_ASIDE)
            target = objects.root / name[:2] / name
            if name != path.name and name.partition(".")[0] in live and not target.exists():
                if not dry_run:
                    target.parent.mkdir(exist_ok=True)
                    path.rename(target)
            elif path.stat().st_mtime <= oldest:
                if not dry_run:
                    path.unlink()
                yield path
