"""Angles: a seam error turns a small turn into a full one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.angles import direction, ego, wrap


@given(st.floats(-1e4, 1e4))
def test_wrapped_angles_stay_in_range_and_point_the_same_way(angle):
    (wrapped,) = wrap(np.array([angle]))
    assert -np.pi <= wrapped < np.pi
    assert np.hypot(np.cos(wrapped) - np.cos(angle), np.sin(wrapped) - np.sin(angle)) < 1e-9


def test_half_a_turn_is_minus_pi_and_rounding_does_not_leave_the_range():
    below = np.nextafter(-np.pi, -4.0)
    np.testing.assert_allclose(wrap(np.array([np.pi, -np.pi, below])), -np.pi)


def test_ego_of_a_point_ahead_and_beside():
    """Looking along +y, the point (0, 2) is 2 ahead; (-1, 0) is 1 along (-sin, cos) = (-1, 0)."""
    ahead, side = ego(np.array([0.0, -1.0]), np.array([2.0, 0.0]), np.full(2, np.pi / 2))
    np.testing.assert_allclose(ahead, [2, 0], atol=1e-15)
    np.testing.assert_allclose(side, [0, 1], atol=1e-15)


def test_the_zero_vector_has_no_direction():
    np.testing.assert_array_equal(
        direction(np.array([0.0, 0.0, np.nan]), np.array([0.0, 1.0, 1.0])),
        [np.nan, np.pi / 2, np.nan],
    )
