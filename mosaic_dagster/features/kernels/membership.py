"""Where each animal is within its group, and how long it is in groups of a size."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.angles import ego
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.scenes import (
    from_centroid,
    scene_count,
    scene_mean,
    scene_sum,
)


def is_peripheral(
    distance: FloatArray, scene: IntArray, n_scenes: int, group_size: IntArray
) -> BoolArray:
    """Whether an animal is the farthest from the centroid of its whole group, shape (n_rows,).

    Parameters
    ----------
    distance
        Distance from the centroid, rows sorted by scene.
    scene, n_scenes
        Number of each row's scene, and how many there are.
    group_size
        Number of members that each row's group has, those without a row too.

    Notes
    -----
    True where the rank of the distance within the scene, ties ranked last, is the group's size;
    so nobody is peripheral where a member has no row. Distances that are equal but for rounding
    (those of two animals always are) are ties.
    """
    largest = np.full(n_scenes, -np.inf)
    np.maximum.at(largest, scene, distance)
    complete = scene_count(np.isfinite(distance), scene, n_scenes)[scene] == group_size
    return np.asarray(complete & (distance >= largest[scene] * (1 - 1e-9)))


def group_frame(
    x: FloatArray,
    y: FloatArray,
    heading: FloatArray | None,
    scene: IntArray,
    n_scenes: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distance from the group's centroid and offset in the group's own frame, (n_rows,) each.

    Parameters
    ----------
    x, y
        Finite positions, rows sorted by scene.
    heading
        Heading of the group or of its members in radians, NaN where unknown; offsets are rotated
        by its circular mean. None rotates by 0.
    scene, n_scenes
        Number of each row's scene, and how many there are.

    Returns
    -------
    tuple of ndarray
        Distance, offset along the heading, offset along its (-sin, cos) axis; the offsets are NaN
        where the heading is unknown.
    """
    rx, ry, distance = from_centroid(x, y, scene, n_scenes)
    if heading is None:
        return distance, rx, ry
    total_x = scene_sum(np.cos(heading), scene, n_scenes)
    total_y = scene_sum(np.sin(heading), scene, n_scenes)
    known = scene_count(~np.isnan(heading), scene, n_scenes) > 0
    mean = np.where(known, np.arctan2(total_y, total_x), np.nan)[scene]
    along, across = ego(rx, ry, mean)
    return distance, along, across


def deviation(values: FloatArray, scene: IntArray, n_scenes: int) -> FloatArray:
    """Values minus the mean of the known values of their scene, shape (n_rows,)."""
    return values - scene_mean(values, scene, n_scenes)[scene]


def group_median(values: FloatArray, code: IntArray, n_codes: int) -> FloatArray:
    """Median of the values of each code, shape (n_codes,); NaN for a code without values."""
    ordered = values[np.lexsort((values, code))]
    sizes = np.bincount(code, minlength=n_codes)
    starts = np.cumsum(sizes) - sizes
    median = np.full(n_codes, np.nan)
    there = sizes > 0
    low, high = starts + (sizes - 1) // 2, starts + sizes // 2
    median[there] = 0.5 * (ordered[low[there]] + ordered[high[there]])
    return median


def stretch_ends(frames: IntArray, *constant: IntArray) -> tuple[IntArray, IntArray]:
    """First and last row of each maximal stretch of successive frames with constant values.

    Parameters
    ----------
    frames
        Frame of each row, shape (n_rows,), rows sorted by individual, then frame.
    constant
        Whole numbers that do not change within a stretch, the individual among them.
    """
    breaks = np.diff(frames, prepend=frames[:1]) != 1
    for values in constant:
        breaks |= np.diff(values, prepend=values[:1]) != 0
    breaks[:1] = True
    first = np.flatnonzero(breaks)
    last = np.append(first[1:], len(frames)) - 1
    return first, last[: len(first)]
