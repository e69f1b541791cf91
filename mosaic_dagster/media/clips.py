"""What crops and overlays give back: a video, pictures, or both, as bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from mosaic_dagster.errors import ParamsError, ScopeError
from mosaic_dagster.media.arrays import Image
from mosaic_dagster.media.writing import Mp4Writer, png_bytes

Output = Literal["video", "frames", "both"]


@dataclass(frozen=True)
class Clip:
    """Encoded frames of one thing.

    Attributes
    ----------
    name
        What it shows; the stem of its files.
    fps
        Frames per second of the video.
    frames
        Frame numbers of the recording, in the order of the video's frames.
    absent
        Those of them in which there was nothing to show. They are black in the video, so that it
        stays in step with the recording, and give no picture.
    video
        Bytes of an mp4 file, or None.
    pictures
        Frame number to the bytes of a PNG file; empty when none were asked for.
    """

    name: str
    fps: float
    frames: tuple[int, ...]
    absent: tuple[int, ...] = ()
    video: bytes | None = None
    pictures: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def n_absent(self) -> int:
        """Number of frames in which there was nothing to show."""
        return len(self.absent)

    def outputs(self) -> list[tuple[bytes, str, str]]:
        """The files as ``(data, name, extension)``, as the ``outputs`` of a step are given."""
        video = [] if self.video is None else [(self.video, self.name, "mp4")]
        return video + [(data, f"{self.name}_{n:06d}", "png") for n, data in self.pictures.items()]

    def metadata(self) -> dict[str, int]:
        """Counts of frames by what they are, for the ``metadata`` of a step."""
        return {f"{self.name}: frames": len(self.frames), f"{self.name}: absent": self.n_absent}


def check_output(output: str) -> None:
    """Refuse what is not a way to give frames back.

    Raises
    ------
    ParamsError
        It is none of ``video``, ``frames`` and ``both``.
    """
    if output not in get_args(Output):
        msg = f"The output {output!r} is unknown."
        raise ParamsError(msg, f"Choose one of: {', '.join(get_args(Output))}.")


def encode_clip(
    name: str,
    frames: Iterable[tuple[int, Image | None]],
    fps: float,
    output: Output,
    size: tuple[int, int],
) -> Clip:
    """Encode frames one by one.

    Parameters
    ----------
    name
        Name of the clip.
    frames
        Frame number and picture; None where there is nothing to show.
    fps
        Frames per second.
    output
        What is wanted.
    size
        Width and height of every picture.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    ParamsError
        The output is unknown, a picture has another size, or the rate is not above 0.
    ScopeError
        There are no frames.
    """
    check_output(output)
    shown: list[int] = []
    absent: list[int] = []
    pictures: dict[int, bytes] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "clip.mp4"
        writer = stack.enter_context(Mp4Writer(path, fps)) if output != "frames" else None
        for number, image in frames:
            shown.append(number)
            if image is None:
                absent.append(number)
            elif output != "video":
                pictures[number] = png_bytes(image)
            if writer is not None:
                writer.add(_black(size) if image is None else _coloured(image))
        if not shown:
            msg = f"There is no frame for {name!r}."
            raise ScopeError(msg, "Choose frames that the recording has.")
        stack.close()
        video = None if writer is None else path.read_bytes()
    return Clip(name, fps, tuple(shown), tuple(absent), video, pictures)


def _black(size: tuple[int, int]) -> Image:
    return np.zeros((size[1], size[0], 3), dtype=np.uint8)


def _coloured(image: Image) -> Image:
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
