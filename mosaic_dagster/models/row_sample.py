"""A bounded sample of labelled rows: even over the classes, then over the recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

Cell = tuple[int, int]
"""A class, and the place of a recording."""

_SLACK = 1.25
"""How far beyond its size the sample may grow before it is cut."""


class RowSample:
    """A sample that takes one recording after the other and never holds much more than its size.

    More recordings only ever lower what a class may take of a recording, so what was cut once is
    never missed; the sample is the one that would be drawn with all rows at hand.

    Parameters
    ----------
    size
        Most rows of the finished sample.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._counts: dict[Cell, int] = {}
        self._kept: dict[Cell, tuple[IntArray, FloatArray]] = {}

    def add(
        self,
        entry: int,
        label: pl.Series,
        read: Callable[[IntArray], FloatArray],
        rng: np.random.Generator,
    ) -> None:
        """Draw from the rows of a recording.

        Parameters
        ----------
        entry
            Place of the recording.
        label
            Class of each of its rows, null where unlabelled.
        read
            Positions of rows -> their values, shape (n_rows, n_columns).
        rng
            Decides which rows come first; of its own for each recording.
        """
        positions = label.is_not_null().arg_true().to_numpy().astype(np.int64)
        names = label.drop_nulls().to_numpy()
        classes, counts = np.unique(names, return_counts=True)
        # One more than alone, since rounding may give it to another recording first.
        most = even_quotas(counts, self._size) + 1
        for name, count, limit in zip(classes.tolist(), counts.tolist(), most, strict=True):
            rows = rng.permutation(positions[names == name])[:limit]
            self._counts[name, entry] = count
            self._kept[name, entry] = rows, read(rows)
        if sum(len(rows) for rows, _ in self._kept.values()) > _SLACK * self._size:
            self._cut(slack=1)

    def drawn(self) -> tuple[FloatArray, IntArray, IntArray]:
        """Values, class and place of the recording of each row, recordings and rows in order."""
        self._cut(slack=0)
        cells = sorted(self._kept)
        rows = np.concatenate([self._kept[cell][0] for cell in cells])
        values = np.concatenate([self._kept[cell][1] for cell in cells])
        sizes = [len(self._kept[cell][0]) for cell in cells]
        label = np.repeat(np.array([name for name, _ in cells], dtype=np.int64), sizes)
        entry = np.repeat(np.array([place for _, place in cells], dtype=np.int64), sizes)
        order = np.lexsort((rows, entry))
        return values[order], label[order], entry[order]

    def _cut(self, slack: int) -> None:
        for cell, quota in cell_quotas(self._counts, self._size).items():
            rows, values = self._kept[cell]
            if len(rows) > quota + slack:
                # Copies, so that the rest is let go of.
                self._kept[cell] = rows[: quota + slack].copy(), values[: quota + slack].copy()


def cell_quotas(counts: Mapping[Cell, int], total: int) -> dict[Cell, int]:
    """How many rows of each class each recording gives.

    Classes share ``total`` evenly, see :func:`even_quotas`, and what a class may take is shared
    evenly by the recordings that have it.

    Parameters
    ----------
    counts
        Rows of each class in each recording.
    total
        Rows wanted.
    """
    cells: dict[int, list[Cell]] = {}
    for cell in sorted(counts):
        cells.setdefault(cell[0], []).append(cell)
    own = {name: np.array([counts[cell] for cell in of]) for name, of in cells.items()}
    shares = even_quotas(np.array([n.sum() for n in own.values()], dtype=np.int64), total)
    quotas: dict[Cell, int] = {}
    for name, share in zip(cells, shares.tolist(), strict=True):
        # Each class begins where the last one stopped, or one recording would get all odd rows.
        shift = sum(quotas.values()) % len(cells[name])
        turned = even_quotas(np.roll(own[name], -shift), share)
        quotas |= zip(cells[name], np.roll(turned, shift).tolist(), strict=True)
    return quotas


def even_quotas(counts: IntArray, total: int) -> IntArray:
    """How many rows each class gives: small classes all they have, large ones equally many.

    What cannot be divided goes to the smaller ones.

    Parameters
    ----------
    counts
        Rows of each class, shape (n_classes,).
    total
        Rows wanted.

    Returns
    -------
    ndarray
        Shape (n_classes,), sums to ``min(total, sum(counts))``.
    """
    quotas = np.zeros(len(counts), dtype=np.int64)
    left = total
    for place, number in enumerate(np.argsort(counts, kind="stable")):
        quotas[number] = min(int(counts[number]), -(-left // (len(counts) - place)))
        left -= int(quotas[number])
    return quotas
