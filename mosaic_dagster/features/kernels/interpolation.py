"""Filling holes in one track."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray


def fill_holes(
    values: FloatArray,
    frames: IntArray,
    *,
    hole_limit: int | None = None,
    edge_limit: int | None = None,
) -> FloatArray:
    """Fill missing values by lines between their finite neighbours, shape (n_rows,).

    Parameters
    ----------
    values
        One track, shape (n_rows,).
    frames
        Frame of each row, increasing, shape (n_rows,).
    hole_limit
        Longest hole that is filled, in frames without a value; frames without a row count too.
        None fills every hole.
    edge_limit
        How many frames before the first and after the last finite value take that value.
        None fills to the end.

    Notes
    -----
    The line runs over frames, not rows. Longer holes stay NaN whole; a track without a finite
    value stays NaN.
    """
    finite = np.isfinite(values)
    if finite.all() or not finite.any():
        return values.copy()
    known = frames[finite]
    filled = np.interp(frames, known, values[finite])
    after = np.searchsorted(known, frames)
    inside = (after > 0) & (after < len(known))
    left = known[np.clip(after - 1, 0, None)]
    right = known[np.clip(after, None, len(known) - 1)]
    hole = right - left - 1
    beyond = np.maximum(known[0] - frames, frames - known[-1])
    fits = np.where(
        inside,
        hole_limit is None or hole <= hole_limit,
        edge_limit is None or beyond <= edge_limit,
    )
    return np.where(finite, values, np.where(fits, filled, np.nan))
