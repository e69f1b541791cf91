"""Crops in which one animal stays in the middle and looks to the right."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.errors import ScopeError
from mosaic_dagster.media.arrays import FloatArray, IntArray
from mosaic_dagster.media.clips import Clip, encode_clip
from mosaic_dagster.media.cropping import CropParams, Windows, cut
from mosaic_dagster.media.geometry import headings
from mosaic_dagster.media.poses import Poses
from mosaic_dagster.media.video import FrameSource

_DEFAULTS = CropParams()


def egocentric_crop(
    source: FrameSource,
    tracks: pl.DataFrame,
    individual: Any,
    params: CropParams = _DEFAULTS,
    *,
    frames: range | None = None,
    name: str | None = None,
) -> Clip:
    """Cut one individual out of a recording.

    Parameters
    ----------
    source
        The video, or the videos in a row.
    tracks
        Tracks of the recording in pixels of the video: ``frame``, ``id``, ``X``, ``Y`` and the
        keypoints, or ``ANGLE``, that say where it looks.
    individual
        Its ``id``.
    params
        How crops are cut.
    frames
        Frames of the recording; None takes those from the individual's first row to its last.
    name
        Name of the clip; None takes ``id_<individual>``.

    Returns
    -------
    Clip
        One frame for each frame asked for. A frame in which the individual has no row, no place,
        or (with rotation) no heading is absent: black in the video, without a picture, counted.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    MissingColumnError
        The tracks lack a column that is needed.
    ScopeError
        There is no such individual, or the video has no such frame.
    FitError
        The length of its body is not known.
    ReaderError
        The video is cut off.
    """
    poses = Poses.of(tracks, individual)
    if frames is None:
        frames = range(int(poses.frames[0]), int(poses.frames[-1]) + 1)
    windows = body_windows(poses, np.array(frames, dtype=np.int64), params)
    images = cut(source, windows, params)
    name = f"id_{individual}" if name is None else name
    return encode_clip(name, images, source.facts.fps, params.output, params.crop_size)


def body_windows(poses: Poses, frames: IntArray, params: CropParams = _DEFAULTS) -> Windows:
    """Where the crop of an individual lies in each frame.

    Parameters
    ----------
    poses
        The individual.
    frames
        Frame numbers, shape (n,).
    params
        How crops are cut.

    Raises
    ------
    MissingColumnError
        The tracks lack a keypoint that is needed.
    ScopeError
        There are no frames.
    FitError
        The length of its body is not known.
    """
    if not len(frames):
        msg = f"No frame of individual {poses.individual!r} was asked for."
        raise ScopeError(msg, "Give at least one frame.")
    rows = poses.rows_of(frames)
    there = (rows >= 0)[:, None]
    centre = np.where(there, poses.centre[rows], np.nan)
    heading = np.where(there[:, 0], _heading(poses, params)[rows], np.nan)
    return Windows(frames, centre, heading, params.length_of(poses))


def _heading(poses: Poses, params: CropParams) -> FloatArray:
    if not params.rotate_to_heading:
        return np.zeros(len(poses.frames))
    if params.heading_points is None:
        return poses.angle
    front, back = params.heading_points
    return headings(poses.keypoint(front), poses.keypoint(back))
