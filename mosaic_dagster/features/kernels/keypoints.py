"""Keypoints of a body: their columns, their arrays, and distances between them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray

_BLOCK = 1000
"""Rows at once, so that their distances stay in the processor's cache."""

_POSE = re.compile(r"pose([XY])(\d+)")


def keypoint_indices(columns: Iterable[str]) -> tuple[int, ...]:
    """Numbers k of the columns ``poseX{k}`` and ``poseY{k}``, sorted as numbers.

    Raises
    ------
    MissingColumnError
        A keypoint has one coordinate only.
    """
    found: dict[str, set[int]] = {"X": set(), "Y": set()}
    for column in columns:
        if match := _POSE.fullmatch(column):
            found[match[1]].add(int(match[2]))
    if lonely := found["X"] ^ found["Y"]:
        k = min(lonely)
        have, lack = ("X", "Y") if k in found["X"] else ("Y", "X")
        msg = f"The table has the column pose{have}{k} but no pose{lack}{k}."
        raise MissingColumnError(msg, "Give both coordinates of every keypoint, or neither.")
    return tuple(sorted(found["X"]))


def keypoint_columns(indices: Iterable[int]) -> list[str]:
    """Names of the coordinate columns, x and y of one keypoint after the other."""
    return [f"pose{axis}{k}" for k in indices for axis in "XY"]


def pairwise_distances(points: FloatArray) -> FloatArray:
    """Distances between all pairs of keypoints, shape (n_rows, n_keypoints (n_keypoints - 1) / 2).

    Parameters
    ----------
    points
        Shape (n_rows, n_keypoints, 2). A pair with a missing keypoint is NaN.
    """
    n_rows, n_points, _ = points.shape
    later, earlier = np.tril_indices(n_points, k=-1)
    distances = np.empty((n_rows, len(later)))
    for start in range(0, n_rows, _BLOCK):
        x, y = np.ascontiguousarray(
            np.moveaxis(points[start : start + _BLOCK], 0, 2).swapaxes(0, 1)
        )
        found = np.hypot(x[later] - x[earlier], y[later] - y[earlier])
        distances[start : start + _BLOCK] = found.T
    return distances


def principal_axis(points: FloatArray) -> FloatArray:
    """Direction of the longest axis through the finite keypoints, radians, shape (n_rows,).

    Parameters
    ----------
    points
        Shape (n_rows, n_keypoints, 2).

    Notes
    -----
    With centred coordinates a = sum dx^2, b = sum dx dy, d = sum dy^2 the larger eigenvalue of
    [[a, b], [b, d]] is (a + d + sqrt((a - d)^2 + 4 b^2)) / 2 and its vector (b, eigenvalue - a).
    An axis has no front: the angle may be off by pi. NaN where fewer than two keypoints are
    finite or all of them coincide.
    """
    finite: BoolArray = np.asarray(np.isfinite(points).all(axis=2))
    count = finite.sum(axis=1)
    known = np.where(finite[..., None], points, 0.0)
    mean = known.sum(axis=1) / np.maximum(count, 1)[:, None]
    centred = np.where(finite[..., None], known - mean[:, None], 0.0)
    dx, dy = centred[..., 0], centred[..., 1]
    a, b, d = (dx * dx).sum(axis=1), (dx * dy).sum(axis=1), (dy * dy).sum(axis=1)
    larger = 0.5 * (a + d + np.sqrt((a - d) ** 2 + 4 * b**2))
    aligned = np.where(a >= d, 0.0, np.pi / 2)
    angle = np.where(np.abs(b) < 1e-12, aligned, np.arctan2(larger - a, b))
    return np.where((count < 2) | (a + d == 0), np.nan, angle)
