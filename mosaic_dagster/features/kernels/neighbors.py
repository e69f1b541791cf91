"""Who is nearest to whom, and rows of other animals in the same frame."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray

_BLOCK = 1 << 15
"""Distances that are held at once: few enough for the processor's cache."""


def nearest_in_frame(frames: IntArray, x: FloatArray, y: FloatArray) -> IntArray:
    """Position of the nearest other row of the same frame (Euclidean), shape (n_rows,).

    Parameters
    ----------
    frames
        Frame of each row, sorted, shape (n_rows,).
    x, y
        Positions, any length unit, shape (n_rows,).

    Returns
    -------
    ndarray
        -1 where a row's own position is not finite, or no other of its frame is. Of rows at the
        same distance the first counts.

    Notes
    -----
    Frames with the same number of finite rows are computed together, in blocks.
    """
    nearest = np.full(len(frames), -1, dtype=np.int64)
    finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(finite):
        return nearest
    starts = np.flatnonzero(np.diff(frames[finite], prepend=frames[finite[0]] - 1))
    sizes = np.diff(starts, append=len(finite))
    for size in np.unique(sizes[sizes > 1]).tolist():
        rows = finite[starts[sizes == size][:, None] + np.arange(size)]
        chosen = _nearest_in_row(x[rows], y[rows])
        nearest[rows] = np.take_along_axis(rows, chosen, axis=1)
    return nearest


def _nearest_in_row(x: FloatArray, y: FloatArray) -> IntArray:
    """Number of the nearest other column for each value, shape (n_frames, n_animals)."""
    n_frames, n = x.shape
    if n == 2:
        return np.tile(np.array([1, 0], dtype=np.int64), (n_frames, 1))
    chosen = np.empty((n_frames, n), dtype=np.int64)
    animals = max(1, min(n, _BLOCK // n))
    at_once = max(1, _BLOCK // (n * animals))
    for first in range(0, n_frames, at_once):
        block = slice(first, first + at_once)
        for start in range(0, n, animals):
            focal = slice(start, min(start + animals, n))
            chosen[block, focal] = _nearest_of(x[block], y[block], focal)
    return chosen


def _nearest_of(x: FloatArray, y: FloatArray, focal: slice) -> IntArray:
    squared = x[:, focal, None] - x[:, None, :]
    squared *= squared
    dy = y[:, focal, None] - y[:, None, :]
    dy *= dy
    squared += dy
    own = np.arange(focal.start, focal.stop)
    squared[:, own - focal.start, own] = np.inf
    nearest: IntArray = squared.argmin(axis=2)
    return nearest


def find_rows(
    frames: IntArray, ids: IntArray, wanted_frames: IntArray, wanted_ids: IntArray
) -> IntArray:
    """Position of the row of a frame and an animal, shape (n_wanted,); -1 where there is none.

    Parameters
    ----------
    frames, ids
        Frame and animal of each row, each pair once, shape (n_rows,).
    wanted_frames, wanted_ids
        What is looked for, shape (n_wanted,).
    """
    found = np.full(len(wanted_frames), -1, dtype=np.int64)
    if not len(frames) or not len(found):
        return found
    known_frames, frame_codes = np.unique(frames, return_inverse=True)
    known_ids, id_codes = np.unique(ids, return_inverse=True)
    keys = frame_codes * len(known_ids) + id_codes
    order = np.argsort(keys)
    frame_at, has_frame = _position_in(known_frames, wanted_frames)
    id_at, has_id = _position_in(known_ids, wanted_ids)
    position, has_key = _position_in(keys[order], frame_at * len(known_ids) + id_at)
    known = has_frame & has_id & has_key
    found[known] = order[position[known]]
    return found


def _position_in(known: IntArray, wanted: IntArray) -> tuple[IntArray, BoolArray]:
    """Position of each value in a sorted array, and whether it is there."""
    position = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return position, known[position] == wanted
