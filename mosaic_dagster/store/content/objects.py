"""Content-addressed files: the bytes of a result, stored once under their sha256.

``<root>/ab/<sha256>.<ext>``, read-only. An object is written beside its place, made durable and
renamed, so that a reader sees all of it or nothing. A store holds no state but its folder: it is
cheap to make, travels to workers, and any number of processes may put the same bytes at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from mosaic_dagster.errors import ObjectDamagedError, ObjectMissingError, StoreError
from mosaic_dagster.hashing import digest_bytes, digest_file
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.content.sweep import (
    GRACE,
    GcReport,
    StoreStats,
    VerifyReport,
    put_back,
    sweep,
)

_DIGEST = re.compile(r"[0-9a-f]{64}")
_EXT = re.compile(r"[a-z0-9]+(?:\.[a-z0-9]+)*")
_PIECE = 1 << 20
_TEMPORARY = ".tmp"


@dataclass(frozen=True, slots=True, order=True)
class StoredObject:
    """One object of a store.

    Parameters
    ----------
    digest
        sha256 of the bytes, 64 hex digits.
    ext
        Extension without its dot; it follows from the codec.
    size
        Length in bytes.
    """

    digest: str
    ext: str
    size: int

    @property
    def path(self) -> str:
        """Its place below the root of a store, with forward slashes."""
        return f"{self.digest[:2]}/{self.digest}.{self.ext}"


class ObjectStore(Protocol):
    """What others need of a store of objects."""

    def put(self, data: bytes, ext: str = "bin") -> StoredObject:
        """Store bytes."""

    def get(self, digest: str, ext: str | None = None, verify: bool = True) -> bytes:
        """Read bytes."""

    def exists(self, digest: str, ext: str | None = None, size: int | None = None) -> bool:
        """Whether an object is there."""

    def path(self, digest: str, ext: str | None = None) -> Path:
        """Return the file of an object."""


@dataclass(frozen=True)
class ContentStore:
    """The objects of one workspace.

    Parameters
    ----------
    root
        The folder of the objects, ``<workspace>/artifacts``; made by the first put.
    """

    root: Path

    def put(
        self, data: bytes, ext: str = "bin", *, sync: bool = True, digest: str | None = None
    ) -> StoredObject:
        """Store bytes; equal bytes are stored once, and storing them again renews their age.

        A file that has the right name and the wrong content is replaced. Without ``sync`` the
        object is whole for every reader, but durable only after :meth:`sync`: workers store
        many, and the process that names them in the registry syncs them all at once. Who has
        the digest of the data already gives it.

        Raises
        ------
        StoreFullError
            The disk is full; nothing is left behind.
        StoreError
            The folder cannot be written, or the extension is not lower-case letters and digits.
        """
        stored = StoredObject(digest or digest_bytes(data), _checked_ext(ext), len(data))
        target = self._target(stored.digest, stored.ext)
        with durable.disk_errors(self.root):
            if not (_renew(target, stored.size) and _same_bytes(target, data)):
                self._write(target, (data,), sync=sync)
        return stored

    def put_file(self, path: Path, ext: str | None = None) -> StoredObject:
        """Store the content of a file, read in pieces; the extension is the file's own or 'bin'.

        Raises
        ------
        FileNotFoundError
            The file is not there.
        StoreFullError, StoreError
            As for :meth:`put`; also when the file changes while it is read.
        """
        ext = _checked_ext(path.suffix[1:].lower() or "bin" if ext is None else ext)
        stored = StoredObject(digest_file(path), ext, path.stat().st_size)
        target = self._target(stored.digest, ext)
        with durable.disk_errors(self.root):
            if _renew(target, stored.size) and _has_digest(target, stored.digest):
                return stored
            self._write(target, _pieces(path), stored.digest)
        return stored

    def sync(self) -> None:
        """Make every object durable that any process has put so far."""
        with durable.disk_errors(self.root):
            durable.sync_filesystem(self.root)

    def get(self, digest: str, ext: str | None = None, verify: bool = True) -> bytes:
        """Bytes of an object, checked against their digest unless told otherwise.

        Raises
        ------
        ObjectMissingError
            There is no such object.
        ObjectDamagedError
            The file was changed or cut since it was stored.
        """
        path = self.path(digest, ext)
        data = path.read_bytes()
        if verify and digest_bytes(data) != digest:
            msg = f"The object {path} was changed or cut since it was stored."
            raise ObjectDamagedError(
                msg,
                "Delete the file and run the step that made it; `mosaic store verify` has more.",
            )
        return data

    def open(self, digest: str, ext: str | None = None) -> BinaryIO:
        """Open an object for reading, unchecked.

        Raises
        ------
        ObjectMissingError
            There is no such object.
        """
        return self.path(digest, ext).open("rb")

    def path(self, digest: str, ext: str | None = None) -> Path:
        """File of an object.

        Raises
        ------
        ObjectMissingError
            There is no such object.
        """
        found = self._find(digest, ext)
        if found is None and put_back(self, digest):
            found = self._find(digest, ext)
        if found is None:
            name = digest if ext is None else f"{digest}.{ext}"
            msg = f"There is no object {name} in {self.root}."
            raise ObjectMissingError(msg, "Run the step that made it; `mosaic status` names it.")
        return found

    def exists(self, digest: str, ext: str | None = None, size: int | None = None) -> bool:
        """Whether an object is there, and of this size when one is given."""
        found = self._find(digest, ext)
        return found is not None and (size is None or found.stat().st_size == size)

    def present(self, objects: Iterable[tuple[str, str, int | None]]) -> set[str]:
        """Digests of those (digest, extension, size) that are there; a size of None fits all.

        One ``stat`` for each, and content is not read.
        """
        root = os.fspath(self.root)
        found = set()
        for digest, ext, size in objects:
            try:
                status = os.stat(f"{root}/{digest[:2]}/{digest}.{ext}")  # noqa: PTH116 - twice as fast
            except OSError:
                continue
            if size is None or status.st_size == size:
                found.add(digest)
        return found

    def names(self) -> set[str]:
        """Names (digest and extension) of all objects, by one listing of each folder.

        For many objects quicker than a ``stat`` of each; sizes are not looked at.
        """
        found: set[str] = set()
        root = os.fspath(self.root)
        for folder in _listed(root):
            if len(folder) == 2:
                found.update(_listed(f"{root}/{folder}"))
        return found

    def all(self) -> Iterator[StoredObject]:
        """Every object, in the order of the digests; what only looks like a file is left out."""
        for path in self._files():
            stored = _parse(path)
            if stored is not None:
                yield stored

    def verify(self) -> VerifyReport:
        """Read every object and compare it with its digest."""
        checked = size = 0
        damaged, unexpected = [], []
        for path in self._files():
            stored = _parse(path)
            if stored is None:
                unexpected.append(path)
                continue
            checked += 1
            size += stored.size
            if not _has_digest(path, stored.digest):
                damaged.append(stored)
        return VerifyReport(checked, size, damaged, unexpected, self.temporaries())

    def stats(self) -> StoreStats:
        """Count objects and bytes, in all and by extension."""
        by_ext: dict[str, tuple[int, int]] = {}
        for stored in self.all():
            count, size = by_ext.get(stored.ext, (0, 0))
            by_ext[stored.ext] = (count + 1, size + stored.size)
        counts, sizes = zip(*by_ext.values(), strict=True) if by_ext else ((), ())
        return StoreStats(sum(counts), sum(sizes), dict(sorted(by_ext.items())))

    def gc(
        self,
        live: Callable[[], AbstractSet[str]] | AbstractSet[str],
        grace: timedelta = GRACE,
        dry_run: bool = True,
    ) -> GcReport:
        """Remove objects whose digest is not live and that are older than the grace period.

        Parameters
        ----------
        live
            The digests to keep, or a function that reads them; it is called before any file is
            listed, so that an object stored meanwhile is young and not missed.
        grace
            Age, since the last put, up to which an object is spared in any case.
        dry_run
            Only say what would go.

        Notes
        -----
        An object is first moved aside and its age is looked at again; a put that came in between
        renewed it, and it moves back. So a put that returned is never undone.
        """
        return sweep(self, live() if callable(live) else live, grace, dry_run)

    def temporaries(self) -> list[Path]:
        """Files that puts are writing now, or left when they were killed."""
        folder = self.root / _TEMPORARY
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def temporary(self) -> Path:
        """Path of a temporary file on the same disk that does not exist yet."""
        folder = self.root / _TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        return folder / durable.temporary_name()

    def _write(
        self,
        target: Path,
        pieces: Iterable[bytes],
        digest: str | None = None,
        *,
        sync: bool = True,
    ) -> None:
        temporary = self.temporary()
        durable.write_whole(temporary, pieces, sync=sync)
        try:
            if digest is not None and not _has_digest(temporary, digest):
                msg = f"A file changed while it was stored as {target.name}."
                raise StoreError(msg, "Wait until its writer is done and store it again.")
            durable.move_into_place(temporary, target, sync=sync)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _target(self, digest: str, ext: str) -> Path:
        return self.root / digest[:2] / f"{digest}.{ext}"

    def _find(self, digest: str, ext: str | None) -> Path | None:
        if not _DIGEST.fullmatch(digest):
            return None
        if ext is not None:
            path = self._target(digest, ext)
            return path if _EXT.fullmatch(ext) and path.is_file() else None
        return next(iter(sorted((self.root / digest[:2]).glob(f"{digest}.*"))), None)

    def _files(self) -> Iterator[Path]:
        for folder in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            if folder.name == _TEMPORARY:
                continue
            if folder.is_dir():
                yield from sorted(path for path in folder.rglob("*") if not path.is_dir())
            else:
                yield folder


def _checked_ext(ext: str) -> str:
    if not _EXT.fullmatch(ext):
        msg = f"{ext!r} cannot be the extension of an object."
        raise StoreError(msg, "Use lower-case letters and digits, without a leading dot.")
    return ext


def _parse(path: Path) -> StoredObject | None:
    """Object that a file is, or None when the store would not have written it there."""
    digest, _, ext = path.name.partition(".")
    well_named = _DIGEST.fullmatch(digest) and _EXT.fullmatch(ext)
    if not well_named or path.parent.name != digest[:2]:
        return None
    try:
        return StoredObject(digest, ext, path.stat().st_size)
    except FileNotFoundError:
        return None


def _renew(path: Path, size: int) -> bool:
    """Make an existing file of this size young again; False when it must be written instead."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Only its owner may touch a read-only file; another user's copy is replaced.
        return False
    return True


def _same_bytes(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return digest_file(path) == digest
    except OSError:
        return False


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - several times as fast
    except (FileNotFoundError, NotADirectoryError):
        return []


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
