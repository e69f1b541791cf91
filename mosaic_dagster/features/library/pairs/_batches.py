"""Rows from many tables in batches of one size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray


class RowBatches:
    """Batches of exactly ``size`` rows, the last of which takes up what is left over.

    At most two batches and one addition are held. Where the rows come in pieces, the pieces do
    not show in the batches.

    Parameters
    ----------
    size
        Rows of a batch.

    Attributes
    ----------
    n_rows, n_held
        Rows added so far, and those of them that are in no batch yet.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.n_rows = 0
        self._pieces: list[FloatArray] = []
        self.n_held = 0

    def add(self, rows: FloatArray) -> Iterator[FloatArray]:
        """Take rows of shape (n_rows, n_columns), and give the batches that are certain."""
        self._pieces.append(rows)
        self.n_held += len(rows)
        self.n_rows += len(rows)
        # A batch that is followed by less than another one is the last and waits for the rest.
        while self.n_held >= 2 * self.size:
            held = np.concatenate(self._pieces)
            yield held[: self.size]
            self._pieces = [held[self.size :].copy()]
            self.n_held -= self.size

    def last(self) -> FloatArray | None:
        """The last batch; None where no row was added."""
        return np.concatenate(self._pieces) if self.n_held else None
