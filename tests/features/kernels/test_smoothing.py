"""Smoothing: a wrong edge or NaN rule bends values near every gap."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.features.kernels.smoothing import (
    gaussian_finite,
    moving_mean,
    savgol_finite,
)


def test_moving_mean_reflects_at_the_ends():
    """Row 0 of 0, 3, 6 sees 3, 0, 3: mean 2; row 1 sees 0, 3, 6: 3; row 2 sees 3, 6, 3: 4."""
    np.testing.assert_allclose(moving_mean(np.array([0.0, 3.0, 6.0]), 3), [2, 3, 4])


@pytest.mark.parametrize(("n_rows", "expected"), [(1, [0]), (2, [0, 3]), (4, [2, 3, 6, 7])])
def test_a_window_longer_than_the_run_is_cut_to_an_odd_length_that_fits(n_rows, expected):
    """4 rows 0, 3, 6, 9 with window 9 use window 3: (3+0+3)/3, 3, 6, (6+9+6)/3 = 7."""
    np.testing.assert_allclose(moving_mean(3.0 * np.arange(n_rows), 9), expected)


def test_savgol_keeps_a_line_and_stays_within_finite_stretches():
    """A line is its own fit of degree 1; two rows are shorter than the window and are copied."""
    values = np.array([0.0, 2.0, 4.0, 6.0, np.nan, 50.0, -50.0])
    np.testing.assert_allclose(savgol_finite(values, 3, 1), values, atol=1e-12)


def test_savgol_of_degree_one_is_the_mean_of_the_window():
    """Inside, the fitted line at the middle of 0, 9, 3 is their mean 4."""
    smoothed = savgol_finite(np.array([0.0, 9.0, 3.0, 0.0, 0.0]), 3, 1)
    np.testing.assert_allclose(smoothed[1:4], [4, 4, 1], atol=1e-12)


def test_gaussian_weights_are_those_of_the_bell_curve():
    """sigma 1, cut at 1: weights e^-½, 1, e^-½. The spike 1 keeps 1 / (1 + 2 e^-½) = 0.4519."""
    spike = np.array([[0.0], [0.0], [1.0], [0.0], [0.0]])
    side = np.exp(-0.5)
    total = 1 + 2 * side
    expected = [0, side / total, 1 / total, side / total, 0]
    np.testing.assert_allclose(gaussian_finite(spike, 1.0, 1.0)[:, 0], expected)


def test_missing_rows_do_not_pull_their_neighbours_and_stay_missing():
    values = np.full((7, 1), 5.0)
    values[3] = np.nan
    smoothed = gaussian_finite(values, 2.0)
    assert np.isnan(smoothed[3, 0])
    np.testing.assert_allclose(np.delete(smoothed[:, 0], 3), 5.0)


def test_beyond_its_end_a_run_continues_with_its_last_row():
    """sigma 1, cut at 1, rows 0, 1: row 0 sees 0, 0, 1, so e^-½ / (1 + 2 e^-½)."""
    side = np.exp(-0.5)
    smoothed = gaussian_finite(np.array([[0.0], [1.0]]), 1.0, 1.0)
    np.testing.assert_allclose(smoothed[0, 0], side / (1 + 2 * side))
