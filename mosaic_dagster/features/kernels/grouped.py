"""One number for each group of rows."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

Aggregation = Literal["mean", "median", "min", "max", "std", "sum", "count"]
"""What to take of the finite values of a group."""


def aggregate(values: FloatArray, starts: IntArray, aggregation: Aggregation) -> FloatArray:
    """Aggregate the finite values of each group, shape (n_groups,).

    Parameters
    ----------
    values
        Sorted by group, shape (n_rows,); NaN is skipped.
    starts
        First row of each group, increasing from 0, shape (n_groups,).
    aggregation
        ``std`` has one degree of freedom less than values and needs two of them. A group without
        a finite value has sum and count 0, and NaN else.
    """
    if not len(starts):
        return np.empty(0)
    if aggregation in ("min", "max"):
        extreme = np.fmin if aggregation == "min" else np.fmax
        return np.asarray(extreme.reduceat(values, starts), dtype=np.float64)
    finite = np.isfinite(values)
    count = np.add.reduceat(finite.astype(np.int64), starts)
    if aggregation == "count":
        return count.astype(np.float64)
    if aggregation == "median":
        return _median(values[finite], count)
    total = np.add.reduceat(np.where(finite, values, 0.0), starts)
    if aggregation == "sum":
        return np.asarray(total, dtype=np.float64)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    if aggregation == "mean":
        return mean
    deviation = values - np.repeat(mean, np.diff(starts, append=len(values)))
    squares = np.add.reduceat(np.where(finite, deviation**2, 0.0), starts)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def _median(values: FloatArray, count: IntArray) -> FloatArray:
    median = np.full(len(count), np.nan)
    starts = np.cumsum(count) - count
    for size in np.unique(count[count > 0]).tolist():
        alike = count == size
        ordered = np.sort(values[starts[alike][:, None] + np.arange(size)], axis=1)
        median[alike] = (ordered[:, (size - 1) // 2] + ordered[:, size // 2]) / 2
    return median
