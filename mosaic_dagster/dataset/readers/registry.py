"""From the name of a format to its reader, and from a file to the format it is in.

A lab adds readers of its own through the entry point group ``mosaic_dagster.readers`` or with
:meth:`ReaderRegistry.register`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path

from mosaic_dagster.dataset.readers.base import Reader
from mosaic_dagster.dataset.readers.deeplabcut_csv import DeepLabCutCsv
from mosaic_dagster.dataset.readers.keypoint_csv import KeypointCsv
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import ReaderError, UnknownFormatError

ENTRY_POINTS = "mosaic_dagster.readers"
"""Entry point group of readers in other packages; each names a class without arguments."""

AUTO = "auto"
"""The format that means: recognise each file by its content."""


class ReaderRegistry(Mapping[str, Reader]):
    """All readers by name; those of other packages are loaded when first asked for."""

    def __init__(self, *readers: Reader) -> None:
        self._readers: dict[str, Reader] = {}
        self._plugins_loaded = False
        for reader in readers:
            self.register(reader)

    def register(self, reader: Reader) -> None:
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

    def _all(self) -> dict[str, Reader]:
        if not self._plugins_loaded:
            self._plugins_loaded = True
            for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
                self.register(point.load()())
        return self._readers

    def __getitem__(self, name: str) -> Reader:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


READERS = ReaderRegistry(KeypointCsv(), DeepLabCutCsv())
"""The readers of this package and of installed ones."""


def get_reader(name: str) -> Reader:
    """Return the reader of this name.

    Raises
    ------
    UnknownFormatError
        Nothing has this name; the nearest and all names are given.
    """
    if name not in READERS:
        msg = f"There is no reader {name!r}."
        raise UnknownFormatError(msg, f"{nearest(name, READERS)} {_formats()}".strip())
    return READERS[name]


def detect(path: Path) -> Reader:
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
        candidates = [reader for reader in READERS.values() if reads_extension(reader, path)]
        found = [reader for reader in candidates if size and reader.sniff(path)]
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that the file is there and that you may read it.") from error
    if not size:
        msg = f"{path} is empty (0 bytes)."
        raise ReaderError(msg, "Export it again, or take it out of the folder.")
    if len(found) == 1:
        return found[0]
    names = " and ".join(reader.name for reader in found)
    msg = f"{path} could be {names}." if found else f"No reader recognises {path}."
    raise UnknownFormatError(msg, f"Name the format. {_formats()}")


def reads_extension(reader: Reader, path: Path) -> bool:
    """Whether the ending of the file is one of the reader's, in any case."""
    return path.name.lower().endswith(tuple(reader.extensions))


def _formats() -> str:
    return f"The formats are: {', '.join(READERS)}."
