"""Annotations of CalMS21: a class for every frame of the pair of resident and intruder.

They lie in the files of the tracks. What the numbers mean is told by each sequence (``vocab``) and
differs between the tasks. Sequences without annotations are passed over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from mosaic_dagster.dataset.labels.behavior import Labels
from mosaic_dagster.dataset.labels.readers.base import (
    LabelledRecording,
    LabelReaderParams,
    frame_rate,
)
from mosaic_dagster.dataset.readers.base import Names
from mosaic_dagster.dataset.readers.calms21 import (
    SELECTION,
    Calms21Json,
    Calms21Npy,
    Clip,
    annotation_array,
    is_selected,
    json_clips,
    npy_clips,
)
from mosaic_dagster.dataset.readers.pose_arrays import told_rate
from mosaic_dagster.errors import ReaderError

RESIDENT, INTRUDER = 0, 1


class Calms21LabelParams(LabelReaderParams):
    """Parameters of the readers of annotations of CalMS21.

    Attributes
    ----------
    select
        Which sequences to read, as for the tracks; None reads all.
    vocab
        Number of each class by its name, for sequences that do not tell it.
    """

    select: str | None = Field(default=None, pattern=f"^{SELECTION.pattern}$")
    vocab: dict[str, int] = Field(default_factory=dict)


class Calms21NpyLabelParams(Calms21LabelParams):
    """Parameters of :class:`Calms21AnnotationsNpy`.

    Attributes
    ----------
    allow_pickle
        Whether the file may be opened although it is a pickle. Only plain values and arrays
        are loaded even then.
    """

    allow_pickle: bool = False


class _Calms21Annotations(ABC):
    """What both readers do alike."""

    version: ClassVar[str] = "1"
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = Calms21LabelParams

    @abstractmethod
    def clips(self, path: Path, params: LabelReaderParams) -> Sequence[Clip]:
        """All sequences of the file."""

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:
        """List the annotated sequences that ``select`` names.

        Raises
        ------
        ReaderError
            The file cannot be read, or there are none.
        """
        return [(clip.group, clip.sequence) for clip in self._annotated(path, params)]

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Labels of every annotated sequence that ``select`` names.

        Of several annotators of a sequence the first counts.

        Raises
        ------
        ReaderError
            The file cannot be read, or a sequence has other annotations than a class of its
            vocabulary for each frame.
        """
        return [_recording(clip, path, params) for clip in self._annotated(path, params)]

    def _annotated(self, path: Path, params: LabelReaderParams) -> list[Clip]:
        select = params.select if isinstance(params, Calms21LabelParams) else None
        found = [
            clip
            for clip in self.clips(path, params)
            if "annotations" in clip.fields and is_selected(clip.source, select)
        ]
        if not found and select is not None:
            msg = f"{path} has no annotated sequences of {select!r}."
            raise ReaderError(msg, "Change select, or take the file out of the sources of labels.")
        return found


class Calms21AnnotationsJson(_Calms21Annotations):
    """Reads the annotations of ``calms21_task1_train.json`` and its like."""

    name: ClassVar[str] = "calms21_annotations_json"
    extensions: ClassVar[tuple[str, ...]] = (".json",)

    def sniff(self, path: Path) -> bool:
        """Whether the file begins with a group, a sequence and one of its arrays."""
        return Calms21Json().sniff(path)

    def clips(self, path: Path, params: LabelReaderParams) -> Sequence[Clip]:  # noqa: ARG002
        """All sequences of the file."""
        return json_clips(path)


class Calms21AnnotationsNpy(_Calms21Annotations):
    """Reads the annotations of ``calms21_task1_train.npy`` and its like, which are pickles."""

    name: ClassVar[str] = "calms21_annotations_npy"
    extensions: ClassVar[tuple[str, ...]] = (".npy",)
    params: ClassVar[type[LabelReaderParams]] = Calms21NpyLabelParams

    def sniff(self, path: Path) -> bool:
        """Whether the file is a pickle of dicts in dicts in a dict, judged without loading it."""
        return Calms21Npy().sniff(path)

    def clips(self, path: Path, params: LabelReaderParams) -> Sequence[Clip]:
        """All sequences of the file."""
        allowed = isinstance(params, Calms21NpyLabelParams) and params.allow_pickle
        return npy_clips(path, allow_pickle=allowed)


def _recording(clip: Clip, path: Path, params: LabelReaderParams) -> LabelledRecording:
    where = f"{path}, sequence {clip.source!r}"
    classes = annotation_array(clip.fields["annotations"], where)
    frames = len(clip.fields.get("keypoints", classes))
    if len(classes) != frames:
        msg = f"{where} has {frames} frames and {len(classes)} annotations."
        raise ReaderError(msg, "There must be one for each frame.")
    metadata = clip.fields.get("metadata")
    told = told_rate(metadata, where)
    fps = params.fps if told is None else frame_rate(path, told, params)
    names = _names(metadata, params, where)
    _check_known(classes, names, where)
    labels = Labels(_events(classes), names, fps)
    return LabelledRecording(clip.sequence, clip.group, labels)


def _events(classes: NDArray[np.int64]) -> pl.DataFrame:
    return pl.DataFrame({"frame": np.arange(len(classes)), "label": classes}).with_columns(
        id1=pl.lit(RESIDENT), id2=pl.lit(INTRUDER)
    )


def _names(metadata: Any, params: LabelReaderParams, where: str) -> dict[int, str]:
    vocab = metadata.get("vocab") if isinstance(metadata, Mapping) else None
    if not vocab and isinstance(params, Calms21LabelParams):
        vocab = params.vocab
    if not isinstance(vocab, Mapping) or not vocab:
        msg = f"{where} does not tell the names of its classes (metadata, vocab)."
        raise ReaderError(msg, "Give them as the reader's parameter vocab: {attack: 0, …}.")
    try:
        names = {int(number): str(name) for name, number in vocab.items()}
    except (TypeError, ValueError) as error:
        msg = f"{where}: the vocabulary {dict(vocab)!r} does not give numbers."
        raise ReaderError(msg, "It must be a number for each name.") from error
    if len(names) < len(vocab):
        msg = f"{where}: two names of the vocabulary {dict(vocab)!r} have one number."
        raise ReaderError(msg, "Give each class a number of its own.")
    return names


def _check_known(classes: NDArray[np.int64], names: Mapping[int, str], where: str) -> None:
    unknown = sorted(set(np.unique(classes).tolist()) - set(names))
    if unknown:
        msg = f"{where} has the class {unknown[0]}, which is not in its vocabulary."
        raise ReaderError(msg, f"The vocabulary is {dict(sorted(names.items()))}.")
