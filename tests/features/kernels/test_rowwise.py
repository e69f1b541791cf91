"""Row-wise results: if a row depended on its neighbours, early cut-off would break."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.rowwise import (
    project,
    project_columns,
    project_to_float32,
)


def test_projection_is_the_matrix_product():
    """(1, 2) on (3, 4) is 11, on (1, 0) is 1."""
    scores = project(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(scores, [[11, 1]])
    assert project_columns(np.empty((2, 0)), np.ones((3, 2))).shape == (3, 0)
    assert project(np.ones((4, 2)), np.empty((0, 2))).shape == (4, 0)


def test_a_row_with_a_missing_value_has_no_score_and_leaves_the_others_alone():
    values = np.array([[1.0, 2.0], [np.nan, 2.0], [3.0, 4.0]])
    scores = project(values, np.ones((1, 2)))
    np.testing.assert_array_equal(scores, [[3], [np.nan], [7]])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_columns=st.integers(1, 40),
    n_directions=st.integers(1, 12),
    rows=st.lists(st.integers(0, 4999), min_size=1, max_size=300),
    data=st.data(),
)
def test_a_row_has_the_same_bits_wherever_it_stands(seed, n_columns, n_directions, rows, data):
    """Any choice of rows in any order, and any slice, from as many rows as take several blocks."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(5000, n_columns)) * 10.0 ** rng.integers(-8, 8, (5000, 1))
    directions = rng.normal(size=(n_directions, n_columns))
    together = project(values, directions)
    np.testing.assert_array_equal(project(values[rows], directions), together[rows])
    start = data.draw(st.integers(0, 4999))
    stop = data.draw(st.integers(start, 5000))
    np.testing.assert_array_equal(project(values[start:stop], directions), together[start:stop])
    np.testing.assert_allclose(together[:100], values[:100] @ directions.T, rtol=1e-6)


@pytest.mark.parametrize("n_rows", [0, 1, 63, 3000])
def test_the_fast_float32_scores_are_the_rounded_slow_ones(n_rows):
    """Also where they lie between two float32 numbers: 1 + 2**-24, half a step above 1."""
    rng = np.random.default_rng(5)
    columns, directions = rng.normal(size=(30, n_rows)), rng.normal(size=(4, 30))
    columns[:, ::7] = 0.0
    columns[0, ::7], directions[:, 0] = 1.0 + 2.0**-24, 1.0
    origin = np.array([0.0, 5.0, -3.0, 1e-3])
    expected = (project_columns(columns, directions) - origin[:, None]).astype(np.float32)
    np.testing.assert_array_equal(project_to_float32(columns, directions, origin), expected)
