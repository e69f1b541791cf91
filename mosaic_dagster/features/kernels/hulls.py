"""Area that a group of points covers."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.scenes import lay_out

_EPS = float(np.finfo(np.float64).eps)


def hull_area(x: FloatArray, y: FloatArray, scene: IntArray, n_scenes: int) -> FloatArray:
    """Area of the convex hull of each scene, shape (n_scenes,).

    Parameters
    ----------
    x, y
        Finite positions, rows sorted by scene, shape (n_rows,).
    scene, n_scenes
        Number of each row's scene, and how many there are.

    Notes
    -----
    Monotone chains (Andrew 1979), all scenes of a size at once. NaN with fewer than three
    distinct points, and where all points lie on a line within rounding.
    """
    area = np.full(n_scenes, np.nan)
    for numbers, rows in lay_out(scene, n_scenes):
        if rows.shape[1] < 3:
            continue
        # A point that is there twice does not change a hull.
        filled = np.where(rows < 0, rows[:, :1], rows)
        area[numbers] = _hull_area(x[filled], y[filled])
    return area


def alpha_area(
    x: FloatArray, y: FloatArray, scene: IntArray, n_scenes: int, alpha: float
) -> tuple[FloatArray, IntArray]:
    """Area of the alpha shape of each scene, and its number of triangles, shape (n_scenes,) each.

    Parameters
    ----------
    x, y, scene, n_scenes
        As in :func:`hull_area`.
    alpha
        Triangles whose circumscribed circle has a smaller radius count; same unit as x and y.

    Notes
    -----
    The triangles are those of the Delaunay triangulation; it is called scene by scene. Where the
    hull has no area the result is NaN with 0 triangles; where no triangle is small enough, 0.
    """
    from scipy.spatial import Delaunay

    area = hull_area(x, y, scene, n_scenes)
    triangles = np.zeros(n_scenes, dtype=np.int64)
    bounds = np.searchsorted(scene, np.arange(n_scenes + 1))
    for number in np.flatnonzero(np.isfinite(area)).tolist():
        rows = slice(bounds[number], bounds[number + 1])
        points = np.column_stack([x[rows] - x[rows][0], y[rows] - y[rows][0]])
        areas, radii = _triangles(points[Delaunay(points).simplices])
        small = radii < alpha
        area[number], triangles[number] = areas[small].sum(), small.sum()
    return area, triangles


def _triangles(corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Areas and radii of the circumscribed circles of triangles, corners of shape (n, 3, 2)."""
    sides = np.roll(corners, -1, axis=1) - corners
    lengths = np.hypot(sides[..., 0], sides[..., 1])
    area = 0.5 * np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0])
    radius = np.full(len(area), np.inf)
    np.divide(lengths.prod(axis=1), 4 * area, out=radius, where=area > 0)
    return area, radius


def _hull_area(x: FloatArray, y: FloatArray) -> FloatArray:
    """Hull areas of m scenes of n points, coordinates of shape (m, n)."""
    order = np.lexsort((y, x), axis=1)
    x, y = np.take_along_axis(x, order, axis=1), np.take_along_axis(y, order, axis=1)
    magnitude = np.abs(x).max(axis=1) + np.abs(y).max(axis=1)
    x, y = x - x[:, :1], y - y[:, :1]
    extent = np.abs(x).max(axis=1) + np.abs(y).max(axis=1)
    # Half a turn of the points makes their upper chain the lower one.
    doubled = _below_chain(x, y) + _below_chain(x[:, -1:] - x[:, ::-1], y[:, -1:] - y[:, ::-1])
    flat = doubled <= 16 * _EPS * (magnitude + extent) * extent
    return np.where(flat, np.nan, 0.5 * doubled)


def _below_chain(x: FloatArray, y: FloatArray) -> FloatArray:
    """Twice the area between the lower hull chain and the line from first to last point.

    Points are sorted by x, then y, and the first is the origin. Each scene keeps a stack of the
    points of its chain so far.
    """
    n_scenes, n_points = x.shape
    stack = np.zeros((n_scenes, n_points), dtype=np.int64)
    size = np.zeros(n_scenes, dtype=np.int64)
    for point in range(n_points):
        open_scenes = np.flatnonzero(size >= 2)
        while len(open_scenes):
            bends = _bends_right(x, y, stack, size, open_scenes, point)
            open_scenes = open_scenes[bends]
            size[open_scenes] -= 1
            open_scenes = open_scenes[size[open_scenes] >= 2]
        stack[np.arange(n_scenes), size] = point
        size += 1
    # Beyond the stack's top its last point is repeated, which adds nothing.
    place = np.minimum(np.arange(n_points), size[:, None] - 1)
    chain = np.take_along_axis(stack, place, axis=1)
    cx, cy = np.take_along_axis(x, chain, axis=1), np.take_along_axis(y, chain, axis=1)
    cross = cx[:, :-1] * cy[:, 1:] - cx[:, 1:] * cy[:, :-1]
    return np.asarray(cross.sum(axis=1), dtype=np.float64)


def _bends_right(
    x: FloatArray, y: FloatArray, stack: IntArray, size: IntArray, scenes: IntArray, point: int
) -> BoolArray:
    """Whether the chain would not turn left at its last point if it went on to ``point``."""
    before, last = stack[scenes, size[scenes] - 2], stack[scenes, size[scenes] - 1]
    bx, by = x[scenes, before], y[scenes, before]
    ax, ay = x[scenes, last] - bx, y[scenes, last] - by
    cx, cy = x[scenes, point] - bx, y[scenes, point] - by
    return np.asarray(ax * cy - ay * cx <= 0)
