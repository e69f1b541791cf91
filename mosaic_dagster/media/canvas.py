"""Draw on one picture: dots, lines, boxes, words. Points that are not finite draw nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mosaic_dagster.media._opencv import opencv
from mosaic_dagster.media.arrays import BoolArray, FloatArray, Image
from mosaic_dagster.media.palette import Colour
from mosaic_dagster.media.writing import check_image

Point = Sequence[float] | FloatArray

_LIMIT = 1e6  # beyond it, OpenCV's whole numbers could overflow
_DIMMED = 0.35


class Canvas:
    """A copy of a picture that is drawn on.

    Parameters
    ----------
    image
        The picture; grey ones become coloured.

    Attributes
    ----------
    image
        The picture with what was drawn, shape (height, width, 3).

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    ParamsError
        It is no picture of bytes.
    """

    def __init__(self, image: Image) -> None:
        check_image(image)
        self._cv2 = opencv("Drawing on frames")
        coloured = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
        self.image: Image = np.array(coloured, order="C")

    def dot(self, at: Point, radius: int, colour: Colour) -> None:
        """A filled circle."""
        for x, y in _whole([at]):
            self._cv2.circle(self.image, (x, y), radius, colour, -1)

    def circle(self, at: Point, radius: float, colour: Colour, thickness: int = 1) -> None:
        """The edge of a circle."""
        for x, y in _whole([at]):
            pixels = max(1, round(min(radius, _LIMIT)))
            self._cv2.circle(self.image, (x, y), pixels, colour, thickness)

    def path(self, points: FloatArray, colour: Colour, thickness: int = 1) -> None:
        """Lines from each point, shape (n, 2), to the next; a missing point is a gap."""
        for start, end in pairwise(points):
            ends = _whole([start, end])
            if len(ends) == 2:
                self._cv2.line(self.image, *ends, colour, thickness)

    def arrow(self, start: Point, end: Point, colour: Colour, thickness: int = 1) -> None:
        """An arrow."""
        ends = _whole([start, end])
        if len(ends) == 2:
            self._cv2.arrowedLine(self.image, *ends, colour, thickness, tipLength=0.2)

    def box(self, corners: Point, colour: Colour, thickness: int = 1) -> None:
        """The edge of an upright box, given as left, top, right, bottom."""
        ends = _whole([corners[:2], corners[2:]])
        if len(ends) == 2:
            self._cv2.rectangle(self.image, *ends, colour, thickness)

    def hull(self, points: FloatArray, colour: Colour, thickness: int = 1) -> None:
        """The convex outline of points, shape (n, 2); of two it is a line, of one nothing."""
        corners = _whole(points)
        if len(corners) > 1:
            outline = self._cv2.convexHull(np.array(corners, dtype=np.int32))
            self._cv2.polylines(self.image, [outline], True, colour, thickness)

    def text(self, words: str, at: Point, colour: Colour, size: float = 0.4) -> None:
        """Words with a dark edge, ``at`` their lower left corner; ASCII, others become ``?``."""
        plain = words.encode("ascii", "replace").decode()
        font, line = self._cv2.FONT_HERSHEY_SIMPLEX, self._cv2.LINE_AA
        for x, y in _whole([at]):
            for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                dark = (0, 0, 0)
                self._cv2.putText(self.image, plain, (x + dx, y + dy), font, size, dark, 1, line)
            self._cv2.putText(self.image, plain, (x, y), font, size, colour, 1, line)

    def dim_outside(self, centres: FloatArray, radius: float) -> None:
        """Darken what is farther than a radius from every finite point, shape (n, 2)."""
        finite = centres[np.isfinite(centres).all(axis=1)]
        y, x = np.ogrid[: self.image.shape[0], : self.image.shape[1]]
        kept: BoolArray = np.zeros(self.image.shape[:2], dtype=np.bool_)
        for cx, cy in finite:
            kept |= (x - cx) ** 2 + (y - cy) ** 2 <= radius**2
        self.image[~kept] = (self.image[~kept] * _DIMMED).astype(np.uint8)


def _whole(points: Sequence[Point] | FloatArray) -> list[tuple[int, int]]:
    """Points rounded to pixels; those that are missing or absurdly far away are left out."""
    array = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    near = array[(np.abs(array) < _LIMIT).all(axis=1)]  # false for NaN
    return [(int(x), int(y)) for x, y in np.rint(near)]
