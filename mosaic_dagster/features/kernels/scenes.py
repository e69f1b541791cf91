"""Sums over scenes, and scenes laid side by side.

A *scene* is all animals of one frame, or of one subgroup of a frame. Rows are sorted so that the
rows of a scene follow each other; ``scene`` is the number of each row's scene, from 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray

# Numbers per block: small enough for a processor's cache.
_BLOCK = 1 << 15
_EXACT_WIDTH = 16


def scene_count(wanted: BoolArray, scene: IntArray, n_scenes: int) -> IntArray:
    """Number of rows of each scene where ``wanted`` is true, shape (n_scenes,)."""
    return np.bincount(scene[wanted], minlength=n_scenes)


def scene_sum(values: FloatArray, scene: IntArray, n_scenes: int) -> FloatArray:
    """Sum of the values of each scene that are not NaN, shape (n_scenes,); 0 without any.

    Values are added one after the other in the order of the rows, so a scene's sum does not
    depend on the other scenes, to the last bit.
    """
    known = np.where(np.isnan(values), 0.0, values)
    # An empty bincount with weights counts in whole numbers.
    return np.bincount(scene, weights=known, minlength=n_scenes).astype(np.float64)


def scene_mean(values: FloatArray, scene: IntArray, n_scenes: int) -> FloatArray:
    """Mean of the values of each scene that are not NaN, shape (n_scenes,); NaN without any."""
    return divide(
        scene_sum(values, scene, n_scenes), scene_count(~np.isnan(values), scene, n_scenes)
    )


def divide(numerator: npt.NDArray[np.generic], denominator: npt.NDArray[np.generic]) -> FloatArray:
    """Quotient, NaN where the denominator is 0."""
    quotient = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def from_centroid(
    x: FloatArray, y: FloatArray, scene: IntArray, n_scenes: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Offset of each row from the centroid of its scene, and its length, each shape (n_rows,).

    Parameters
    ----------
    x, y
        Finite positions, any length unit.
    scene, n_scenes
        Number of each row's scene, and how many there are.

    Notes
    -----
    A mean is rounded, so that an animal exactly at the centroid would be off by some 1e-16 of its
    coordinates, in an arbitrary direction. Offsets below 1e-12 of the mean coordinate are 0.
    """
    rx = x - scene_mean(x, scene, n_scenes)[scene]
    ry = y - scene_mean(y, scene, n_scenes)[scene]
    magnitude = scene_mean(np.abs(x) + np.abs(y), scene, n_scenes)[scene]
    distance = np.hypot(rx, ry)
    at_center = distance <= 1e-12 * magnitude
    for offset in (rx, ry, distance):
        offset[at_center] = 0.0
    return rx, ry, distance


def lay_out(scene: IntArray, n_scenes: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Scenes of about the same size side by side, in blocks of bounded size.

    Parameters
    ----------
    scene
        Number of each row's scene, increasing, shape (n_rows,).
    n_scenes
        Number of scenes; empty ones are left out.

    Yields
    ------
    tuple of ndarray
        Numbers of some scenes, shape (m,), and their rows, shape (m, width); -1 after the last
        row of a scene.
    """
    sizes = np.bincount(scene, minlength=n_scenes)
    starts = np.cumsum(sizes) - sizes
    step = _EXACT_WIDTH
    widths = np.where(sizes <= step, sizes, -(-sizes // step) * step)
    for width in np.unique(widths[widths > 0]).tolist():
        members = np.flatnonzero(widths == width)
        per_block = max(1, _BLOCK // width)
        for begin in range(0, len(members), per_block):
            numbers = members[begin : begin + per_block]
            place = np.arange(width)
            rows = starts[numbers, None] + place
            yield numbers, np.where(place < sizes[numbers, None], rows, -1)
