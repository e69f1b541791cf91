"""Sums of values over bins of the neighbour's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

Metric = Literal["turn", "speed"]


@dataclass(frozen=True)
class Histogram:
    """Sum and count of the values in each bin.

    Attributes
    ----------
    metric
        What was binned.
    edges
        Edges of the bins along each dimension, ascending.
    sums, counts
        Shape (n_bins,), in two dimensions with the second one running fastest.
    """

    metric: Metric
    edges: tuple[FloatArray, ...]
    sums: FloatArray
    counts: IntArray

    @property
    def means(self) -> FloatArray:
        """Mean of each bin, NaN where it is empty."""
        return np.where(self.counts > 0, self.sums / np.maximum(self.counts, 1), np.nan)

    @property
    def centers(self) -> tuple[FloatArray, ...]:
        """Middle of each bin along each dimension."""
        return tuple((edges[:-1] + edges[1:]) / 2 for edges in self.edges)


class BinnedResponses:
    """Responses with the bins they lie in.

    Parameters
    ----------
    responses
        neighbor_x, neighbor_y, dangle and dspeed, finite, shape (n_rows, 4).
    nbins, binmax, max_for_avg, antisymm
        Parameters of nn-delta-bins.
    """

    def __init__(
        self, responses: FloatArray, nbins: int, binmax: float, max_for_avg: float, antisymm: bool
    ) -> None:
        x, y, self._turn, self._speed = np.ascontiguousarray(responses.T)
        self._antisymm = antisymm
        self._edges = np.linspace(-binmax, binmax, nbins)
        self._aside = np.linspace(-binmax, binmax, nbins + 1)
        along_x = find_bins(x, self._edges)
        ahead = (x >= 0) & (x <= max_for_avg)
        self._beside = np.where(np.abs(y) <= max_for_avg / 2, along_x, -1)
        self._ahead = np.where(ahead, find_bins(y, self._edges), -1)
        self._ahead_mirrored = np.where(ahead, find_bins(-y, self._edges), -1)
        self._cell = _join_bins(along_x, find_bins(y, self._aside), nbins)
        self._cell_mirrored = _join_bins(along_x, find_bins(-y, self._aside), nbins)

    def fill(self, rows: IntArray) -> list[Histogram]:
        """Speed and turn of some rows, in one dimension and in two."""
        turn, speed, edges, both = self._turn, self._speed, (self._edges,), self._both
        mirrored = (
            [(self._ahead_mirrored, -turn)] if self._antisymm else [],
            [(self._cell_mirrored, -turn)] if self._antisymm else [],
        )
        return [
            _sum_up("speed", edges, [(self._beside, speed)], rows),
            _sum_up("turn", edges, [(self._ahead, turn), *mirrored[0]], rows),
            _sum_up("speed", both, [(self._cell, speed), (self._cell_mirrored, speed)], rows),
            _sum_up("turn", both, [(self._cell, turn), *mirrored[1]], rows),
        ]

    @property
    def _both(self) -> tuple[FloatArray, FloatArray]:
        return self._edges, self._aside


def find_bins(places: FloatArray, edges: FloatArray) -> IntArray:
    """Bin ``[edge, next edge)`` of each place, -1 outside; the last bin holds its upper edge."""
    bins = np.full(len(places), -1, dtype=np.int64)
    inside = np.flatnonzero((places >= edges[0]) & (places <= edges[-1]))
    found = np.searchsorted(edges, places[inside], side="right") - 1
    bins[inside] = np.minimum(found, len(edges) - 2)
    return bins


def _join_bins(first: IntArray, second: IntArray, n_second: int) -> IntArray:
    return np.where((first >= 0) & (second >= 0), first * n_second + second, -1)


def _sum_up(
    metric: Metric,
    edges: tuple[FloatArray, ...],
    parts: list[tuple[IntArray, FloatArray]],
    rows: IntArray,
) -> Histogram:
    """Sums over some rows of several (bin, value) columns."""
    n_bins = int(np.prod([len(axis) - 1 for axis in edges]))
    sums, counts = np.zeros(n_bins), np.zeros(n_bins, dtype=np.int64)
    for bins, values in parts:
        # One bin more takes what lies outside.
        chosen = bins[rows] + 1
        sums += np.bincount(chosen, weights=values[rows], minlength=n_bins + 1)[1:]
        counts += np.bincount(chosen, minlength=n_bins + 1)[1:]
    return Histogram(metric, edges, sums, counts)
