"""A bounded sample: rare classes are kept, and no recording is forgotten."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.models.row_sample import RowSample, cell_quotas, even_quotas

tables = st.lists(st.lists(st.sampled_from([None, 0, 1, 2]), max_size=30), min_size=1, max_size=6)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(0, 200))
def test_quotas_use_up_the_total_and_cut_the_largest_first(counts: list[int], total: int) -> None:
    """No class that was cut has fewer than one that was not, but for one row."""
    quotas = even_quotas(np.array(counts), total)
    assert quotas.sum() == min(total, sum(counts))
    assert (quotas <= counts).all()
    cut = quotas[quotas < counts]
    if len(cut):
        assert cut.max() - cut.min() <= 1
        assert quotas.max() <= cut.min() + 1


def test_quotas_by_hand() -> None:
    """12 of 100, 3 and 10 rows: 3 whole, the other two share 9, the smaller one takes 5.

    Of 2 rows for 5, 100 and 1000 the rare class takes the first: it would be lost else.
    """
    assert even_quotas(np.array([100, 3, 10]), 12).tolist() == [4, 3, 5]
    assert even_quotas(np.array([5, 100, 1000]), 2).tolist() == [1, 1, 0]


def test_quotas_of_cells_by_hand() -> None:
    """Class 7 has 2 rows, class 4 has 50 and 3 in two recordings; 10 rows: 2 whole, 8 = 5 + 3."""
    counts = {(7, 1): 2, (4, 0): 50, (4, 1): 3}
    assert cell_quotas(counts, 10) == {(7, 1): 2, (4, 0): 5, (4, 1): 3}


@given(tables, st.integers(1, 40))
def test_rows_that_come_in_turn_are_those_of_all_at_once(
    recordings: list[list[int | None]], size: int
) -> None:
    """A sample cut on the way must not lack rows that the last recording leaves room for."""
    sample, wanted, counts, orders = RowSample(size), [], {}, {}
    for entry, classes in enumerate([*recordings, [0]]):
        label = pl.Series("label", classes, dtype=pl.Int64)
        sample.add(entry, label, lambda rows: rows[:, None] * 1.0, np.random.default_rng(entry))
        rng = np.random.default_rng(entry)
        for name in sorted({c for c in classes if c is not None}):
            rows = np.flatnonzero([c == name for c in classes])
            counts[name, entry], orders[name, entry] = len(rows), rng.permutation(rows)
    for (name, entry), quota in cell_quotas(counts, size).items():
        wanted += [(entry, row, name) for row in orders[name, entry][:quota].tolist()]
    values, labels, entries = sample.drawn()
    found = zip(entries.tolist(), values[:, 0].astype(int).tolist(), labels.tolist(), strict=True)
    assert list(found) == sorted(wanted)
    assert len(labels) == min(size, sum(counts.values()))
