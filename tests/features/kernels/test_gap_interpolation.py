"""Gaps: a value that is invented where none may be, or off the curve, moves the animal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.gap_interpolation import interpolate_gaps

NAN = np.nan


def at(frames: list[int]) -> np.ndarray:
    return np.array(frames, dtype=np.int64)


def test_a_line_runs_over_frames_not_rows():
    """From 0 in frame 0 to 10 in frame 10: 2 in frame 2, 9 in frame 9."""
    filled = interpolate_gaps(np.array([0.0, NAN, NAN, 10.0]), at([0, 2, 9, 10]), "linear")
    np.testing.assert_allclose(filled, [0, 2, 9, 10])


def test_nearest_takes_the_earlier_of_two_equally_near():
    """Between frames 0 and 4: frames 1 and 2 belong to 0, frame 3 to 4."""
    filled = interpolate_gaps(np.array([5.0, NAN, NAN, NAN, 9.0]), np.arange(5), "nearest")
    np.testing.assert_array_equal(filled, [5, 5, 5, 9, 9])


@pytest.mark.parametrize(("method", "power"), [("quadratic", 2), ("cubic", 3)])
def test_a_polynomial_of_the_degree_is_restored(method, power):
    """f², f³ are their own interpolating splines, also with rows absent (frame 6)."""
    frames = at([0, 1, 2, 3, 4, 5, 7, 8])
    values = frames.astype(float) ** power
    holes = values.copy()
    holes[[2, 5]] = NAN
    np.testing.assert_allclose(interpolate_gaps(holes, frames, method), values, atol=1e-9)


@pytest.mark.parametrize("method", ["quadratic", "cubic"])
def test_two_known_values_make_a_line(method):
    filled = interpolate_gaps(np.array([0.0, NAN, 4.0]), np.arange(3), method)
    np.testing.assert_allclose(filled, [0, 2, 4])


@pytest.mark.parametrize("method", ["linear", "nearest", "quadratic", "cubic"])
def test_nothing_is_extrapolated(method):
    values = np.array([NAN, 1.0, NAN, 3.0, NAN])
    filled = interpolate_gaps(values, np.arange(5), method)
    assert np.isnan(filled[[0, 4]]).all()
    assert np.isfinite(filled[2])


def test_longer_gaps_stay_whole_and_absent_rows_count():
    """Frames 1, 2 miss (2); frames 4 to 6 miss with only a row for 5 (3)."""
    values, frames = np.array([0.0, NAN, NAN, 3.0, NAN, 7.0]), at([0, 1, 2, 3, 5, 7])
    np.testing.assert_allclose(interpolate_gaps(values, frames, "linear", 2), [0, 1, 2, 3, NAN, 7])
    np.testing.assert_allclose(interpolate_gaps(values, frames, "linear", 3), [0, 1, 2, 3, 5, 7])
    np.testing.assert_allclose(interpolate_gaps(values, frames, "linear", 0), values)


@pytest.mark.parametrize("values", [[], [NAN], [NAN, NAN], [NAN, 1.0], [1.0]])
def test_too_little_is_left_as_it_is(values):
    given_values = np.array(values, dtype=float)
    filled = interpolate_gaps(given_values, np.arange(len(values)), "cubic")
    np.testing.assert_array_equal(filled, given_values)


@given(st.lists(st.one_of(st.none(), st.integers(-100, 100)), min_size=1, max_size=30))
def test_lines_agree_with_numpy_between_known_values(values):
    row = np.array([NAN if v is None else float(v) for v in values])
    frames = np.arange(len(row)) * 2
    filled = interpolate_gaps(row, frames, "linear")
    known = np.isfinite(row)
    expected = np.full(len(row), NAN)
    if known.any():
        expected = np.interp(frames, frames[known], row[known], left=NAN, right=NAN)
    np.testing.assert_allclose(filled, expected, atol=1e-9)
