"""Which rows of a recording lie in the same frame.

All functions expect rows sorted by frame. Results are in the order of (frame, first, second), so
rows that are sorted by frame, then identity give pairs sorted by frame, then both identities.
"""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, IntArray
from mosaic_dagster.features.kernels.runs import find_constant

Pairs = tuple[IntArray, IntArray]
"""Positions of the first and of the second row of each pair, each of shape (n_pairs,)."""


def ordered_pairs(frames: IntArray) -> Pairs:
    """All pairs of different rows of one frame, both orders: n (n - 1) for n rows of a frame.

    Parameters
    ----------
    frames
        Frame of each row, shape (n_rows,), not decreasing.
    """
    start, rank, size = _places(frames)
    first, nth = _repeat(size - 1)
    return first, start[first] + nth + (nth >= rank[first])


def unordered_pairs(frames: IntArray) -> Pairs:
    """All pairs of different rows of one frame, the earlier row first.

    Parameters
    ----------
    frames
        Frame of each row, shape (n_rows,), not decreasing.
    """
    _, rank, size = _places(frames)
    first, nth = _repeat(size - 1 - rank)
    return first, first + 1 + nth


def pair_numbers(individual: IntArray, pairs: Pairs) -> IntArray:
    """A number for each two individuals, ascending with the first, then the second, (n_pairs,).

    Parameters
    ----------
    individual
        Number of the individual of each row, from 0, shape (n_rows,).
    pairs
        Rows of the first and of the second individual.
    """
    n = int(individual.max(initial=0)) + 1
    return individual[pairs[0]] * n + individual[pairs[1]]


def blocks(n_rows: int, size: int) -> list[slice]:
    """Slices of ``size`` rows, the last one shorter."""
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def split_frames(frames: IntArray, n_pairs: int) -> list[slice]:
    """Cut rows between frames into blocks of about ``n_pairs`` ordered pairs.

    Parameters
    ----------
    frames
        Frame of each row, shape (n_rows,), not decreasing.
    n_pairs
        Limit per block; a block exceeds it by less than the pairs of one frame.
    """
    _, _, size = _places(frames)
    return _split(frames, size - 1, n_pairs)


def split_labels(labels: IntArray, n_rows: int) -> list[slice]:
    """Cut rows between equal labels into blocks of about ``n_rows`` rows.

    Parameters
    ----------
    labels
        Shape (n_rows,), equal ones side by side.
    n_rows
        Limit per block; a block exceeds it by less than the rows of one label.
    """
    return _split(labels, np.ones(len(labels), dtype=np.int64), n_rows)


def window_counts(wanted: BoolArray, keys: IntArray, length: int) -> IntArray:
    """How many rows are wanted among those whose key lies in (key - length, key], shape (n_rows,).

    Parameters
    ----------
    wanted
        Shape (n_rows,).
    keys
        Increasing numbers, shape (n_rows,); series that must not mix lie ``length`` apart.
    length
        Length of the window that ends at each row.
    """
    total = np.concatenate(([0], np.cumsum(wanted, dtype=np.int64)))
    oldest = np.searchsorted(keys, keys - length, side="right")
    return np.asarray(total[1:] - total[oldest], dtype=np.int64)


def _places(frames: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """First row of each row's frame, place within the frame, and rows of the frame."""
    cuts = np.flatnonzero(np.diff(frames)) + 1
    starts = np.concatenate(([0], cuts)) if len(frames) else cuts
    sizes = np.diff(np.append(starts, len(frames)))
    start = np.repeat(starts, sizes)
    return start, np.arange(len(frames)) - start, np.repeat(sizes, sizes)


def _repeat(times: IntArray) -> Pairs:
    """Each position as often as ``times`` says, and which repetition it is."""
    first = np.repeat(np.arange(len(times)), times)
    begin = np.cumsum(times) - times
    return first, np.arange(len(first)) - begin[first]


def _split(labels: IntArray, cost: IntArray, limit: int) -> list[slice]:
    if not len(labels):
        return []
    before = np.cumsum(cost) - cost
    first_of_label = np.concatenate(([True], np.diff(labels) != 0))
    # All rows of a label belong to the block in which its first one lies.
    block = np.maximum.accumulate(np.where(first_of_label, before // limit, 0))
    return find_constant(block)
