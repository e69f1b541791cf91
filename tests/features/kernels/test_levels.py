"""Rounding to levels: a classifier must see the same order of values, with fewer of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.levels import round_to_levels


def test_few_values_stay_as_they_are():
    values = np.array([[1.0, np.nan], [2.0, 5.0], [2.0, 5.0]])
    np.testing.assert_array_equal(round_to_levels(values, 2), values)


def test_many_values_become_those_at_the_middles_of_equal_shares():
    """0..7 in two shares of four: the levels are the values at places 2 and 6, the edge is 4."""
    values = np.arange(8.0)[::-1, None]
    assert round_to_levels(values, 2).ravel().tolist() == [6, 6, 6, 2, 2, 2, 2, 2]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), st.integers(1, 9))
def test_order_is_kept_and_levels_are_few(column, most):
    values = np.array(column)[:, None]
    rounded = round_to_levels(values, most).ravel()
    assert len(np.unique(rounded)) <= max(most, 1) or len(np.unique(column)) <= most
    assert (np.diff(rounded[np.argsort(column, kind="stable")]) >= 0).all()
    assert set(rounded) <= set(column)
