"""MABe22 recordings: a pickled npy file with many sequences, one dict each.

``{"sequences": {id: {"keypoints", "annotations"}}}``, or the sequences directly. Keypoints are
[frame, animal, landmark, xy], or [frame, 2 · animal] with x and y of each animal's centre. Up to
one row of annotations becomes the column ``label``, several become ``annotation_0`` and so on. The
group is the name of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording
from mosaic_dagster.dataset.readers.parsed_file import PARSED
from mosaic_dagster.dataset.readers.pose_arrays import (
    Floats,
    NamedParams,
    PoseArrays,
    keypoint_names,
    number_array,
    told_rate,
    whole_values,
)
from mosaic_dagster.dataset.readers.restricted_pickle import (
    check_allowed,
    load_pickled,
    pickled_keys,
)
from mosaic_dagster.errors import ReaderError


class Mabe22Params(NamedParams):
    """Parameters of :class:`Mabe22Npy`.

    Attributes
    ----------
    allow_pickle
        Whether the file may be opened although it is a pickle. Only plain values and arrays
        are loaded even then.
    """

    allow_pickle: bool = False


class Mabe22Npy:
    """Reads MABe22 files; they are pickles: see ``allow_pickle``."""

    name: ClassVar[str] = "mabe22_npy"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".npy",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = Mabe22Params

    def sniff(self, path: Path) -> bool:
        """Whether the file is a pickle of sequences with keypoints, judged without loading it."""
        keys = pickled_keys(path)
        return (2, "keypoints") in keys or {(1, "sequences"), (3, "keypoints")} <= set(keys)

    def sequences(self, path: Path) -> list[Names]:
        """Refuse: what is in a pickle is known only to who may open it."""
        return self.listed(path, Mabe22Params())

    def listed(self, path: Path, params: ReaderParams) -> list[Names]:
        """All sequences of the file.

        Raises
        ------
        ReaderError
            Pickles are not allowed, or the file has no sequences.
        """
        return [(path.stem, sequence) for sequence in _sequences(path, params)]

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Names of the keypoints of the first sequence."""
        found = _sequences(path, params)
        first = next(iter(found), None)
        return () if first is None else _recording(path, params, first, found[first]).keypoints

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read all sequences of the file.

        Raises
        ------
        ReaderError
            The file, or one of its sequences, cannot be read.
        """
        found = _sequences(path, params)
        return [_recording(path, params, sequence, fields) for sequence, fields in found.items()]

    def read_one(self, path: Path, params: ReaderParams, names: Names) -> Recording:
        """Read one sequence; what is wrong with others does not matter.

        Raises
        ------
        ReaderError
            The file has no such sequence, or its arrays do not fit each other.
        """
        found = _sequences(path, params)
        if names[1] not in found:
            msg = f"{path} has no sequence {names[1]!r}."
            raise ReaderError(msg, "Was the file changed? Scan the sources again.")
        return _recording(path, params, names[1], found[names[1]])


def _sequences(path: Path, params: ReaderParams) -> dict[str, Any]:
    allowed = isinstance(params, Mabe22Params) and params.allow_pickle
    check_allowed(path, allow_pickle=allowed)
    try:
        content = PARSED.get(path, "mabe22_npy", partial(load_pickled, path, allow_pickle=True))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that the file is there and that you may read it.") from error
    found = content.get("sequences", content) if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found:
        msg = f"{path} holds no dict of sequences."
        raise ReaderError(msg, "A file of MABe22 is {sequences: {id: {keypoints: …}}}.")
    named = {str(sequence).replace("/", "__"): fields for sequence, fields in found.items()}
    if len(named) < len(found):
        msg = f"{path} has two sequences whose names differ only in '/' and '__'."
        raise ReaderError(msg, "Rename one of them in the file.")
    return named


def _recording(path: Path, params: ReaderParams, sequence: str, fields: Any) -> Recording:
    where = f"{path}, sequence {sequence!r}"
    if not isinstance(fields, Mapping) or "keypoints" not in fields:
        msg = f"{where} has no 'keypoints'."
        raise ReaderError(msg, "A sequence of MABe22 is a dict with keypoints.")
    keypoints = _keypoints(fields["keypoints"], where)
    frames, animals, _, landmarks = keypoints.shape
    table = PoseArrays(keypoints).table()
    if fields.get("annotations") is not None:
        table = table.with_columns(
            pl.Series(name, np.tile(values, animals))
            for name, values in _annotations(fields["annotations"], frames, where).items()
        )
    wanted = params.names if isinstance(params, NamedParams) else ()
    if landmarks == 1 and not wanted:
        wanted = ("centroid",)
    names = keypoint_names(landmarks, wanted, where)
    rate = told_rate(fields.get("metadata", fields), where)
    return Recording(sequence, path.stem, table, names, fps=rate)


def _keypoints(values: Any, where: str) -> Floats:
    """Bring keypoints into the order (frames, animals, 2, landmarks)."""
    keypoints = number_array(values, f"{where}, keypoints")
    if keypoints.ndim == 2 and keypoints.shape[1] % 2 == 0:
        return keypoints.reshape(len(keypoints), keypoints.shape[1] // 2, 2, 1)
    if keypoints.ndim == 4 and keypoints.shape[3] == 2:
        return keypoints.transpose(0, 1, 3, 2)
    msg = f"{where}: keypoints have the shape {keypoints.shape}."
    raise ReaderError(msg, "It must be (frames, animals, landmarks, 2) or (frames, 2 · animals).")


def _annotations(values: Any, frames: int, where: str) -> dict[str, Any]:
    array = number_array(values, f"{where}, annotations")
    rows = array.reshape(1, -1) if array.ndim == 1 else array
    if rows.ndim != 2 or rows.shape[1] != frames:
        msg = f"{where} has {frames} frames and annotations of the shape {array.shape}."
        raise ReaderError(msg, "They must be [frame] or [label][frame].")
    if len(rows) == 1:
        return {"label": whole_values(rows[0])}
    return {f"annotation_{i}": whole_values(row) for i, row in enumerate(rows)}
