"""A bounded pool of rows drawn from many tables."""

from __future__ import annotations

import numpy as np
import polars as pl

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.sampling import smallest


class RowPool:
    """The rows with the smallest priorities among all that were added.

    Memory holds at most two pools of rows and one addition.

    Parameters
    ----------
    size
        Number of rows to keep.

    Attributes
    ----------
    priorities
        Priority of each row that :meth:`collect` gives, in its order.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.priorities: FloatArray = np.empty(0)
        self._tables: list[pl.DataFrame] = []
        self._places: list[IntArray] = []
        self._priorities: list[FloatArray] = []
        self._limit = np.inf

    def add(
        self, source: int, positions: IntArray, priorities: FloatArray, table: pl.DataFrame
    ) -> None:
        """Offer rows of one table.

        Parameters
        ----------
        source
            Number of the table; rows are collected in the order of these numbers.
        positions, priorities
            The rows offered and their priorities, shape (n_offered,).
        table
            The table.
        """
        promising = priorities < self._limit
        if not promising.any():
            return
        positions = positions[promising]
        self._tables.append(table[positions])
        self._places.append(np.stack([np.full(len(positions), source), positions], axis=1))
        self._priorities.append(priorities[promising])
        if sum(len(part) for part in self._priorities) > 2 * self.size:
            self._shrink()

    def collect(self) -> pl.DataFrame:
        """The pool, sorted by table, then row."""
        if not self._tables:
            return pl.DataFrame()
        self._shrink()
        places = self._places[0]
        order = np.lexsort((places[:, 1], places[:, 0]))
        self.priorities = self._priorities[0][order]
        return self._tables[0][order]

    def _shrink(self) -> None:
        priorities = np.concatenate(self._priorities)
        kept = smallest(priorities, self.size)
        self._tables = [pl.concat(self._tables, how="vertical_relaxed")[kept]]
        self._places = [np.concatenate(self._places)[kept]]
        self._priorities = [priorities[kept]]
        if len(kept) == self.size:
            self._limit = float(priorities[kept].max())
