"""Cut a window that moves and turns with an animal out of every frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mosaic_dagster.errors import FitError, ParamsError
from mosaic_dagster.media.arrays import BoolArray, FloatArray, Image, IntArray
from mosaic_dagster.media.clips import Output, check_output
from mosaic_dagster.media.geometry import body_length, crop_matrix
from mosaic_dagster.media.pictures import ellipse_mask, equalize, to_grey, warp
from mosaic_dagster.media.poses import Poses
from mosaic_dagster.media.video import FrameSource


@dataclass(frozen=True)
class CropParams:
    """How crops are cut.

    Attributes
    ----------
    crop_size
        Width and height of the crop in pixels.
    rotate_to_heading
        Turn every frame so that the animal looks to the right.
    heading_points
        The animal looks from the second keypoint to the first; None takes ``ANGLE``.
    margin
        The shorter side of the crop shows this many body lengths.
    center_offset_px
        How far ahead and to the right of the animal (without rotation: right and down) the middle
        of the crop lies, in pixels of the video.
    body_length
        In pixels of the video; None takes the median over the frames of the largest distance
        between two keypoints of the individual, so that the scale is constant.
    mask_body
        Make everything outside an ellipse around the animal black.
    body_mask
        Half the ellipse's extent along and across the crop, in its pixels; the ellipse stays on
        the animal when the crop is moved off it.
    clahe
        Even out the contrast.
    grayscale
        Give brightness only.
    output
        ``video`` (mp4), ``frames`` (PNG) or ``both``.

    Raises
    ------
    ParamsError
        A value cannot be.
    """

    crop_size: tuple[int, int] = (256, 256)
    rotate_to_heading: bool = True
    heading_points: tuple[int, int] | None = (3, 6)
    margin: float = 1.5
    center_offset_px: tuple[float, float] = (0.0, 0.0)
    body_length: float | None = None
    mask_body: bool = False
    body_mask: tuple[float, float] = (96.0, 64.0)
    clahe: bool = False
    grayscale: bool = False
    output: Output = "video"

    def __post_init__(self) -> None:
        check_output(self.output)
        above_zero = {"margin": (self.margin,), "body_mask": self.body_mask}
        if self.body_length is not None:
            above_zero["body_length"] = (self.body_length,)
        for name, values in above_zero.items():
            if not all(math.isfinite(v) and v > 0 for v in values):
                msg = f"{name} is {getattr(self, name)}."
                raise ParamsError(msg, "Give a number above 0.")
        if not all(_is_size(side) for side in self.crop_size):
            msg = f"crop_size is {self.crop_size}."
            raise ParamsError(msg, "Give width and height in whole pixels.")
        if not all(math.isfinite(v) for v in self.center_offset_px):
            msg = f"center_offset_px is {self.center_offset_px}."
            raise ParamsError(msg, "Give two finite numbers.")
        if self.heading_points is not None and len(set(self.heading_points)) != 2:
            msg = f"heading_points is {self.heading_points}."
            raise ParamsError(msg, "Give two different keypoints, front and back.")

    def scale(self, length: float) -> float:
        """Pixels of the crop for each pixel of the video, for a body of this length."""
        return min(self.crop_size) / (self.margin * length)

    def length_of(self, poses: Poses) -> float:
        """Length of an individual's body in pixels of the video.

        Raises
        ------
        FitError
            It is not given, and no frame shows two keypoints in different places.
        """
        length = body_length(poses.keypoints) if self.body_length is None else self.body_length
        if not length > 0:
            msg = f"No frame shows how long the body of individual {poses.individual!r} is."
            raise FitError(msg, "Give body_length in pixels.")
        return length


@dataclass(frozen=True, eq=False)
class Windows:
    """Where the crop lies in each frame.

    Attributes
    ----------
    frames
        Frame numbers, shape (n,).
    centre
        In pixels of the video, shape (n, 2); NaN where there is nothing to show.
    heading
        Radians, shape (n,); NaN where there is nothing to show.
    length
        What the crop is scaled to, in pixels of the video.
    """

    frames: IntArray
    centre: FloatArray
    heading: FloatArray
    length: float

    def matrices(self, params: CropParams) -> list[FloatArray | None]:
        """Map from the video into the crop for each frame; None where nothing is to be shown."""
        scale = params.scale(self.length)
        present = np.isfinite(self.centre).all(axis=1) & np.isfinite(self.heading)
        return [
            crop_matrix(centre, heading, scale, params.crop_size, params.center_offset_px)
            if there
            else None
            for centre, heading, there in zip(self.centre, self.heading, present, strict=True)
        ]


def cut(
    source: FrameSource, windows: Windows, params: CropParams
) -> Iterator[tuple[int, Image | None]]:
    """Crops with their frame numbers, one at a time; None where there is nothing to show.

    Raises
    ------
    ScopeError
        The video has no such frame.
    ReaderError
        The video is cut off.
    """
    mask = _mask(params, params.scale(windows.length)) if params.mask_body else None
    numbers = (int(frame) for frame in windows.frames)
    for number, matrix in zip(numbers, windows.matrices(params), strict=True):
        if matrix is None:
            yield number, None
            continue
        image = warp(source.frame(number), matrix, params.crop_size)
        yield number, _finished(image, mask, params)


def _is_size(side: Any) -> bool:
    return isinstance(side, int) and side > 0


def _finished(image: Image, mask: BoolArray | None, params: CropParams) -> Image:
    if params.grayscale:
        image = to_grey(image)
    if params.clahe:
        image = equalize(image)
    if mask is not None:
        image = image.copy()
        image[~mask] = 0
    return image


def _mask(params: CropParams, scale: float) -> BoolArray:
    """Pixels of the crop that are kept: an ellipse around the animal, wherever the crop lies."""
    middle = (np.asarray(params.crop_size) - 1) / 2
    centre = middle - scale * np.asarray(params.center_offset_px)
    return ellipse_mask(params.crop_size, centre.tolist(), params.body_mask)
