"""Arrays of keypoints, as research data sets store them, into a table of tracks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mosaic_dagster.dataset.readers.base import ReaderParams
from mosaic_dagster.dataset.readers.pose_rows import pose_table
from mosaic_dagster.errors import ReaderError

Floats = NDArray[np.float64]

MOUSE_KEYPOINTS = ("nose", "left_ear", "right_ear", "neck", "left_hip", "right_hip", "tail")
"""The seven points of a mouse seen from above, in the order of CalMS21 and MARS."""


class NamedParams(ReaderParams):
    """Parameters of readers of files that do not name their keypoints.

    Attributes
    ----------
    names
        Names of the keypoints in the order of the file; by default those that the format is
        known to have, else ``keypoint0``, ``keypoint1``, ….
    """

    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class PoseArrays:
    """Keypoints of one recording.

    Attributes
    ----------
    keypoints
        (frames, animals, 2, landmarks), x before y; NaN where missing.
    scores
        (frames, animals, landmarks), or None.
    """

    keypoints: Floats
    scores: Floats | None = None

    def table(self) -> pl.DataFrame:
        """Return ``frame``, ``id``, ``poseX{k}``, ``poseY{k}`` and ``poseP{k}``.

        A row for each animal and frame, animal by animal; frames and animals count from 0.
        """
        frames, animals, _, landmarks = self.keypoints.shape
        rows = frames * animals
        scores = None if self.scores is None else self.scores.transpose(1, 0, 2)
        return pose_table(
            np.tile(np.arange(frames), animals),
            np.repeat(np.arange(animals), frames),
            self.keypoints.transpose(1, 0, 3, 2).reshape(rows, landmarks, 2),
            None if scores is None else scores.reshape(rows, landmarks),
        )


def pose_arrays(fields: Mapping[str, Any], where: str) -> PoseArrays:
    """Take ``keypoints`` [frame][animal][xy][landmark] and, if there are any, ``scores``.

    Raises
    ------
    ReaderError
        There are no keypoints, or an array has another shape.
    """
    if "keypoints" not in fields:
        msg = f"{where} has no 'keypoints'; it has {', '.join(map(str, fields)) or 'nothing'}."
        raise ReaderError(msg, "Files of computed features hold no tracks; give the pose files.")
    keypoints = number_array(fields["keypoints"], f"{where}, keypoints")
    if keypoints.ndim != 4 or keypoints.shape[2] != 2:
        msg = f"{where}: keypoints have the shape {keypoints.shape}."
        raise ReaderError(msg, "It must be (frames, animals, 2, landmarks), x and y third.")
    scores = None
    if fields.get("scores") is not None:
        scores = number_array(fields["scores"], f"{where}, scores")
        wanted = (*keypoints.shape[:2], keypoints.shape[3])
        if scores.shape != wanted:
            msg = f"{where}: scores have the shape {scores.shape}, keypoints {keypoints.shape}."
            raise ReaderError(msg, f"Scores must be {wanted}: one for each point.")
    return PoseArrays(keypoints, scores)


def number_array(values: Any, where: str) -> Floats:
    """Nested lists or an array as Float64; null is NaN.

    Raises
    ------
    ReaderError
        It holds something else than numbers, or rows of different lengths.
    """
    try:
        array: Floats = np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        msg = f"{where}: not an array of numbers ({error})."
        raise ReaderError(msg, "Every frame must hold the same animals and points.") from error
    return array


def keypoint_names(count: int, wanted: Sequence[str], where: str) -> tuple[str, ...]:
    """Name the keypoints of a file that does not name them.

    Raises
    ------
    ReaderError
        ``wanted`` has another length than the file has keypoints, or a name twice.
    """
    if wanted and (len(wanted) != count or len(set(wanted)) != count):
        msg = f"{where} has {count} keypoints; names has {len(wanted)}: {', '.join(wanted)}."
        raise ReaderError(msg, "Give each keypoint one name of its own, in the order of the file.")
    return tuple(wanted) or tuple(f"keypoint{k}" for k in range(count))


def mouse_names(count: int, wanted: Sequence[str], where: str) -> tuple[str, ...]:
    """Name the keypoints as :func:`keypoint_names`, seven without names as those of a mouse."""
    known = MOUSE_KEYPOINTS if count == len(MOUSE_KEYPOINTS) else ()
    return keypoint_names(count, wanted or known, where)


def told_rate(facts: Any, where: str) -> float | None:
    """Frames per second from ``fps`` or ``frame_rate``; None where neither is told.

    Raises
    ------
    ReaderError
        What is told is no positive number.
    """
    told = None
    if isinstance(facts, Mapping):
        told = facts.get("fps", facts.get("frame_rate"))
    if told is None:
        return None
    try:
        rate = float(np.asarray(told, dtype=np.float64).reshape(-1)[0])
    except (ValueError, TypeError, IndexError):
        rate = math.nan
    if not 0 < rate < math.inf:
        msg = f"{where}: the frame rate is {told!r}."
        raise ReaderError(msg, "It must be a positive number.")
    return rate


def whole_values(values: Floats) -> NDArray[Any]:
    """Return numbers as integers where all are whole, else as they are."""
    whole = bool(np.isfinite(values).all()) and bool((values == np.round(values)).all())
    return values.astype(np.int64) if whole else values
