"""Keypoints: a wrong order swaps head and tail."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.kernels.keypoints import (
    keypoint_columns,
    keypoint_indices,
    pairwise_distances,
    principal_axis,
)


def test_keypoints_are_sorted_as_numbers_and_confidences_do_not_count():
    columns = ["poseX10", "poseY10", "poseX2", "poseY2", "poseP2", "poseX", "X"]
    assert keypoint_indices(columns) == (2, 10)
    assert keypoint_columns((2, 10)) == ["poseX2", "poseY2", "poseX10", "poseY10"]


def test_a_keypoint_with_one_coordinate_is_named():
    with pytest.raises(MissingColumnError, match="no poseX4"):
        keypoint_indices(["poseY4"])


def test_distances_of_a_three_four_five_triangle():
    """Corners (0,0), (3,0), (3,4): 3, 5 and 4; a missing corner leaves one distance."""
    triangle = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    broken = triangle.copy()
    broken[2] = np.nan
    distances = pairwise_distances(np.stack([triangle, broken]))
    np.testing.assert_array_equal(distances, [[3, 5, 4], [3, np.nan, np.nan]])


def test_principal_axis_of_lines():
    """Along x: 0; along y: pi/2; along (1, 1): pi/4; along (1, -1): 3 pi/4 (no sign)."""
    steps = np.array([-1.0, 0.0, 1.0])
    ways = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    points = 7.0 + steps[None, :, None] * ways[:, None, :]
    np.testing.assert_allclose(principal_axis(points), np.pi * np.array([0, 0.5, 0.25, 0.75]))


def test_principal_axis_needs_two_different_finite_points():
    missing, here = [np.nan, np.nan], [1.0, 1.0]
    points = np.array(
        [[here, missing, missing], [here, here, missing], [here, [1.0, 3.0], missing]]
    )
    np.testing.assert_allclose(principal_axis(points), [np.nan, np.nan, np.pi / 2])
