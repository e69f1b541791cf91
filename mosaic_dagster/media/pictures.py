"""Pure operations on single pictures: turn, shrink, equalize, mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mosaic_dagster.media._opencv import opencv
from mosaic_dagster.media.arrays import BoolArray, FloatArray, Image

_WHAT = "Changing pictures"
_CLIP_LIMIT = 2.0
_TILES = (8, 8)


def warp(image: Image, matrix: FloatArray, size: tuple[int, int]) -> Image:
    """Move each point p of a picture to ``matrix @ (p, 1)``; what comes from outside is black.

    Parameters
    ----------
    image
        The picture.
    matrix
        Shape (2, 3); whole numbers are the centres of pixels.
    size
        Width and height of the result.
    """
    cv2 = opencv(_WHAT)
    warped: Image = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
    return warped


def shrink(image: Image, width: int) -> Image:
    """A picture with this width and the same shape, each pixel the mean of those it replaces.

    A picture that is not wider is returned as it is.
    """
    if image.shape[1] <= width:
        return image
    cv2 = opencv(_WHAT)
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    small: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small


def to_grey(image: Image) -> Image:
    """Brightness of a picture, shape (height, width); weights of ITU-R BT.601."""
    if image.ndim == 2:
        return image
    cv2 = opencv(_WHAT)
    grey: Image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey


def equalize(image: Image) -> Image:
    """Even out the contrast tile by tile; colours keep their hue.

    Notes
    -----
    Contrast limited adaptive histogram equalization (Zuiderveld, Graphics Gems IV, 1994, 474) with
    8 x 8 tiles and a limit of 2, of the lightness (CIE L*) where the picture has colours.
    """
    cv2 = opencv(_WHAT)
    clahe = cv2.createCLAHE(clipLimit=_CLIP_LIMIT, tileGridSize=_TILES)
    if image.ndim == 2:
        even: Image = clahe.apply(image)
        return even
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    coloured: Image = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return coloured


def ellipse_mask(
    size: tuple[int, int], centre: Sequence[float], half_axes: Sequence[float]
) -> BoolArray:
    """Pixels inside an upright ellipse, its edge included, shape (height, width).

    Parameters
    ----------
    size
        Width and height.
    centre
        x and y in pixels.
    half_axes
        Half the extent along x and along y.
    """
    y, x = np.mgrid[: size[1], : size[0]]
    inside: BoolArray = ((x - centre[0]) / half_axes[0]) ** 2 + (
        (y - centre[1]) / half_axes[1]
    ) ** 2 <= 1
    return inside
