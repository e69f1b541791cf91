"""Gaussian means that are exact to float32, several times faster than exact to float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.smoothing import gaussian_finite, gaussian_kernel

_ENTRIES = 1 << 18
"""About the most numbers in a temporary matrix."""

_POINTS = 1 << 12
"""Most rows that are summed one by one at once."""

Part = tuple[slice, slice]
"""Columns, and the rows of one run."""


@dataclass(frozen=True)
class _Window:
    """A Gaussian window, and how many rows are worked on as one stretch.

    Attributes
    ----------
    kernel
        Weights, shape (2 reach + 1,).
    size
        Rows of a stretch, whose means are one row of a matrix product.
    """

    kernel: FloatArray
    size: int

    @property
    def reach(self) -> int:
        return len(self.kernel) // 2

    @property
    def width(self) -> int:
        """Rows that the windows of a stretch reach."""
        return self.size + 2 * self.reach

    @cached_property
    def band(self) -> FloatArray:
        """What a stretch is multiplied by to give its means, shape (width, size)."""
        apart = np.pad(self.kernel, self.size - 1)
        bands = np.lib.stride_tricks.sliding_window_view(apart, self.size)
        return np.ascontiguousarray(bands[:, ::-1])

    def n_stretches(self, n_rows: int) -> int:
        return -(-n_rows // self.size)

    def stretches(self, values: FloatArray, finite: BoolArray, out: FloatArray) -> FloatArray:
        """Values that stretches reach, 0 where missing; out: (n_columns * n_stretches, width)."""
        n_columns, n_rows = values.shape
        padded = np.empty((n_columns, self.n_stretches(n_rows) * self.size + 2 * self.reach))
        inside = padded[:, self.reach : self.reach + n_rows]
        inside[:] = values
        inside[~finite] = 0.0
        padded[:, : self.reach] = inside[:, :1]
        padded[:, self.reach + n_rows :] = inside[:, -1:]
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.width, axis=1)
        out.reshape(n_columns, -1, self.width)[:] = windows[:, :: self.size]
        return out


def gaussian_float32(
    values: FloatArray, runs: Sequence[slice], sigma: float, truncate: float = 4.0
) -> npt.NDArray[np.float32]:
    """What ``gaussian_finite`` of each run is as float32, shape of ``values``.

    Parameters
    ----------
    values
        Shape (n_columns, n_rows); NaN where missing.
    runs
        Rows of each run; together all rows.
    sigma, truncate
        As for :func:`~mosaic_dagster.features.kernels.smoothing.gaussian_finite`.

    Notes
    -----
    A matrix product gives the means of many rows at once. Where its rounding error, a share of the
    largest value near by, reaches the middle between two float32 numbers, the sums are made again
    one by one: the result depends neither on BLAS nor on what stands beside a column.
    """
    smoothed = np.empty(values.shape, dtype=np.float32)
    finite = np.isfinite(values)
    kernel = gaussian_kernel(sigma, truncate)
    window = _Window(kernel, 96 if len(kernel) > 128 else 48)
    for run in runs:
        if run.stop - run.start < window.size:
            smoothed[:, run] = gaussian_finite(values[:, run].T, sigma, truncate).T
    for group in _groups(len(values), runs, window):
        # Rows of a run are divided by their weights as soon as one value of it is missing.
        given = [(values[p], finite[p], not finite[:, p[1]].all()) for p in group]
        for part, means in zip(group, _means(given, window), strict=True):
            smoothed[part] = means
    smoothed[~finite] = np.nan
    return smoothed


def _groups(n_columns: int, runs: Sequence[slice], window: _Window) -> Iterator[list[Part]]:
    """Parts of long runs that are worked on together."""
    group: list[Part] = []
    n_entries = 0
    for run in runs:
        n_rows = run.stop - run.start
        if n_rows < window.size:
            continue
        of_column = window.n_stretches(n_rows) * window.width
        step = max(1, _ENTRIES // of_column)
        for start in range(0, n_columns, step):
            columns = slice(start, min(start + step, n_columns))
            group.append((columns, run))
            n_entries += (columns.stop - columns.start) * of_column
            if n_entries >= _ENTRIES:
                yield group
                group, n_entries = [], 0
    if group:
        yield group


def _means(
    given: list[tuple[FloatArray, BoolArray, bool]], window: _Window
) -> Iterator[npt.NDArray[np.float32]]:
    """Means of each part: its values, whether they are finite, and whether to divide."""
    sizes = [len(finite) * window.n_stretches(finite.shape[1]) for _, finite, _ in given]
    ends = np.cumsum(sizes).tolist()
    places = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    stretches = np.empty((ends[-1], window.width))
    for place, (values, finite, _) in zip(places, given, strict=True):
        window.stretches(values, finite, out=stretches[place])
    rough = stretches @ window.band
    largest = np.maximum(stretches.max(axis=1), -stretches.min(axis=1))
    for place, (_, finite, divided) in zip(places, given, strict=True):
        if divided:
            _divide(rough[place], largest[place], finite, window)
    margin = (4.0 * (window.width + 2) * np.finfo(np.float64).eps * largest)[:, None]
    means = (rough - margin).astype(np.float32)
    rough += margin
    unsure = means != rough.astype(np.float32)
    for place, (values, finite, divided) in zip(places, given, strict=True):
        n_columns, n_rows = values.shape
        found = means[place].reshape(n_columns, -1)[:, :n_rows]
        again = unsure[place].reshape(n_columns, -1)[:, :n_rows] & finite
        column, row = np.divmod(np.flatnonzero(again), n_rows)
        for start in range(0, len(row), _POINTS):
            some = column[start : start + _POINTS], row[start : start + _POINTS]
            found[some] = _one_by_one(values, finite, some, window.kernel, divided=divided)
        yield found


def _divide(means: FloatArray, largest: FloatArray, finite: BoolArray, window: _Window) -> None:
    """Divide sums, and the largest value of each stretch, by the weight of what is finite."""
    # Coordinates of one keypoint are missing together. Numbers compare faster than truth values.
    flags = finite.view(np.uint8)
    other = np.concatenate([[True], (flags[1:] != flags[:-1]).any(axis=1)])
    weights = _weights(finite[other], window)
    least = weights.min(axis=2)
    by_column = means.reshape(len(finite), -1, window.size)
    largest_by_column = largest.reshape(len(finite), -1)
    for column, number in enumerate((np.cumsum(other) - 1).tolist()):
        by_column[column] /= weights[number]
        largest_by_column[column] /= least[number]


def _weights(finite: BoolArray, window: _Window) -> FloatArray:
    """Weight of the finite values around each row, shape (n_columns, n_stretches, size)."""
    n_rows = window.n_stretches(finite.shape[1]) * window.size
    before = np.repeat(finite[:, :1], window.reach, axis=1)
    after = np.repeat(finite[:, -1:], window.reach, axis=1)
    missing = ~np.concatenate([before, finite, after], axis=1)
    column, place = np.divmod(np.flatnonzero(missing), missing.shape[1])
    if len(place) * len(window.kernel) > finite.size:
        stretches = np.empty((len(finite) * n_rows // window.size, window.width))
        weights = window.stretches(np.ones(finite.shape), finite, out=stretches) @ window.band
    else:
        # A missing value takes its weight from every row whose window reaches it.
        rows = place[:, None] + np.arange(-2 * window.reach, 1)
        inside = (rows >= 0) & (rows < n_rows)
        lost = np.broadcast_to(window.kernel, rows.shape)[inside]
        taken = np.bincount((rows + column[:, None] * n_rows)[inside], lost, len(finite) * n_rows)
        weights = np.subtract(1.0, taken, out=taken)
    # A row with a value of its own has at least the weight of that; others are not used.
    np.maximum(weights, 0.5 * window.kernel[window.reach], out=weights)
    return np.asarray(weights.reshape(len(finite), -1, window.size), dtype=np.float64)


def _one_by_one(
    values: FloatArray,
    finite: BoolArray,
    points: tuple[IntArray, IntArray],
    kernel: FloatArray,
    *,
    divided: bool,
) -> FloatArray:
    """Means at some columns and rows, summed in the order in which scipy sums them."""
    column, row = points
    reach = len(kernel) // 2
    places = np.clip(row[:, None] + np.arange(-reach, reach + 1), 0, values.shape[1] - 1)
    known = finite[column[:, None], places]
    sums = _sum(np.where(known, values[column[:, None], places], 0.0), kernel)
    return sums / _sum(known.astype(np.float64), kernel) if divided else sums


def _sum(windows: FloatArray, kernel: FloatArray) -> FloatArray:
    reach = len(kernel) // 2
    middle = windows[:, reach : reach + 1] * kernel[reach]
    pairs = (windows[:, :reach] + windows[:, :reach:-1]) * kernel[:reach]
    return np.asarray(np.add.accumulate(np.concatenate([middle, pairs], axis=1), axis=1)[:, -1])
