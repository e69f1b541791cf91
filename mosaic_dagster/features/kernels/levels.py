"""Values rounded to a limited number of levels."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray


def round_to_levels(values: FloatArray, most: int) -> FloatArray:
    """Each column with at most ``most`` different values, shape (n_rows, n_columns).

    Parameters
    ----------
    values
        Shape (n_rows, n_columns). NaN stays NaN and is no level.
    most
        Number of levels, at least 1.

    Notes
    -----
    A column with more different values is rounded to the values at the middles of ``most`` equal
    shares of its rows, each value to the nearest of them (to the lower of two), so levels lie
    densely where values do.
    """
    rounded = values.copy()
    for number in range(values.shape[1]):
        column = values[:, number]
        known = np.sort(column[~np.isnan(column)])
        if len(known) <= most or np.count_nonzero(np.diff(known)) < most:
            continue
        middles = (np.arange(most) + 0.5) / most * len(known)
        levels = np.unique(known[middles.astype(np.int64)])
        edges = (levels[1:] + levels[:-1]) / 2
        nearest = levels[np.searchsorted(edges, column, side="left").clip(max=len(levels) - 1)]
        rounded[:, number] = np.where(np.isnan(column), np.nan, nearest)
    return rounded
