"""Write pictures: mp4 files, and PNG bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from mosaic_dagster.errors import MissingExtraError, ParamsError, StoreFullError
from mosaic_dagster.media._opencv import opencv
from mosaic_dagster.media.arrays import Image
from mosaic_dagster.media.video import probe

_CODEC = "mp4v"


class Mp4Writer:
    """Writes frames into an mp4 file that appears under its name when all are written.

    Parameters
    ----------
    path
        The file; an older one is replaced at the end.
    fps
        Frames per second.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed, or cannot write mp4.
    ParamsError
        The rate is not above 0.
    StoreFullError
        At the end: not all frames are in the file.

    Notes
    -----
    The size is that of the first frame; an odd width or height gets a black column or row, since
    the codec halves the colours. Equal frames give equal bytes under one version of OpenCV.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        if not (np.isfinite(fps) and fps > 0):
            msg = f"A video of {fps} frames per second cannot be written."
            raise ParamsError(msg, "Give fps, the frame rate of the recording.")
        self._cv2 = opencv("Writing a video")
        self.path = Path(path)
        self.fps = float(fps)
        self.n_frames = 0
        self._shape: tuple[int, int] | None = None
        self._writer: Any = None
        self._part = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part.mp4")

    def add(self, image: Image) -> None:
        """Append one frame, in colour or grey.

        Raises
        ------
        ParamsError
            Its size differs from the first one's, or it is no picture of bytes.
        """
        check_image(image)
        shape = (int(image.shape[0]), int(image.shape[1]))
        if self._shape is None:
            self._shape = shape
            self._writer = self._opened(shape)
        if shape != self._shape:
            msg = f"Frame {self.n_frames} of {self.path.name} has the shape {shape}."
            raise ParamsError(msg, f"All frames need the shape of the first, {self._shape}.")
        code = self._cv2.COLOR_GRAY2BGR if image.ndim == 2 else self._cv2.COLOR_RGB2BGR
        padding = ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0))
        self._writer.write(np.pad(self._cv2.cvtColor(image, code), padding))
        self.n_frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if self._writer is not None:
                self._writer.release()
                if kind is None:
                    self._finish()
        finally:
            self._part.unlink(missing_ok=True)

    def _opened(self, shape: tuple[int, int]) -> Any:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        size = (shape[1] + shape[1] % 2, shape[0] + shape[0] % 2)
        code = self._cv2.VideoWriter_fourcc(*_CODEC)
        writer = self._cv2.VideoWriter(str(self._part), code, self.fps, size)
        if not writer.isOpened():
            msg = f"OpenCV cannot write {self.path} as mp4 ({_CODEC})."
            raise MissingExtraError(
                msg, "Is the folder writable? Else install an OpenCV that was built with FFmpeg."
            )
        return writer

    def _finish(self) -> None:
        written = probe(self._part).n_frames
        if written != self.n_frames:
            msg = f"{written} of {self.n_frames} frames of {self.path} were written."
            raise StoreFullError(msg, "Is the disk full?")
        self._part.replace(self.path)


def write_mp4(path: str | Path, images: Iterable[Image], fps: float) -> int:
    """Write frames to an mp4 file, one at a time; returns their number.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed, or cannot write mp4.
    ParamsError
        There are no frames, they differ in size, or the rate is not above 0.
    """
    with Mp4Writer(path, fps) as writer:
        for image in images:
            writer.add(image)
        if not writer.n_frames:
            msg = f"There is no frame to write to {path}."
            raise ParamsError(msg, "Choose frames that the recording has.")
    return writer.n_frames


def mp4_bytes(images: Iterable[Image], fps: float) -> bytes:
    """Frames as the bytes of an mp4 file.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed, or cannot write mp4.
    ParamsError
        There are no frames, they differ in size, or the rate is not above 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_mp4(path, images, fps)
        return path.read_bytes()


def png_bytes(image: Image) -> bytes:
    """A picture as the bytes of a PNG file, without loss.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    ParamsError
        It is no picture of bytes.
    """
    check_image(image)
    cv2 = opencv("Writing a picture")
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", stored)
    return bytes(encoded)


def check_image(image: Image) -> None:
    """Refuse what is not a picture of bytes in colour or grey.

    Raises
    ------
    ParamsError
        Another type, another number of axes or channels, or no pixels.
    """
    good = image.dtype == np.uint8 and image.size > 0
    if not (good and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))):
        msg = f"An array of {image.dtype} with the shape {image.shape} is no picture."
        raise ParamsError(msg, "Give uint8 with the shape (height, width) or (height, width, 3).")
