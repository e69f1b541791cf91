"""The pool: it must hold little and still be the sample of everything."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.library.row_pool import RowPool


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 9))
def test_the_pool_is_what_one_sort_of_everything_would_give(sizes, size):
    rng = np.random.default_rng(len(sizes))
    pool = RowPool(size)
    everything = []
    for source, n in enumerate(sizes):
        priorities = rng.random(n)
        table = pl.DataFrame(
            {"source": [source] * n, "row": range(n)},
            schema_overrides={"row": pl.Int64, "source": pl.Int64},
        )
        pool.add(source, np.arange(n), priorities, table)
        everything += [(p, source, row) for row, p in enumerate(priorities)]
        assert sum(part.height for part in pool._tables) <= 2 * size
    expected = sorted((source, row, p) for p, source, row in sorted(everything)[:size])
    collected = pool.collect()
    assert collected.rows() == [(source, row) for source, row, _ in expected]
    assert pool.priorities.tolist() == [p for _, _, p in expected]
