"""What a reader of label files is.

It knows one format, and is a stateless object like a reader of tracks. A file may hold labels of
several recordings. Times become frames by
:func:`~mosaic_dagster.dataset.labels.behavior.event_frames`, in every format alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from mosaic_dagster.dataset.labels.files import AnyLabels
from mosaic_dagster.dataset.readers.base import FileFormat, Names
from mosaic_dagster.errors import ReaderError

_AGREE = 1e-5
"""Rates are written with few decimals, as 29.97 for 30000 / 1001; this is a frame in an hour."""


class LabelReaderParams(BaseModel):
    """Parameters that every label reader takes; a reader adds its own in a subclass.

    Attributes
    ----------
    fps
        Frames per second, for formats that tell times and not frames; None takes the file's, else
        the manifest's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    fps: float | None = Field(default=None, gt=0, allow_inf_nan=False)


@dataclass(frozen=True)
class LabelledRecording:
    """Labels of one recording as a file holds them.

    Attributes
    ----------
    sequence, group
        Names of the recording; a group of None is decided by the folder.
    labels
        Its labels.
    notes
        What a person should know about how the file was read, such as counts of what was left out.
    """

    sequence: str
    group: str | None
    labels: AnyLabels
    notes: dict[str, object] = field(default_factory=dict)


@runtime_checkable
class LabelReader(FileFormat, Protocol):
    """Reads one format of label files; these never merge.

    Attributes
    ----------
    params
        The class of its parameters.
    """

    params: ClassVar[type[LabelReaderParams]]

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:
        """List the recordings that the file labels, without reading more than needed."""
        ...

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Labels of every recording in the file.

        ``params.fps`` is completed from the dataset.

        Raises
        ------
        ReaderError
            The file is not in this format; says where.
        """
        ...


def frame_rate(path: Path, told: float | None, params: LabelReaderParams) -> float:
    """Frames per second to count events with: the file's or the parameter's, which must agree.

    Raises
    ------
    ReaderError
        Neither is there, or they differ.
    """
    if told is not None and params.fps is not None and abs(told - params.fps) > _AGREE * told:
        msg = f"{path} says {told} frames per second, and the recording has {params.fps}."
        raise ReaderError(msg, "Correct fps in the parameters of the source, or in the dataset.")
    rate = params.fps if told is None else told
    if rate is None:
        msg = f"{path} tells times, and the frames per second are not known."
        raise ReaderError(msg, "Give fps as a parameter of the source, or in the dataset.")
    return rate
