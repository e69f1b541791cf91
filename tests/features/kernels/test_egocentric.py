"""Motion and relation in the animal's own frame, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.derivatives import gradient
from mosaic_dagster.features.kernels.egocentric import (
    Pose,
    mean_direction,
    motion,
    relation,
    slope,
    turn,
    unit,
)
from mosaic_dagster.features.kernels.runs import find_runs

NAN = np.nan


@given(st.lists(st.tuples(st.integers(-50, 50), st.booleans()), max_size=30))
def test_slopes_are_those_of_each_run_by_itself(rows):
    """A rate across a gap would be a jump that no animal made."""
    values = np.array([row[0] for row in rows], dtype=np.float64)
    begins = np.array([row[1] for row in rows], dtype=np.bool_)
    begins[:1] = True
    runs = find_runs(np.cumsum(begins), np.arange(len(rows)))
    np.testing.assert_array_equal(slope(values, begins), gradient(values, runs))


def test_turning_goes_the_shorter_way_and_stays_inside_runs():
    """Steps of 0.2 across π in one run; then a run of one row, and one of two rows back by 0.5."""
    heading = np.array([3.0, 3.2, 3.4, 0.0, 1.0, 0.5])
    begins = np.array([True, False, False, True, True, False])
    turns = turn(np.cos(heading), np.sin(heading), begins)
    np.testing.assert_allclose(turns, [0.2, 0.2, 0.2, NAN, -0.5, -0.5])


def test_a_missing_heading_spoils_its_neighbours_only():
    heading = np.array([0.0, 0.1, NAN, 0.3, 0.4, 0.5])
    begins = np.arange(6) == 0
    turns = turn(np.cos(heading), np.sin(heading), begins)
    np.testing.assert_allclose(turns, [0.1, NAN, NAN, NAN, 0.1, 0.1])


def test_motion_along_and_beside_the_heading():
    """(3, 4) per row at 10 rows per second, looking along +y: 40 ahead; -30 along (-1, 0)."""
    rows = np.arange(3.0)
    pose = Pose(3 * rows, 4 * rows, np.zeros(3), np.ones(3))
    moves = motion(pose, np.array([True, False, False]), 10.0)
    for name, value in {"speed": 50, "v_para": 40, "v_perp": -30, "ang_speed": 0}.items():
        np.testing.assert_allclose(moves[name], value, atol=1e-12)


def test_relation_of_both_animals():
    """b is (6, 8) from a, which looks along +x; b looks along +y and sees a 8 behind, 6 left."""
    a = Pose(*np.array([[0.0], [0.0], [1.0], [0.0]]))
    b = Pose(*np.array([[6.0], [8.0], [0.0], [1.0]]))
    for_a, for_b = relation(a, b)
    assert {k: v.item() for k, v in for_a.items()} == {
        "dist": 10, "dx_ego": 6, "dy_ego": 8, "heading_cos": 0, "heading_sin": 1,
    }  # fmt: skip
    assert {k: v.item() for k, v in for_b.items()} == {
        "dist": 10, "dx_ego": -8, "dy_ego": 6, "heading_cos": 0, "heading_sin": -1,
    }  # fmt: skip


def test_a_vector_without_length_has_no_direction():
    cos, sin = unit(np.array([3.0, 0.0]), np.array([4.0, 0.0]))
    np.testing.assert_allclose(cos, [0.6, NAN])
    np.testing.assert_allclose(sin, [0.8, NAN])
    assert np.isnan(mean_direction(np.array([1e-17]), np.array([0.0]))[0]).all()
    assert mean_direction(np.array([0.01]), np.array([0.0]))[0] == pytest.approx(1)
