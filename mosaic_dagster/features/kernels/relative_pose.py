"""Keypoints of one body seen from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mosaic_dagster.features.kernels.angles import ego, wrap
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.frame_pairs import Pairs


@dataclass(frozen=True)
class Bodies:
    """Rows of individuals.

    Attributes
    ----------
    x, y
        Keypoints, shape (n_rows, n_keypoints); both NaN where either is missing.
    center_x, center_y
        Mean of the finite keypoints, NaN below two of them, shape (n_rows,).
    heading
        Radians, shape (n_rows,).
    scale
        Length by which all is divided, above 0 or NaN, shape (n_rows,).
    """

    x: FloatArray
    y: FloatArray
    center_x: FloatArray
    center_y: FloatArray
    heading: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, points: FloatArray, heading: FloatArray, scale: FloatArray | float) -> Self:
        """Bodies of keypoints with shape (n_rows, n_keypoints, 2)."""
        finite = np.isfinite(points).all(axis=2)
        count = finite.sum(axis=1)
        x, y = (np.where(finite, points[..., axis], np.nan) for axis in (0, 1))
        center_x, center_y = (
            np.where(
                count >= 2, np.where(finite, c, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan
            )
            for c in (x, y)
        )
        scales = np.broadcast_to(scale, len(points))
        return cls(x, y, center_x, center_y, heading, np.where(scales > 0, scales, np.nan))


def relative_pose(
    bodies: Bodies, pairs: Pairs, quantiles: Sequence[float], nearest_k: int, out: FloatArray
) -> None:
    """Describe the second body of each pair in the frame of the first.

    Parameters
    ----------
    bodies
        All individuals.
    pairs
        Rows of the first and of the second body.
    quantiles, nearest_k
        Which quantiles of the distances, and how many of the smallest distances are given.
    out
        Filled, shape (12 + n_quantiles + nearest_k, n_pairs): centroid x, y; heading difference;
        distance min, median, max, quantiles; x min, median, max; y min, median, max; smallest
        distances, ascending.
    """
    first, second = pairs
    away_x, away_y = bodies.center_x[first], bodies.center_y[first]
    heading, scale = bodies.heading[first], bodies.scale[first]
    dx, dy = bodies.center_x[second] - away_x, bodies.center_y[second] - away_y
    out[0], out[1] = (part / scale for part in ego(dx, dy, heading))
    out[2] = wrap(bodies.heading[second] - heading)
    # Without a centroid the other body is unknown, though it may have one keypoint.
    known = np.where(np.isfinite(dx), scale, np.nan)[:, None]
    x, y = ego(
        bodies.x[second] - away_x[:, None], bodies.y[second] - away_y[:, None], heading[:, None]
    )
    x, y = x / known, y / known
    distance = np.sort(np.hypot(x, y), axis=1)
    count = np.isfinite(distance).sum(axis=1)
    n = 6 + len(quantiles)
    _spread(distance, count, out[3:6])
    for row, q in zip(out[6:n], quantiles, strict=True):
        row[:] = sorted_quantile(distance, count, q)
    _spread(np.sort(x, axis=1), count, out[n : n + 3])
    _spread(np.sort(y, axis=1), count, out[n + 3 : n + 6])
    near = out[n + 6 :]
    near[:] = np.nan
    near[: distance.shape[1]] = distance[:, :nearest_k].T


def _spread(values: FloatArray, count: IntArray, out: FloatArray) -> None:
    out[0] = values[:, 0]
    out[1] = sorted_quantile(values, count, 0.5)
    out[2] = sorted_quantile(values, count, 1.0)


def sorted_quantile(values: FloatArray, count: IntArray, q: float) -> FloatArray:
    """Quantile of the finite values of each row, linear between neighbours, shape (n_rows,).

    Parameters
    ----------
    values
        Sorted along rows, NaN last, shape (n_rows, n_columns).
    count
        Finite values of each row, shape (n_rows,); 0 gives NaN.
    q
        0 (smallest) to 1 (largest).
    """
    place = q * np.maximum(count - 1, 0)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    rows = np.arange(len(values))
    below = values[rows, low]
    return np.asarray(below + (values[rows, high] - below) * (place - low), dtype=np.float64)
