"""Posture rows: distances in another order would be another animal's posture."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.features.kernels.pair_distances import distance_rows, layout, project_both

ALL = {"intra_a": True, "intra_b": True, "inter": True}


def rows_of(x, y, plan):
    """Both perspectives of animals at positions 0 and 1."""
    block = next(distance_rows(x, y, np.array([0]), np.array([1]), plan))
    return block[plan.own, 0], block[plan.swapped, 0]


def test_the_order_of_the_distances():
    """On a line: A at 0, 1, 3 and B at 10, 30, 70, so every distance tells its points."""
    x = np.array([[0.0, 10.0], [1.0, 30.0], [3.0, 70.0]])
    own, swapped = rows_of(x, np.zeros_like(x), layout(3, **ALL))
    assert own.tolist() == [1, 3, 2, 20, 60, 40, 10, 30, 70, 9, 29, 69, 7, 27, 67]
    assert swapped.tolist() == [20, 60, 40, 1, 3, 2, 10, 9, 7, 30, 29, 27, 70, 69, 67]


def test_seven_keypoints_make_91_distances():
    assert len(layout(7, **ALL).own) == 21 + 21 + 49


@pytest.mark.parametrize("part", ["intra_a", "intra_b", "inter"])
def test_the_swapped_row_is_the_row_of_the_swapped_animals(part):
    """Also where a perspective needs distances that the other one leaves out."""
    x, y = np.random.default_rng(1).normal(size=(2, 4, 2))
    plan = layout(4, **{name: name == part for name in ALL})
    own, swapped = rows_of(x, y, plan)
    again, back = rows_of(x[:, ::-1], y[:, ::-1], plan)
    np.testing.assert_array_equal(swapped, again)
    np.testing.assert_array_equal(own, back)


def test_projection_of_both_perspectives():
    """Against centring and a product of each perspective; 2500 rows are several blocks."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 4, 2501))
    first, second = np.arange(2500), np.arange(1, 2501)
    for parts in ({"inter": False}, {"intra_b": False}, {}):
        plan = layout(4, **(ALL | parts))
        rows = np.concatenate([b.T.copy() for b in distance_rows(x, y, first, second, plan)])
        directions, mean = rng.normal(size=(3, len(plan.own))), rng.normal(size=len(plan.own))
        blocks = distance_rows(x, y, first, second, plan)
        own, swapped = project_both(blocks, plan, directions, mean, 2500)
        for scores, places in ((own, plan.own), (swapped, plan.swapped)):
            wanted = (rows[:, places] - mean) @ directions.T
            np.testing.assert_allclose(scores.T, wanted, rtol=1e-6, atol=1e-6)


def test_no_row():
    plan = layout(2, **ALL)
    none = np.empty(0, dtype=np.int64)
    blocks = distance_rows(np.zeros((2, 1)), np.zeros((2, 1)), none, none, plan)
    own, swapped = project_both(blocks, plan, np.ones((2, 6)), np.zeros(6), 0)
    assert own.shape == swapped.shape == (2, 0)
