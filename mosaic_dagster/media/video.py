"""Read videos: what a file is, its frames by number and in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from mosaic_dagster.errors import ReaderError, ScopeError
from mosaic_dagster.media._opencv import opencv
from mosaic_dagster.media.arrays import Image

_WHAT = "Reading a video"
_GRAB_AHEAD = 32
"""Up to this distance, frames are skipped one by one, which is faster than to jump."""


@dataclass(frozen=True)
class VideoFacts:
    """What a video says about itself.

    Attributes
    ----------
    width, height
        Pixels.
    fps
        Frames per second; 0 when the file does not say.
    n_frames
        Number of frames; what the header promises, unless they were counted.
    codec
        Four letters, such as ``FMP4`` or ``avc1``; empty when unknown.
    """

    width: int
    height: int
    fps: float
    n_frames: int
    codec: str


@runtime_checkable
class FrameSource(Protocol):
    """Where frames come from: one video, or several in a row."""

    @property
    def facts(self) -> VideoFacts:
        """Size, rate and number of the frames."""

    def frame(self, number: int) -> Image:
        """One frame, counted from 0, shape (height, width, 3), red first."""


class Video:
    """One open video file; also a context manager that closes it.

    Parameters
    ----------
    path
        The file.
    n_frames
        Its number of frames where the header is known to be wrong.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    ReaderError
        There is no such file, or it is not a video.

    Notes
    -----
    An instance holds a position in the file, so it serves one thread at a time.
    """

    def __init__(self, path: str | Path, n_frames: int | None = None) -> None:
        self._cv2 = opencv(_WHAT)
        self.path = Path(path)
        self._capture = _open(self._cv2, self.path)
        facts = _facts_of(self._cv2, self._capture)
        self._facts = facts if n_frames is None else replace(facts, n_frames=n_frames)
        self._next = 0
        if not _plausible(self._facts):
            self.close()
            raise _no_video(self.path)

    @property
    def facts(self) -> VideoFacts:
        """Size, rate and number of the frames."""
        return self._facts

    def frame(self, number: int) -> Image:
        """One frame, counted from 0, shape (height, width, 3), red first.

        Raises
        ------
        ScopeError
            The video has no frame of this number.
        ReaderError
            The file ends before the frame, although its header promises it.
        """
        check_frame_number(number, self._facts.n_frames, str(self.path))
        self._go_to(number)
        good, image = self._capture.read()
        if not good:
            raise self._truncated(number)
        self._next = number + 1
        picture: Image = np.ascontiguousarray(self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB))
        return picture

    def frames(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, Image]]:
        """Frames with their numbers, in the order asked for; None gives all of them.

        Raises
        ------
        ScopeError
            The video has no frame of a number.
        ReaderError
            The file ends before a frame, although its header promises it.
        """
        for number in range(self._facts.n_frames) if numbers is None else numbers:
            yield number, self.frame(number)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _go_to(self, number: int) -> None:
        if not 0 <= number - self._next <= _GRAB_AHEAD:
            position = self._cv2.CAP_PROP_POS_FRAMES
            self._capture.set(position, number)
            self._next = round(self._capture.get(position))
            if self._next != number:  # the file has no usable index: from its start, then
                self._capture.release()
                self._capture = _open(self._cv2, self.path)
                self._next = 0
        while self._next < number:
            if not self._capture.grab():
                raise self._truncated(self._next)
            self._next += 1

    def _truncated(self, number: int) -> ReaderError:
        self._next = self._facts.n_frames  # the position is lost: any frame is looked for anew
        promised = self._facts.n_frames
        msg = f"{self.path} ends before frame {number}, although its header promises {promised}."
        return ReaderError(
            msg, "Copy or record it again, or count its frames: probe(path, count=True)."
        )


def probe(path: str | Path, *, count: bool = False) -> VideoFacts:
    """Look at a video without reading its pictures.

    Parameters
    ----------
    path
        The file.
    count
        Count the frames that can be read in place of believing the header; it takes as long as
        playing the file through.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    ReaderError
        There is no such file, or it is not a video.
    """
    cv2 = opencv(_WHAT)
    capture = _open(cv2, Path(path))
    try:
        facts = _facts_of(cv2, capture)
        if count:
            counted = 0
            while capture.grab():
                counted += 1
            facts = replace(facts, n_frames=counted)
    finally:
        capture.release()
    if not _plausible(facts):
        raise _no_video(Path(path))
    return facts


def check_frame_number(number: int, n_frames: int, where: str) -> None:
    """Refuse a frame that a video does not have.

    Raises
    ------
    ScopeError
        The number is negative, or not below the number of frames.
    """
    if not 0 <= number < n_frames:
        msg = f"{where} has the frames 0 to {n_frames - 1}, and no frame {number}."
        raise ScopeError(
            msg, "Compare the frames of the tracks with those of the video; is one missing?"
        )


def _open(cv2: Any, path: Path) -> Any:
    if not path.is_file():
        msg = f"There is no video {path}."
        raise ReaderError(msg, "Give the path of a file.")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise _no_video(path)
    return capture


def _facts_of(cv2: Any, capture: Any) -> VideoFacts:
    names = ("FRAME_WIDTH", "FRAME_HEIGHT", "FPS", "FRAME_COUNT", "FOURCC")
    width, height, fps, n_frames, code = (capture.get(getattr(cv2, f"CAP_PROP_{n}")) for n in names)
    letters = (int(code) & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")
    codec = letters.strip("\0 ") if letters.strip("\0 ").isprintable() else ""
    rate = float(fps) if np.isfinite(fps) and fps > 0 else 0.0
    return VideoFacts(int(width), int(height), rate, int(n_frames), codec)


def _plausible(facts: VideoFacts) -> bool:
    return facts.width > 0 and facts.height > 0 and facts.n_frames > 0


def _no_video(path: Path) -> ReaderError:
    msg = f"{path} cannot be read as a video: it is none, it is cut off, or it has no frames."
    return ReaderError(msg, "Play it elsewhere; if that works, convert it to mp4 (H.264).")
