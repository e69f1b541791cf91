"""Points of the animal land where a crop must show them. No OpenCV is needed here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.media.geometry import body_length, crop_matrix, headings, transform

NUMBER = st.floats(-500, 500)


def test_the_neck_lands_ahead():
    """An animal at (10, 20) that looks down the screen (+y), its neck 5 px ahead at (10, 25).

    In a crop of 101 x 81, middle (50, 40), at 2 px for each px, it looks right, so the neck is at
    (50 + 2 * 5, 40). Its right side is at -x (8, 20), 2 px away: in the crop that is down, at
    (50, 40 + 2 * 2).
    """
    matrix = crop_matrix((10, 20), np.pi / 2, 2.0, (101, 81))
    landed = transform(matrix, np.array([[10.0, 20.0], [10.0, 25.0], [8.0, 20.0]]))
    assert np.allclose(landed, [[50, 40], [60, 40], [50, 44]])


def test_the_offset_moves_the_crop_ahead_of_the_animal():
    """3 px ahead and 1 px to the right at 2 px for each: the animal is at (50 - 6, 40 - 2)."""
    matrix = crop_matrix((10, 20), np.pi / 2, 2.0, (101, 81), (3.0, 1.0))
    assert np.allclose(transform(matrix, np.array([[10.0, 20.0]])), [[44, 38]])


@given(x=NUMBER, y=NUMBER, heading=st.floats(-4, 4), scale=st.floats(0.1, 10))
def test_a_crop_neither_stretches_nor_mirrors(x, y, heading, scale):
    """A mirrored crop would make a left turn of one that goes right."""
    turn = crop_matrix((x, y), heading, scale, (64, 64))[:, :2]
    assert np.allclose(turn @ turn.T, scale**2 * np.eye(2))
    assert np.linalg.det(turn) == pytest.approx(scale**2)


@given(x=NUMBER, y=NUMBER, heading=st.floats(-3, 3), ahead=st.floats(0.1, 50))
def test_whoever_looks_somewhere_looks_right_in_the_crop(x, y, heading, ahead):
    front = np.array([[x + ahead * np.cos(heading), y + ahead * np.sin(heading)]])
    angle = headings(front, np.array([[x, y]]))[0]
    landed = transform(crop_matrix((x, y), angle, 1.0, (11, 11)), front)[0]
    assert np.allclose(landed, [5 + ahead, 5], atol=1e-6)


def test_a_heading_needs_two_places():
    """(0, 2) to (0, 5) is straight down, pi/2; the same place, or a missing one, is none."""
    front = np.array([[0.0, 5.0], [1.0, 1.0], [np.nan, 0.0]])
    back = np.array([[0.0, 2.0], [1.0, 1.0], [0.0, 0.0]])
    assert np.allclose(headings(front, back), [np.pi / 2, np.nan, np.nan], equal_nan=True)


def test_the_body_is_as_long_as_its_farthest_keypoints():
    """Frames of 5 (3-4-5), 7 (one of three missing), and one alone: the median of 5 and 7 is 6."""
    missing = [np.nan, np.nan]
    points = np.array(
        [
            [[0, 0], [3, 4], [1, 1]],
            [[0, 0], missing, [7, 0]],
            [[9, 9], missing, missing],
        ]
    )
    assert body_length(points) == 6.0
    assert np.isnan(body_length(points[2:]))
    assert np.isnan(body_length(np.empty((4, 0, 2))))
    assert np.isnan(body_length(np.empty((0, 3, 2))))
