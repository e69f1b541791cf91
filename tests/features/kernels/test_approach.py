"""Averages over a window: one that crosses a gap mixes two moments."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.approach import centered_mean, ratio


def test_mean_skips_missing_values_and_stays_in_its_run():
    """Window 3: 1,2 → 1.5; 1,2,- → 1.5; 2,-,6 → 4; -,6 → 6; the 100 is another run."""
    values = np.array([1.0, 2.0, np.nan, 6.0, 100.0])
    run = np.array([0, 0, 0, 0, 1])
    np.testing.assert_array_equal(centered_mean(values, run, 3), [1.5, 1.5, 4.0, 6.0, 100.0])


def test_an_even_window_reaches_further_back():
    """Window 2 is the row before and the row itself."""
    values = np.array([2.0, 4.0, 8.0])
    np.testing.assert_array_equal(centered_mean(values, np.zeros(3, int), 2), [2.0, 3.0, 6.0])
    np.testing.assert_array_equal(centered_mean(values[:1], np.zeros(1, int), 9), [2.0])


def test_nothing_known_has_no_mean_and_zero_no_quotient():
    nothing = centered_mean(np.array([np.nan, np.nan]), np.zeros(2, int), 3)
    assert np.isnan(nothing).all()
    np.testing.assert_array_equal(ratio(np.array([1.0, 1.0]), np.array([0.0, 2.0])), [np.nan, 0.5])
