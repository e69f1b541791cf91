"""RowBatches: batches that depend on how entries are cut would make components depend on it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.library.pairs._batches import RowBatches


def cut(sizes: list[int], size: int) -> list[list[float]]:
    rows = np.arange(float(sum(sizes)))[:, None]
    batches, made = RowBatches(size), []
    for piece in np.split(rows, np.cumsum(sizes)[:-1]):
        made += [batch[:, 0].tolist() for batch in batches.add(piece)]
        assert batches.n_held < 2 * size, "memory grows with the recordings"
    last = batches.last()
    assert batches.n_rows == sum(sizes)
    return made if last is None else [*made, last[:, 0].tolist()]


def test_a_short_tail_joins_the_last_batch():
    """10 rows in batches of 4: rows 0-3, and 4-9 rather than 4-7 and 8-9."""
    assert cut([3, 3, 3, 1], 4) == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]
    assert cut([8], 4) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert cut([2], 4) == [[0, 1]]
    assert cut([0], 4) == []


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(1, 7))
def test_how_the_rows_arrive_does_not_show(sizes, size):
    assert cut(sizes, size) == cut([sum(sizes)], size)
