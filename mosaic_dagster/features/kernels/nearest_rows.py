"""Nearest neighbours that depend on a row alone, to the last bit, whatever stands beside it."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

_ENTRIES = 1 << 18
"""Most numbers in one temporary matrix, so that it stays in the cache."""


def nearest_rows(values: FloatArray, among: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k rows of ``among`` that are nearest (Euclidean) to each row of ``values``.

    Parameters
    ----------
    values
        Finite, shape (n_rows, n_columns).
    among
        Finite, shape (n_points, n_columns), with n_points >= k.
    k
        Number of neighbours, at least 1.

    Returns
    -------
    neighbors, distances
        Positions in ``among`` and distances, both of shape (n_rows, k), the nearest first, of
        equal distances the lower position first.

    Notes
    -----
    BLAS finds every point that may be among the nearest within its rounding error; the distances
    to these are summed again row by row.
    """
    neighbors = np.empty((len(values), k), dtype=np.int64)
    distances = np.empty((len(values), k))
    norms = np.einsum("ij,ij->i", among, among)
    # One product gives -2 x·p + |p|², which orders the points like their distances.
    directions = np.ascontiguousarray(np.column_stack([-2.0 * among, norms]).T)
    step = max(1, _ENTRIES // max(1, len(among)))
    for start in range(0, len(values), step):
        block = slice(start, start + step)
        padded = np.column_stack([values[block], np.ones(len(values[block]))])
        rough = padded @ directions
        neighbors[block], distances[block] = _nearest_in_block(
            values[block], among, rough, _margin(padded, norms), k
        )
    return neighbors, distances


def nearest_row(values: FloatArray, among: FloatArray) -> IntArray:
    """Position of the row of ``among`` that is nearest to each row, as in :func:`nearest_rows`.

    Parameters
    ----------
    values
        Finite, shape (n_rows, n_columns).
    among
        Finite, shape (n_points, n_columns), with 1 to 2**24 points.

    Returns
    -------
    ndarray
        Positions in ``among``, shape (n_rows,).
    """
    nearest = np.empty(len(values), dtype=np.int64)
    norms = np.einsum("ij,ij->i", among, among)
    directions = np.column_stack([-2.0 * among, norms])
    # Times a column of candidates: the sum of their positions, and their number.
    tally = np.stack([np.arange(len(among)), np.ones(len(among))]).astype(np.float32)
    step = max(64, (_ENTRIES >> 2) // max(1, len(among)))
    for start in range(0, len(values), step):
        block = values[start : start + step]
        padded = np.column_stack([block, np.ones(len(block))])
        rough = directions @ padded.T
        limit = rough.min(axis=0) + _margin(padded, norms)
        candidates = (rough <= limit).astype(np.float32)
        positions, counts = tally @ candidates
        for row in np.flatnonzero(counts > 1):
            several = np.flatnonzero(candidates[:, row])
            squared = ((among[several] - block[row]) ** 2).sum(axis=1)
            positions[row] = several[squared.argmin()]
        nearest[start : start + step] = positions
    return nearest


def nearest_others(points: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k other rows that are nearest to each row, as :func:`nearest_rows` gives them.

    Parameters
    ----------
    points
        Finite, shape (n_points, n_columns), with n_points > k.
    k
        Number of neighbours.
    """
    neighbors, distances = nearest_rows(points, points, k + 1)
    itself = neighbors == np.arange(len(points))[:, None]
    # Among many equal points a row may not be in its own list; then the last one goes.
    itself[~itself.any(axis=1), -1] = True
    shape = (len(points), k)
    return neighbors[~itself].reshape(shape), distances[~itself].reshape(shape)


def _margin(padded: FloatArray, norms: FloatArray) -> FloatArray:
    """More than twice the rounding error of the product, per row."""
    error = 16.0 * (padded.shape[1] + 3) * np.finfo(np.float64).eps
    margin: FloatArray = error * (np.einsum("ij,ij->i", padded, padded) + norms.max())
    return margin


def _nearest_in_block(
    values: FloatArray, among: FloatArray, rough: FloatArray, margin: FloatArray, k: int
) -> tuple[IntArray, FloatArray]:
    found = _smallest(rough, k)
    limit = np.take_along_axis(rough, found, axis=1).max(axis=1) + margin
    counts = np.count_nonzero(rough <= limit[:, None], axis=1)
    neighbors, distances = _sort(values, among, found, k)
    unsure = np.flatnonzero(counts > k)
    for width in np.unique(counts[unsure]):
        rows = unsure[counts[unsure] == width]
        candidates = _smallest(rough[rows], int(width))
        neighbors[rows], distances[rows] = _sort(values[rows], among, candidates, k)
    return neighbors, distances


def _smallest(rough: FloatArray, k: int) -> IntArray:
    if k >= rough.shape[1]:
        return np.tile(np.arange(rough.shape[1]), (len(rough), 1))
    return np.argpartition(rough, k - 1, axis=1)[:, :k]


def _sort(
    values: FloatArray, among: FloatArray, candidates: IntArray, k: int
) -> tuple[IntArray, FloatArray]:
    """The first k candidates by exact distance, then position."""
    neighbors = np.empty((len(values), k), dtype=np.int64)
    distances = np.empty((len(values), k))
    step = max(1, _ENTRIES // max(1, candidates.shape[1] * values.shape[1]))
    for start in range(0, len(values), step):
        block = slice(start, start + step)
        ascending = np.sort(candidates[block], axis=1)
        squared = ((among[ascending] - values[block, None, :]) ** 2).sum(axis=2)
        order = np.argsort(squared, axis=1, kind="stable")[:, :k]
        neighbors[block] = np.take_along_axis(ascending, order, axis=1)
        distances[block] = np.sqrt(np.take_along_axis(squared, order, axis=1))
    return neighbors, distances
