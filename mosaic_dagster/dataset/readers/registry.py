"""From the name of a format to its reader, and from a file to the format it is in.

A lab adds readers of its own through the entry point group ``mosaic_dagster.readers`` or with
:meth:`ReaderRegistry.register`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from mosaic_dagster.dataset.readers.base import FileFormat, Reader
from mosaic_dagster.dataset.readers.calms21 import Calms21Json, Calms21Npy
from mosaic_dagster.dataset.readers.deeplabcut_csv import DeepLabCutCsv
from mosaic_dagster.dataset.readers.deeplabcut_h5 import DeepLabCutH5
from mosaic_dagster.dataset.readers.idtrackerai import IdTracker
from mosaic_dagster.dataset.readers.jabs import Jabs
from mosaic_dagster.dataset.readers.keypoint_csv import KeypointCsv
from mosaic_dagster.dataset.readers.keypoint_parquet import KeypointParquet
from mosaic_dagster.dataset.readers.mabe22_npy import Mabe22Npy
from mosaic_dagster.dataset.readers.mars_json import MarsJson
from mosaic_dagster.dataset.readers.movement_poses import MovementPoses
from mosaic_dagster.dataset.readers.sleap_analysis import SleapAnalysisH5
from mosaic_dagster.dataset.readers.sleap_slp import SleapSlp
from mosaic_dagster.dataset.readers.trex_npz import TrexNpz
from mosaic_dagster.dataset.readers.ultralytics_tracks import UltralyticsTracks
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import ReaderError, UnknownFormatError

ENTRY_POINTS = "mosaic_dagster.readers"
"""Entry point group of readers in other packages; each names a class without arguments."""

AUTO = "auto"
"""The format that means: recognise each file by its content."""

SIDECARS = (".json",)
"""Endings of notes of every kind that lie beside recordings."""


R = TypeVar("R", bound=FileFormat)


class ReaderRegistry(Mapping[str, R], Generic[R]):
    """All readers of one kind by name; those of other packages are loaded when first asked for.

    Parameters
    ----------
    *readers
        The readers of this package.
    group
        Entry point group of readers in other packages; each names a class without arguments.
    """

    def __init__(self, *readers: R, group: str = ENTRY_POINTS) -> None:
        self.group = group
        self._readers: dict[str, R] = {}
        self._plugins_loaded = False
        for reader in readers:
            self.register(reader)

    def register(self, reader: R) -> None:
        """Make a reader known by its name.

        Raises
        ------
        ReaderError
            Another reader has the name, or the name is ``auto``.
        """
        known = self._readers.get(reader.name)
        if reader.name == AUTO or (known is not None and type(known) is not type(reader)):
            msg = f"A reader cannot be called {reader.name!r}, the name is taken."
            raise ReaderError(msg, "Give it another name.")
        self._readers[reader.name] = reader

    def _all(self) -> dict[str, R]:
        if not self._plugins_loaded:
            self._plugins_loaded = True
            for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
                self.register(point.load()())
        return self._readers

    def __getitem__(self, name: str) -> R:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def find(self, name: str) -> R:
        """Return the reader of this name.

        Raises
        ------
        UnknownFormatError
            Nothing has this name; the nearest and all names are given.
        """
        if name not in self:
            msg = f"There is no reader {name!r}."
            raise UnknownFormatError(msg, f"{nearest(name, self)} {self.formats()}".strip())
        return self[name]

    def detect(self, path: Path) -> R:
        """Find the one reader that recognises the file.

        Raises
        ------
        ReaderError
            The file is empty or cannot be opened.
        UnknownFormatError
            No reader recognises it, or several do.
        """
        try:
            size = path.stat().st_size
            found = self._recognising(path) if size else []
        except OSError as error:
            msg = f"{path} cannot be read: {error.strerror or error}."
            remedy = "Check that the file is there and that you may read it."
            raise ReaderError(msg, remedy) from error
        if not size:
            msg = f"{path} is empty (0 bytes)."
            raise ReaderError(msg, "Export it again, or take it out of the folder.")
        if len(found) == 1:
            return found[0]
        names = " and ".join(reader.name for reader in found)
        msg = f"{path} could be {names}." if found else f"No reader recognises {path}."
        raise UnknownFormatError(msg, f"Name the format. {self.formats()}")

    def _recognising(self, path: Path) -> list[R]:
        candidates = [reader for reader in self.values() if reads_extension(reader, path)]
        return [reader for reader in candidates if reader.sniff(path)]

    def passes_over(self, format: str, path: Path) -> bool:
        """Whether ``auto`` leaves a file in a folder alone: notes that no reader recognises."""
        if format != AUTO or not path.name.lower().endswith(SIDECARS):
            return False
        try:
            return not self._recognising(path)
        except OSError:
            return False  # refused with its reason when it is to be read

    def chosen(self, format: str, path: Path) -> R:
        """Return the reader that a format names, or for ``auto`` the one for the file."""
        return self.detect(path) if format == AUTO else self.find(format)

    def endings(self, format: str) -> tuple[str, ...]:
        """List the endings of the files that a format, or ``auto``, is about."""
        readers = self.values() if format == AUTO else [self.find(format)]
        return tuple(sorted({ending for reader in readers for ending in reader.extensions}))

    def formats(self) -> str:
        """Say which formats there are."""
        return f"The formats are: {', '.join(self)}."


READERS: ReaderRegistry[Reader] = ReaderRegistry(
    KeypointCsv(),
    DeepLabCutCsv(),
    DeepLabCutH5(),
    SleapAnalysisH5(),
    SleapSlp(),
    Jabs(),
    MovementPoses(),
    Calms21Json(),
    Calms21Npy(),
    IdTracker(),
    KeypointParquet(),
    Mabe22Npy(),
    MarsJson(),
    TrexNpz(),
    UltralyticsTracks(),
)
"""The readers of this package and of installed ones."""


def get_reader(name: str) -> Reader:
    """Return the reader of this name; see :meth:`ReaderRegistry.find`."""
    return READERS.find(name)


def detect(path: Path) -> Reader:
    """Find the one reader that recognises the file; see :meth:`ReaderRegistry.detect`."""
    return READERS.detect(path)


def reads_extension(reader: FileFormat, path: Path) -> bool:
    """Whether the ending of the file is one of the reader's, in any case."""
    return path.name.lower().endswith(tuple(reader.extensions))
