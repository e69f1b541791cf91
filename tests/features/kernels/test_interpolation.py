"""Filling holes: too much of it invents behaviour, too little loses frames."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.features.kernels.interpolation import fill_holes

NAN = np.nan


def test_the_line_runs_over_frames_not_rows():
    """From 0 at frame 0 to 10 at frame 10: frame 2 is 2, although it is the middle row."""
    filled = fill_holes(np.array([0.0, NAN, 10.0]), np.array([0, 2, 10]))
    np.testing.assert_allclose(filled, [0, 2, 10])


@pytest.mark.parametrize(("limit", "expected"), [(2, [0, 1, 2, 3]), (1, [0, NAN, NAN, 3])])
def test_a_longer_hole_stays_missing_whole(limit, expected):
    values, frames = np.array([0.0, NAN, NAN, 3.0]), np.arange(4)
    np.testing.assert_allclose(fill_holes(values, frames, hole_limit=limit), expected)


def test_frames_without_a_row_count_as_part_of_the_hole():
    """Frames 1 to 4 have no value: a hole of 4, though only one row is NaN."""
    values, frames = np.array([0.0, NAN, 5.0]), np.array([0, 1, 5])
    assert np.isnan(fill_holes(values, frames, hole_limit=3)[1])
    assert fill_holes(values, frames, hole_limit=4)[1] == 1.0


def test_ends_take_the_nearest_value_up_to_the_limit():
    values, frames = np.array([NAN, NAN, 7.0, NAN, NAN]), np.arange(5)
    np.testing.assert_array_equal(fill_holes(values, frames, edge_limit=1), [NAN, 7, 7, 7, NAN])
    np.testing.assert_array_equal(fill_holes(values, frames, edge_limit=0), values)
    np.testing.assert_array_equal(fill_holes(values, frames), [7, 7, 7, 7, 7])


def test_nothing_to_go_by_stays_missing():
    assert np.isnan(fill_holes(np.array([NAN, NAN]), np.arange(2))).all()
    assert fill_holes(np.empty(0), np.arange(0)).shape == (0,)
