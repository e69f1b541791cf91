"""Crops of two animals, one clip for each time they interact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.media.arrays import FloatArray, IntArray
from mosaic_dagster.media.clips import Clip, encode_clip
from mosaic_dagster.media.cropping import CropParams, Windows, cut
from mosaic_dagster.media.egocentric import body_windows
from mosaic_dagster.media.geometry import headings
from mosaic_dagster.media.poses import Poses, require_columns
from mosaic_dagster.media.video import FrameSource

Focus = Literal["each", "pair"]
INTERACTION_CROP = CropParams(crop_size=(192, 192))
"""How interactions are cut unless told otherwise."""

_COLUMNS = ("id1", "id2", "interaction_id", "interaction_start", "interaction_end")


@dataclass(frozen=True)
class Segment:
    """One interaction of one pair, from its first frame to its last.

    Attributes
    ----------
    id1, id2
        The two individuals.
    number
        Number of the interaction in the pair.
    start, end
        First and last frame.
    """

    id1: Any
    id2: Any
    number: int
    start: int
    end: int

    @property
    def name(self) -> str:
        """Ids and number, as the clips are named."""
        return f"ids_{self.id1}_{self.id2}_interaction_{self.number}"

    @property
    def frames(self) -> IntArray:
        """All frames, also those without a row."""
        return np.arange(self.start, self.end + 1, dtype=np.int64)


def segments(interactions: pl.DataFrame) -> list[Segment]:
    """The interactions of a table of the feature ``pair-interaction-filter``.

    Parameters
    ----------
    interactions
        Rows with ``id1``, ``id2``, ``interaction_id``, ``interaction_start``, ``interaction_end``;
        the last two are first and last frame.

    Returns
    -------
    list of Segment
        Ordered by start, then by pair. No rows give none.

    Raises
    ------
    MissingColumnError
        A column is missing.
    """
    require_columns(interactions, _COLUMNS, "The table of interactions")
    unique = interactions.select(_COLUMNS).unique().sort("interaction_start", *_COLUMNS[:3])
    return [Segment(*row) for row in unique.iter_rows()]


def interaction_crops(
    source: FrameSource,
    tracks: pl.DataFrame,
    interactions: pl.DataFrame,
    params: CropParams = INTERACTION_CROP,
    *,
    focus: Focus = "each",
) -> Iterator[Clip]:
    """Cut every interaction out of a recording, one clip after the other.

    Parameters
    ----------
    source
        The video, or the videos in a row.
    tracks
        Tracks of the recording in pixels of the video.
    interactions
        Table of the feature ``pair-interaction-filter``.
    params
        How crops are cut.
    focus
        ``each``: two clips, with id1 and with id2 in the middle, each looking to the right.
        ``pair``: one clip with the point between them in the middle and id2 to the right of id1;
        the margin is then around the largest distance of the two plus a body length.

    Yields
    ------
    Clip
        Named by ids and number of the interaction. Frames in which an individual that the crop
        needs is missing are absent, as in :func:`~mosaic_dagster.media.egocentric_crop`.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    MissingColumnError
        A table lacks a column that is needed.
    ScopeError
        The tracks have no such individual, or the video has no such frame.
    FitError
        The length of a body is not known.
    ReaderError
        The video is cut off.
    """
    if focus not in get_args(Focus):
        msg = f"The focus {focus!r} is unknown."
        raise ParamsError(msg, f"Choose one of: {', '.join(get_args(Focus))}.")
    poses: dict[Any, Poses] = {}
    for segment in segments(interactions):
        for individual in (segment.id1, segment.id2):
            if individual not in poses:
                poses[individual] = Poses.of(tracks, individual)
        pair = poses[segment.id1], poses[segment.id2]
        for name, windows in _windows(segment, pair, params, focus):
            images = cut(source, windows, params)
            yield encode_clip(name, images, source.facts.fps, params.output, params.crop_size)


def pair_windows(one: Poses, other: Poses, frames: IntArray, params: CropParams) -> Windows:
    """Where the crop of a pair lies in each frame: between the two, turned along their line.

    Parameters
    ----------
    one, other
        The individuals; ``other`` lies to the right of ``one``.
    frames
        Frame numbers, shape (n,).
    params
        How crops are cut.

    Raises
    ------
    FitError
        The length of a body is not known.
    """
    first, second = _places(one, frames), _places(other, frames)
    heading = headings(second, first) if params.rotate_to_heading else np.zeros(len(frames))
    offset = second - first
    apart = np.hypot(offset[:, 0], offset[:, 1])
    body = (params.length_of(one) + params.length_of(other)) / 2
    length = np.max(apart, initial=0.0, where=np.isfinite(apart)) + body
    return Windows(frames, (first + second) / 2, heading, float(length))


def _windows(
    segment: Segment, pair: tuple[Poses, Poses], params: CropParams, focus: Focus
) -> Iterator[tuple[str, Windows]]:
    if focus == "pair":
        yield segment.name, pair_windows(*pair, segment.frames, params)
        return
    for poses in pair:
        windows = body_windows(poses, segment.frames, params)
        yield f"{segment.name}_id_{poses.individual}", windows


def _places(poses: Poses, frames: IntArray) -> FloatArray:
    rows = poses.rows_of(frames)
    return np.where((rows >= 0)[:, None], poses.centre[rows], np.nan)
