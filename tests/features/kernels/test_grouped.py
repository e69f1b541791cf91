"""Groups: one missing value must not change, or hide, the number of its group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.grouped import aggregate

NAN = np.nan
AGGREGATIONS = ["mean", "median", "min", "max", "std", "sum", "count"]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("mean", [3, 7, NAN]),
        ("median", [2, 7, NAN]),
        ("min", [1, 7, NAN]),
        ("max", [6, 7, NAN]),
        ("std", [np.sqrt(7), NAN, NAN]),
        ("sum", [9, 7, 0]),
        ("count", [3, 1, 0]),
    ],
)
def test_by_hand(aggregation, expected):
    """Groups {6, 1, 2}, {NaN, 7}, {NaN}. Deviations 3, -2, -1: squares 14, / 2 = 7."""
    values = np.array([6.0, 1, 2, NAN, 7, NAN])
    np.testing.assert_allclose(aggregate(values, np.array([0, 3, 5]), aggregation), expected)


def test_an_even_number_has_its_median_in_the_middle():
    """2 and 3 are the middle of 9, 1, 3, 2."""
    median = aggregate(np.array([9.0, 1, 3, 2, NAN]), np.array([0]), "median")
    np.testing.assert_array_equal(median, [2.5])


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_no_group(aggregation):
    assert len(aggregate(np.empty(0), np.empty(0, dtype=np.int64), aggregation)) == 0


@given(st.lists(st.lists(st.floats(-100, 100), min_size=2, max_size=5), min_size=1, max_size=6))
def test_agrees_with_numpy_group_by_group(groups):
    values = np.concatenate([np.array(group) for group in groups])
    starts = np.cumsum([0, *map(len, groups[:-1])])
    plain = {
        "mean": np.mean,
        "median": np.median,
        "min": np.min,
        "max": np.max,
        "sum": np.sum,
        "count": len,
        "std": lambda group: np.std(group, ddof=1),
    }
    for aggregation, take in plain.items():
        expected = [float(take(group)) for group in groups]
        result = aggregate(values, starts, aggregation)
        np.testing.assert_allclose(result, expected, atol=1e-9)
