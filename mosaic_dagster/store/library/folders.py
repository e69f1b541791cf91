"""Whole folders that appear, are replaced and go by renaming.

A new folder is built in ``<library>/.building/`` and renamed to its place. One that is there
already is first renamed to ``.replaced-<name>`` beside its place and removed last, so that after
a crash at any point either the old or the new one is found: whoever misses a folder looks for
one that was set aside and puts it back.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from mosaic_dagster.errors import LibraryNameTakenError, LibraryNameUnknownError, StoreValueError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.database.holder import exclusive
from mosaic_dagster.store.library.documents import read_document

_BUILDING = ".building"
_ASIDE = ".replaced-"
_LEFTOVER_SECONDS = 24 * 3600.0
_READS = 3


class Shelf:
    """A folder of the library that keeps one folder for each thing.

    Parameters
    ----------
    library
        The library's folder; it is made with the first thing.
    path
        The shelf within it.
    """

    def __init__(self, library: Path, path: Path) -> None:
        self.library = library
        self.path = path

    def names(self) -> list[str]:
        """Names on the shelf, sorted."""
        self._recover()
        # One that is set aside right now is about to be there again.
        found = {p.name.removeprefix(_ASIDE) for p in list_folders(self.path)}
        return sorted(name for name in found if not name.startswith("."))

    def has(self, name: str) -> bool:
        """Whether there is something of this name."""
        target = self.path / name
        if not target.is_dir() and (self.path / f"{_ASIDE}{name}").is_dir():
            self._recover()
        return target.is_dir()

    def read(self, name: str, file: str) -> dict[str, Any]:
        """Read a JSON object from a folder.

        Raises
        ------
        LibraryNameUnknownError
            There is nothing of this name.
        StoreValueError
            The file is missing or no JSON object.
        """
        path = self.path / name / file
        for _ in range(_READS):
            if not self.has(name):
                raise self._unknown(name)
            with suppress(FileNotFoundError):  # it may have been replaced since the look
                return read_document(path)
        msg = f"{path} is missing."
        raise StoreValueError(msg, "Save it again with overwrite=True, or delete it.")

    @contextmanager
    def building(self, name: str, *, overwrite: bool) -> Iterator[Path]:
        """Give a new empty folder to fill; it gets its name when the block ends well.

        Raises
        ------
        LibraryNameTakenError
            The name is taken and overwriting was not asked for.
        StoreFullError, StoreError
            The library cannot be written.
        """
        if not overwrite and self.has(name):
            raise self._taken(name)
        with durable.disk_errors(self.library):
            new = self._temporary()
            new.mkdir(parents=True)
            try:
                yield new
                durable.sync_filesystem(new)
                with self._lock():
                    self._put(new, name, overwrite)
            finally:
                shutil.rmtree(new, ignore_errors=True)

    def delete(self, name: str) -> None:
        """Remove a folder, and the shelf when it is empty now.

        Raises
        ------
        LibraryNameUnknownError
            There is nothing of this name.
        """
        with durable.disk_errors(self.library):
            if not self.has(name):
                raise self._unknown(name)
            gone = self._temporary()
            gone.parent.mkdir(parents=True, exist_ok=True)
            with self._lock():
                try:
                    (self.path / name).rename(gone)
                except FileNotFoundError:  # another was faster
                    raise self._unknown(name) from None
                durable.sync_folder(self.path)
                with suppress(OSError):  # not empty
                    self.path.rmdir()
            shutil.rmtree(gone, ignore_errors=True)

    def _put(self, new: Path, name: str, overwrite: bool) -> None:
        target, aside = self.path / name, self.path / f"{_ASIDE}{name}"
        self.path.mkdir(parents=True, exist_ok=True)
        self._put_back()
        if target.exists():
            if not overwrite:
                raise self._taken(name)
            target.rename(aside)
        new.rename(target)
        durable.sync_folder(self.path)
        shutil.rmtree(aside, ignore_errors=True)
        self._remove_leftovers()

    def _recover(self) -> None:
        """Finish or undo replacements that a crash cut short, once no other is under way."""
        if any(p.name.startswith(_ASIDE) for p in list_folders(self.path)):
            with suppress(OSError), self._lock():  # someone who may only read sees what is there
                self._put_back()

    def _put_back(self) -> None:
        for aside in list_folders(self.path):
            if aside.name.startswith(_ASIDE):
                target = self.path / aside.name.removeprefix(_ASIDE)
                if target.exists():
                    shutil.rmtree(aside, ignore_errors=True)
                else:
                    aside.rename(target)

    def _remove_leftovers(self) -> None:
        oldest = time.time() - _LEFTOVER_SECONDS
        for folder in list_folders(self.library / _BUILDING):
            with suppress(FileNotFoundError):
                if folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)

    def _temporary(self) -> Path:
        return self.library / _BUILDING / durable.temporary_name()

    def _lock(self) -> AbstractContextManager[None]:
        return exclusive(self.library / ".lock")

    def _unknown(self, name: str) -> LibraryNameUnknownError:
        msg = f"{self.path} has nothing named {name!r}."
        return LibraryNameUnknownError(msg, "List what is there, and look for the name.")

    def _taken(self, name: str) -> LibraryNameTakenError:
        msg = f"{self.path} has {name!r} already."
        return LibraryNameTakenError(msg, "Choose another name, or pass overwrite=True.")


def write_document(path: Path, data: bytes) -> None:
    """Write one file of a folder that is being built."""
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_whole(path, (data,), sync=False, mode=0o644)


def list_folders(path: Path) -> list[Path]:
    """Folders in a folder, in no order; none when it is not there."""
    try:
        return [Path(item.path) for item in os.scandir(path) if item.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
