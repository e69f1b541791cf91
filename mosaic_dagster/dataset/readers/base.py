"""What a reader of tracking files is.

A reader knows one file format. It is a stateless object: :meth:`Reader.read` is given a path and
its parameters and gives recordings; times, centres and missing values are brought into one form
afterwards, for every format alike (:func:`mosaic_dagster.dataset.tracks.normalize_tracks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosaic_dagster.dataset.validation import describe_problems
from mosaic_dagster.errors import ReaderError

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
    """

    sequence: str
    group: str | None
    table: pl.DataFrame
    keypoints: tuple[str, ...]
    fps: float | None = None
    unit: str | None = None
    unparsable: int = 0


@runtime_checkable
class Reader(Protocol):
    """Reads one file format.

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
    params
        The class of its parameters.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    merges: ClassVar[bool]
    params: ClassVar[type[ReaderParams]]

    def sniff(self, path: Path) -> bool:
        """Whether the file looks like this format; reads its first lines only."""
        ...

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


def one_sequence(path: Path) -> list[Names]:
    """Name the recording of a file that holds one recording: it is called as the file."""
    return [(None, path.stem)]


def reader_params(reader: Reader, values: Mapping[str, Any]) -> ReaderParams:
    """Check the parameters for a reader.

    Raises
    ------
    ReaderError
        A parameter is unknown or has an impossible value.
    """
    try:
        return reader.params(**values)
    except (ValidationError, TypeError) as error:
        problems = error if isinstance(error, ValidationError) else None
        told = describe_problems(problems, reader.params.model_fields) if problems else str(error)
        msg = f"Parameters of the reader {reader.name!r}: {told}"
        raise ReaderError(msg, f"It takes: {', '.join(reader.params.model_fields)}.") from error
