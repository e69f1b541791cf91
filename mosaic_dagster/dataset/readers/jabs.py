"""Poses of the Jackson laboratory's pipeline, ``*_pose_est_v2.h5`` to ``v5``.

Points are stored as (y, x) in pixels, with confidence 0 where there is none. Version 2 has one
mouse. Version 3 has slots that hold another mouse in every frame, and the number of the tracklet
in each. From version 4 on the file also says which slot is which mouse, for the whole video. The
file does not tell its frame rate.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording, one_sequence
from mosaic_dagster.dataset.readers.hdf5 import (
    find,
    number_attribute,
    open_hdf5,
    read_array,
    sniff_hdf5,
)
from mosaic_dagster.dataset.readers.pose_rows import pose_table
from mosaic_dagster.errors import ReaderError

KEYPOINTS = (
    "nose",
    "left_ear",
    "right_ear",
    "base_neck",
    "left_front_paw",
    "right_front_paw",
    "center_spine",
    "left_rear_paw",
    "right_rear_paw",
    "base_tail",
    "mid_tail",
    "tip_tail",
)
"""What the points of a mouse are; the files do not say it."""

Whose = Literal["track", "identity"]

_WHAT = "The reader 'jabs'"
_VERSION = re.compile(r"_pose_est_v(\d+)$")
_FIRST_WITH_SLOTS = 3
_FIRST_WITH_IDENTITIES = 4


class JabsParams(ReaderParams):
    """Parameters of :class:`Jabs`.

    Attributes
    ----------
    identity
        What an id is: ``track``, a stretch over which one mouse was followed, or ``identity``, a
        mouse over the whole video. None takes the best that the file's version has: identities
        from version 4 on, tracks in version 3. Version 2 has one mouse and needs neither.
    """

    identity: Whose | None = None


class Jabs:
    """Reads pose files of JABS, versions 2 to 5."""

    name: ClassVar[str] = "jabs"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".h5",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = JabsParams

    def sniff(self, path: Path) -> bool:
        """Whether it has points and confidences under ``poseest``.

        Raises
        ------
        MissingExtraError
            The file is HDF5 and h5py is not installed.
        ReaderError
            The file is HDF5 and damaged.
        """
        return sniff_hdf5(path, _WHAT, "poseest/points", "poseest/confidence")

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file."""
        return one_sequence(path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:  # noqa: ARG002
        """Name the twelve points of a mouse.

        Raises
        ------
        ReaderError
            The file is damaged, or has another number of points.
        """
        with open_hdf5(path, _WHAT) as file:
            points = find(file, "poseest/points")
            _check_points(path, getattr(points, "shape", ()))
        return KEYPOINTS

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recording in the file.

        A point with confidence 0 is missing. Mice that the file identifies are numbered from 0
        (the file counts from 1); slots under the mask have no identity and are left out,
        whatever number they hold, and counted. The scale, where the file has one, is told in the
        notes as ``cm_per_pixel``; coordinates stay in pixels.

        Raises
        ------
        ReaderError
            The file is damaged, lacks what its version has, or has no identities though they
            were asked for.
        MissingExtraError
            h5py is not installed.
        """
        asked = params.identity if isinstance(params, JabsParams) else None
        with open_hdf5(path, _WHAT) as file:
            poses = find(file, "poseest")
            points, confidence = _poses(path, file)
            version = _version(path, poses, points.ndim)
            frames, slots, ids, notes = _rows(path, poses, points.shape[:2], version, asked)
            scale = number_attribute(poses, "cm_per_pixel")
        if version < _FIRST_WITH_SLOTS:
            points, confidence = points[:, None], confidence[:, None]
        # The axis of coordinates is turned: the file has y before x.
        xy = points[frames, slots][..., ::-1].astype(np.float64)
        sure = confidence[frames, slots].astype(np.float64)
        xy[~(sure > 0)] = np.nan
        table = pose_table(frames, ids, xy, sure).sort("id", "frame")
        notes = {"pose_version": version} | notes
        if scale is not None and scale > 0:
            notes["cm_per_pixel"] = scale
        return [Recording(path.stem, None, table, KEYPOINTS, notes=notes)]


def _check_points(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) not in (3, 4) or shape[-2:] != (len(KEYPOINTS), 2):
        msg = f"{path}: 'poseest/points' has the shape {shape}, not (…, {len(KEYPOINTS)}, 2)."
        raise ReaderError(msg, "Pose files of versions 2 to 5 have twelve points per mouse.")


def _poses(path: Path, file: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points (frame, [slot,] 12, 2) and confidences of the same shape without the last axis."""
    points, confidence = (read_array(file, f"poseest/{name}") for name in ("points", "confidence"))
    _check_points(path, points.shape)
    if confidence.shape != points.shape[:-1]:
        msg = f"{path}: 'poseest/confidence' has the shape {confidence.shape}, unlike the points."
        raise ReaderError(msg, "Make the file again.")
    return points, confidence


def _version(path: Path, poses: Any, ndim: int) -> int:
    """The version that the name of the file tells, else the one that its content fits.

    The attribute of the file is of no use: it says 3 in files of version 5.
    """
    found = _VERSION.search(path.stem)
    identified = find(poses, "instance_embed_id") is not None
    guess = _FIRST_WITH_IDENTITIES if identified else _FIRST_WITH_SLOTS
    version = int(found[1]) if found else (guess if ndim == 4 else 2)
    if (version >= _FIRST_WITH_SLOTS) != (ndim == 4):
        msg = f"{path}: the points of version {version} cannot have {ndim} axes."
        raise ReaderError(msg, "Name the file after the version that it has.")
    return version


def _rows(
    path: Path, poses: Any, shape: tuple[int, ...], version: int, asked: Whose | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
    """Frame, slot and id of each row, and what was left out."""
    if version < _FIRST_WITH_SLOTS:
        frames = np.arange(shape[0])
        return frames, np.zeros_like(frames), np.zeros_like(frames), {}
    if asked == "identity" and version < _FIRST_WITH_IDENTITIES:
        msg = f"{path}: version {version} has tracks and no identities."
        raise ReaderError(msg, "Leave the parameter identity out, or take a later version.")
    default: Whose = "identity" if version >= _FIRST_WITH_IDENTITIES else "track"
    whose = asked or default
    used = np.arange(shape[1]) < _slots(path, poses, "instance_count", shape[:1])[:, None]
    if whose == "track":
        ids, valid = _slots(path, poses, "instance_track_id", shape).astype(np.int64), used
    else:
        ids = _slots(path, poses, "instance_embed_id", shape).astype(np.int64) - 1
        masked = _slots(path, poses, "id_mask", shape).astype(bool)
        valid = ~masked & (ids >= 0)
    frames, slots = np.nonzero(valid)
    notes: dict[str, Any] = {"identity": whose}
    if whose == "identity":
        notes["instances_without_identity"] = int((used & ~valid).sum())
    return frames, slots, ids[frames, slots], notes


def _slots(path: Path, poses: Any, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    values = read_array(poses, name)
    if values.shape != shape:
        msg = f"{path}: 'poseest/{name}' has the shape {values.shape}, not {shape}."
        raise ReaderError(msg, "Make the file again.")
    return values
