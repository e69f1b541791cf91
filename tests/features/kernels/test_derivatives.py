"""Differences and derivatives: an error here is an error in every speed."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.derivatives import gradient, step_difference


def test_differences_never_reach_into_another_individual():
    """1 → 4 is 3; the first row of each individual has nothing before it."""
    values = np.array([1.0, 4.0, 10.0, 11.0])
    identity = np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(step_difference(values, identity), [np.nan, 3, np.nan, 1])


def test_a_step_longer_than_the_track_is_missing():
    values, identity = np.array([1.0, 4.0]), np.zeros(2, dtype=np.int64)
    assert np.isnan(step_difference(values, identity, 2)).all()
    assert np.isnan(step_difference(values, identity, 5)).all()


def test_gradient_is_central_inside_and_one_sided_at_the_ends_of_a_run():
    """x² at 0..3: ends 1 and 9 - 4 = 5, inside (4 - 0)/2 = 2 and (9 - 1)/2 = 4."""
    values = np.array([0.0, 1.0, 4.0, 9.0, 100.0])
    slopes = gradient(values, [slice(0, 4), slice(4, 5)])
    np.testing.assert_array_equal(slopes, [1, 2, 4, 5, np.nan])
