"""Several videos of one recording as one row of frames."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Self

from mosaic_dagster.errors import ReaderError, ScopeError
from mosaic_dagster.media.arrays import Image
from mosaic_dagster.media.video import Video, VideoFacts, check_frame_number

_SAME_RATE = 1e-3


class VideoStream:
    """Videos one after the other; frame 0 of the second follows the last one of the first.

    Parameters
    ----------
    videos
        Paths or open videos, in their order.

    Raises
    ------
    ScopeError
        No video is given.
    ReaderError
        One is not a video, or they differ in size or frame rate.

    Notes
    -----
    The numbers of frames come from the headers; where one is wrong, all later frames are shifted.
    Open such a video as ``Video(path, n_frames=probe(path, count=True).n_frames)``.
    """

    def __init__(self, videos: Sequence[str | Path | Video]) -> None:
        if not videos:
            msg = "A stream of no videos was asked for."
            raise ScopeError(msg, "Give at least one video.")
        self._videos: list[Video] = []
        try:
            for video in videos:
                self._videos.append(video if isinstance(video, Video) else Video(video))
                self._check_like_first(self._videos[-1])
        except Exception:
            self.close()
            raise
        self._ends = list(accumulate(video.facts.n_frames for video in self._videos))

    @property
    def facts(self) -> VideoFacts:
        """Size, rate and codec of the first video, and the number of all frames."""
        return replace(self._videos[0].facts, n_frames=self._ends[-1])

    def locate(self, number: int) -> tuple[Path, int]:
        """The file that holds a frame, and the frame's number in it.

        Raises
        ------
        ScopeError
            The videos have no frame of this number.
        """
        video, local = self._find(number)
        return video.path, local

    def frame(self, number: int) -> Image:
        """One frame, counted from the start of the first video, shape (height, width, 3).

        Raises
        ------
        ScopeError
            The videos have no frame of this number.
        ReaderError
            A file ends before the frame, although its header promises it.
        """
        video, local = self._find(number)
        return video.frame(local)

    def frames(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, Image]]:
        """Frames with their numbers, in the order asked for; None gives all of them.

        Raises
        ------
        ScopeError
            The videos have no frame of a number.
        ReaderError
            A file ends before a frame, although its header promises it.
        """
        for number in range(self._ends[-1]) if numbers is None else numbers:
            yield number, self.frame(number)

    def close(self) -> None:
        """Close all files."""
        for video in self._videos:
            video.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find(self, number: int) -> tuple[Video, int]:
        check_frame_number(number, self._ends[-1], f"The stream from {self._videos[0].path}")
        which = bisect_right(self._ends, number)
        return self._videos[which], number - (self._ends[which - 1] if which else 0)

    def _check_like_first(self, video: Video) -> None:
        first, other = self._videos[0].facts, video.facts
        same_size = (first.width, first.height) == (other.width, other.height)
        if same_size and math.isclose(first.fps, other.fps, rel_tol=_SAME_RATE):
            return
        told = [f"{f.width}x{f.height} at {f.fps:g} fps" for f in (first, other)]
        msg = f"{video.path} is {told[1]}, but {self._videos[0].path} is {told[0]}."
        raise ReaderError(msg, "Only videos of one recording, made alike, can be joined.")
