"""What a reader of tracking files is.

A reader knows one file format. It is a stateless object: :meth:`Reader.read` is given a path and
its parameters and gives recordings; times, centres and missing values are brought into one form
afterwards, for every format alike (:func:`mosaic_dagster.dataset.tracks.normalize_tracks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosaic_dagster.dataset.validation import describe_problems
from mosaic_dagster.errors import ReaderError

P = TypeVar("P", bound=BaseModel)

Names = tuple[str | None, str]
"""Group (None: decided by the folder) and sequence."""


class ReaderParams(BaseModel):
    """Parameters that every reader takes; a reader adds its own in a subclass.

    Attributes
    ----------
    fps
        Frames per second, for formats that do not store it; None takes the manifest's.
    unit
        Unit of the coordinates; None takes the manifest's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    fps: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    unit: str | None = None


@dataclass(frozen=True)
class Recording:
    """One sequence as a file holds it.

    Attributes
    ----------
    sequence, group
        Names of the recording; a group of None is decided by the folder.
    table
        ``frame``, ``id``, ``poseX{k}``, ``poseY{k}``, … in the unit of the file, not yet
        normalised.
    keypoints
        Names of the keypoints 0, 1, … of the table.
    fps, unit
        Where the file tells them.
    unparsable
        Number of cells that were no numbers and count as missing.
    notes
        What else the reader has to tell about the file, by name: counts of what was left out,
        a scale. Plain values; never a path of the file's author.
    """

    sequence: str
    group: str | None
    table: pl.DataFrame
    keypoints: tuple[str, ...]
    fps: float | None = None
    unit: str | None = None
    unparsable: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)


class FileFormat(Protocol):
    """What readers of tracks and of labels have in common.

    Attributes
    ----------
    name
        What ``format`` calls it.
    version
        Changed whenever the same file gives other tables than before; part of the identity of
        what was read.
    extensions
        Endings of its files, lower case, with the dot.
    merges
        Whether several files may make one entry (a file per animal).
    """

    name: ClassVar[str]
    version: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    merges: ClassVar[bool]

    def sniff(self, path: Path) -> bool:
        """Whether the file looks like this format; reads its first lines only."""
        ...


@runtime_checkable
class Reader(FileFormat, Protocol):
    """Reads tracks in one file format.

    Attributes
    ----------
    params
        The class of its parameters.
    """

    params: ClassVar[type[ReaderParams]]

    def sequences(self, path: Path) -> list[Names]:
        """List the recordings in the file, without reading all of it."""
        ...

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Names of the keypoints in the file, from its header alone."""
        ...

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """All recordings of the file.

        Raises
        ------
        ReaderError
            The file is not in this format; says where.
        """
        ...


@runtime_checkable
class CollectionReader(Reader, Protocol):
    """Reads a format with many recordings in a file, or one that its parameters may refuse.

    Where a reader has these methods they are used in place of ``sequences`` and ``read``.
    """

    def listed(self, path: Path, params: ReaderParams) -> list[Names]:
        """List the recordings in the file that the parameters ask for."""
        ...

    def read_one(self, path: Path, params: ReaderParams, names: Names) -> Recording:
        """Read one of the listed recordings; what is wrong with others does not matter.

        Raises
        ------
        ReaderError
            The file or this recording is not in this format; says where.
        """
        ...


def names_in(reader: Reader, path: Path, params: ReaderParams) -> list[Names]:
    """List the recordings in a file."""
    if isinstance(reader, CollectionReader):
        return reader.listed(path, params)
    return reader.sequences(path)


def one_sequence(path: Path) -> list[Names]:
    """Name the recording of a file that holds one recording: it is called as the file."""
    return [(None, path.stem)]


def reader_params(reader: Reader, values: Mapping[str, Any]) -> ReaderParams:
    """Check the parameters for a reader of tracks; see :func:`checked_params`."""
    return checked_params(reader.name, reader.params, values)


def checked_params(reader: str, params: type[P], values: Mapping[str, Any]) -> P:
    """Check the parameters for a reader.

    Raises
    ------
    ReaderError
        A parameter is unknown or has an impossible value.
    """
    try:
        return params(**values)
    except (ValidationError, TypeError) as error:
        problems = error if isinstance(error, ValidationError) else None
        told = describe_problems(problems, params.model_fields) if problems else str(error)
        msg = f"Parameters of the reader {reader!r}: {told}"
        raise ReaderError(msg, f"It takes: {', '.join(params.model_fields)}.") from error
