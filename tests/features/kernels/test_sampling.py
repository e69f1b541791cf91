"""Sampling: templates that are biased or not reproducible bias every cluster."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.sampling import (
    farthest_first,
    named_generator,
    share_quotas,
    smallest,
)


def test_draws_depend_on_the_seed_and_the_name_only():
    first = named_generator(1, "g/s").random(3)
    np.testing.assert_array_equal(named_generator(1, "g/s").random(3), first)
    assert not np.array_equal(named_generator(2, "g/s").random(3), first)
    assert not np.array_equal(named_generator(1, "g/t").random(3), first)


def test_smallest_gives_positions_in_order_and_the_first_of_equals():
    np.testing.assert_array_equal(smallest(np.array([0.5, 0.1, 0.9, 0.1]), 2), [1, 3])
    np.testing.assert_array_equal(smallest(np.array([0.5, 0.5, 0.5]), 2), [0, 1])
    np.testing.assert_array_equal(smallest(np.array([0.5]), 4), [0])


def test_quotas_follow_the_largest_remainders():
    """10 rows of 3 + 3 + 4 wanted 4: 1.2, 1.2, 1.6 → 1, 1, 1 and the last one to 1.6."""
    np.testing.assert_array_equal(share_quotas(np.array([3, 3, 4]), 4), [1, 1, 2])


def test_what_a_capped_part_cannot_give_goes_to_the_others():
    """80 + 10 + 10 wanted 10, cap 4: 8 → 4, the other 6 are split 3 and 3."""
    np.testing.assert_array_equal(share_quotas(np.array([80, 10, 10]), 10, cap=4), [4, 3, 3])


@given(
    st.lists(st.integers(0, 50), max_size=8),
    st.integers(0, 200),
    st.none() | st.integers(1, 30),
)
def test_quotas_are_exact_and_within_bounds(counts, total, cap):
    array = np.array(counts, dtype=np.int64)
    limit = array if cap is None else np.minimum(array, cap)
    quotas = share_quotas(array, total, cap)
    assert quotas.sum() == min(total, limit.sum())
    assert (quotas >= 0).all()
    assert (quotas <= limit).all()


class FirstRow:
    """Stands in for a generator that draws row 0."""

    def integers(self, low: int, high: int) -> int:
        return low


def test_farthest_first_takes_the_far_end_then_the_middle():
    """0, 1, 5, 10 from 0: farthest is 10, then 5 (5 from both), then 1."""
    pool = np.array([[0.0], [1.0], [5.0], [10.0]])
    chosen = farthest_first(pool, 4, FirstRow())
    np.testing.assert_array_equal(chosen, [0, 3, 2, 1])


def test_farthest_first_skips_missing_rows_and_never_repeats_a_point():
    pool = np.array([[np.nan], [2.0], [2.0], [np.inf]])
    chosen = farthest_first(pool, 5, np.random.default_rng(0))
    assert sorted(chosen) == [1, 2]
    assert len(farthest_first(np.empty((0, 2)), 3, np.random.default_rng(0))) == 0
