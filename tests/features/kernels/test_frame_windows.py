"""Windows over frames: a window that reads across a gap mixes places that are far apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mosaic_dagster.features.kernels.frame_windows import (
    grid_positions,
    rolling_statistic,
    savgol_grid,
)

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_long_gaps_are_shortened_to_the_window():
    """Steps 1, 3 stay; the step of 10**12 becomes window + 1 = 6: a gap of 5 missing frames."""
    frames = np.array([7, 8, 11, 11 + 10**12])
    assert grid_positions(frames, 5).tolist() == [0, 1, 4, 10]
    assert grid_positions(frames[:1], 5).tolist() == [0]


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("median", [2, 2, 2.5, 6.5, 6.5]),
        ("mean", [2, 2, 2.5, 6.5, 6.5]),
        ("max", [3, 3, 4, 9, 9]),
        ("min", [1, 1, 1, 4, 4]),
    ],
)
def test_statistics_by_hand(statistic, expected):
    """Window 3 over 3, 1, missing, 4, 9 sees {3, 1}, {3, 1}, {1, 4}, {4, 9}, {4, 9}."""
    grid = column(3, 1, NAN, 4, 9)
    np.testing.assert_allclose(rolling_statistic(grid, 3, statistic, 1)[:, 0], expected)
    assert np.isnan(rolling_statistic(grid, 3, statistic, 3)).all()


def test_too_few_known_values_give_none():
    """Window 3, at least 2: frame 0 sees {3}, frame 1 {3, 5}, frame 2 {5}, frame 3 {5}, …"""
    result = rolling_statistic(column(3, NAN, 5, NAN, NAN), 3, "mean", 2)[:, 0]
    np.testing.assert_array_equal(result, [NAN, 4, NAN, NAN, NAN])


@settings(max_examples=40)
@given(
    arrays.arrays(np.float64, (9, 2), elements=st.floats(-100, 100) | st.just(NAN)),
    st.sampled_from([1, 3, 5, 11]),
    st.sampled_from(["median", "mean", "max", "min"]),
)
def test_statistics_agree_with_a_plain_loop(grid, window, statistic):
    take = {"median": np.median, "mean": np.mean, "max": np.max, "min": np.min}[statistic]
    result = rolling_statistic(grid, window, statistic, 1)
    half = window // 2
    for row in range(len(grid)):
        for col in range(2):
            seen = grid[max(0, row - half) : row + half + 1, col]
            seen = seen[np.isfinite(seen)]
            expected = take(seen) if len(seen) else NAN
            np.testing.assert_allclose(result[row, col], expected, atol=1e-9)


def test_savgol_of_degree_zero_is_the_mean_of_the_window():
    """Window 3 over 0, 3, 6, 0: nearest ends repeat 0 and 0: means 1, 3, 3, 2."""
    result = savgol_grid(column(0, 3, 6, 0), 3, 0, "nearest")[:, 0]
    np.testing.assert_allclose(result, [1, 3, 3, 2])


def test_savgol_makes_windows_with_a_hole_missing():
    result = savgol_grid(column(0, 1, 2, NAN, 4, 5, 6, 7, 8.0), 3, 1, "nearest")[:, 0]
    assert np.isnan(result).tolist() == [False, False, True, True, True, *[False] * 4]


@pytest.mark.parametrize("mode", ["mirror", "constant", "nearest", "wrap"])
def test_a_track_shorter_than_the_window_has_a_result(mode):
    assert np.isfinite(savgol_grid(column(1.0, 2.0), 7, 2, mode)).all()


def test_interp_takes_ends_from_the_fitted_polynomial():
    """Squares are restored everywhere by degree 2, the ends too; a short track has no window."""
    squares = column(*(np.arange(9.0) ** 2))
    np.testing.assert_allclose(savgol_grid(squares, 5, 2, "interp"), squares, atol=1e-9)
    assert np.isnan(savgol_grid(squares[:4], 5, 2, "interp")).all()


def test_interp_with_a_missing_value_near_the_end_leaves_the_end_missing():
    holes = column(0, 1, 2, 3, 4, 5, 6, NAN)
    result = savgol_grid(holes, 5, 2, "interp")[:, 0]
    np.testing.assert_allclose(result, [0, 1, 2, 3, 4, NAN, NAN, NAN], atol=1e-9)


def test_a_window_of_one_frame_changes_nothing():
    values = column(1.0, NAN, 3.0)
    np.testing.assert_array_equal(savgol_grid(values, 1, 0, "interp"), values)
    np.testing.assert_array_equal(rolling_statistic(values, 1, "median", 1), values)
