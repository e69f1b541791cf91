"""Labelled rows counted by entry and class, and drawn into one pool for each split and class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mosaic_dagster.errors import FitError, ParamsError
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.sampling import share_quotas, smallest
from mosaic_dagster.features.library.row_pool import RowPool
from mosaic_dagster.features.library.supervised._entry_split import SPLITS, Split
from mosaic_dagster.features.params import PoolConfig
from mosaic_dagster.keys import EntryKey


@dataclass
class LabelCounts:
    """Usable labelled rows of each class, entry by entry.

    Attributes
    ----------
    keys
        Entries with at least one such row.
    by_entry
        Rows by class, of each of them.
    names
        Names that the entries give each class.
    conflicts
        Rows for which several classes were given.
    """

    keys: list[EntryKey] = field(default_factory=list)
    by_entry: list[Mapping[int, int]] = field(default_factory=list)
    names: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    conflicts: int = 0

    def add(self, key: EntryKey, labels: IntArray, names: Mapping[int, str]) -> None:
        """Take in the classes of an entry's usable labelled rows."""
        found, counts = np.unique(labels, return_counts=True)
        if not len(found):
            return
        self.keys.append(key)
        self.by_entry.append(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        for number in found.tolist():
            self.names[number].add(names[number])

    @property
    def classes(self) -> list[int]:
        """Classes that any row has, ascending."""
        return sorted(self.names)

    def matrix(self, classes: Sequence[int]) -> IntArray:
        """Rows of these classes, shape (n_entries, n_classes)."""
        rows = [[counts.get(c, 0) for c in classes] for counts in self.by_entry]
        return np.array(rows, dtype=np.int64).reshape(len(self.keys), len(classes))


def class_targets(
    classes: Sequence[int], n_per_class: int | Mapping[int, int] | None, n_total: int | None
) -> dict[int, int]:
    """Rows wanted of each class, in every split.

    Raises
    ------
    FitError
        No class is left.
    ParamsError
        ``n_total`` is less than one row for each class.
    """
    if isinstance(n_per_class, Mapping):
        targets = {c: n for c, n in sorted(n_per_class.items()) if c in classes}
    elif n_per_class is not None:
        targets = dict.fromkeys(classes, n_per_class)
    else:
        share = (n_total or 0) // max(1, len(classes))
        if classes and not share:
            msg = f"n_total {n_total} is less than one row for each of {len(classes)} classes."
            raise ParamsError(msg, "Raise n_total, or use n_per_class.")
        targets = dict.fromkeys(classes, share)
    if not targets:
        found = ", ".join(map(str, classes)) or "none"
        msg = f"No labelled row without a missing value is of a wanted class; found: {found}."
        raise FitError(msg, "Check that the labels are of these recordings and of these frames.")
    return targets


class ClassPools:
    """One pool of rows for each split and class.

    Parameters
    ----------
    counts
        What there is to draw from.
    splits
        Split of each of its entries.
    targets
        Rows wanted of each class.
    config
        Size of a pool (None: the rows wanted), and how entries share it.
    """

    def __init__(
        self,
        counts: LabelCounts,
        splits: Sequence[Split | None],
        targets: Mapping[int, int],
        config: PoolConfig,
    ) -> None:
        self.targets = targets
        self._splits = splits
        self._pools: dict[tuple[Split, int], RowPool] = {}
        self._quotas: dict[tuple[Split, int], IntArray] = {}
        table = counts.matrix(list(targets))
        for split in SPLITS:
            inside = np.array([s == split for s in splits], dtype=np.bool_)
            for column, (label, target) in enumerate(targets.items()):
                size = config.size or target
                _check_size(size, target)
                self._pools[split, label] = RowPool(size)
                available = np.where(inside, table[:, column], 0)
                self._quotas[split, label] = _quotas(available, size, config)

    def add(
        self,
        position: int,
        classes: IntArray,
        rows: IntArray,
        lots: FloatArray,
        table: pl.DataFrame,
    ) -> None:
        """Offer the usable labelled rows of an entry.

        Parameters
        ----------
        position
            Position of the entry among the counted ones.
        classes, rows, lots
            Class, position in the table and priority of each row, shape (n_rows,).
        table
            The table.
        """
        split = self._splits[position]
        if split is None:
            return
        for label in self.targets:
            members = np.flatnonzero(classes == label)
            drawn = members[smallest(lots[members], int(self._quotas[split, label][position]))]
            self._pools[split, label].add(position, rows[drawn], lots[drawn], table)

    def collect(self) -> Iterator[tuple[Split, int, pl.DataFrame, FloatArray]]:
        """Split, class, rows and their priorities; for training first, classes ascending."""
        for (split, label), pool in self._pools.items():
            rows = pool.collect()
            yield split, label, rows, pool.priorities


def _check_size(size: int, target: int) -> None:
    if size < target:
        msg = f"pool.size {size} is smaller than the {target} rows wanted of a class."
        raise ParamsError(msg, "Raise pool.size, or leave it out.")


def _quotas(available: IntArray, size: int, config: PoolConfig) -> IntArray:
    """Most rows that each entry may give, shape (n_entries,)."""
    share = config.max_entry_fraction
    n = max(1, int((available > 0).sum()))
    cap = None if share is None else max(1, int(max(share, 1 / n) * size))
    if config.allocation == "exact":
        return share_quotas(available, size, cap)
    return np.full(len(available), size if cap is None else cap, dtype=np.int64)
