"""Nearest rows: a neighbour that depends on the other rows of a chunk moves a row on its map."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels import nearest_rows as module
from mosaic_dagster.features.kernels.nearest_rows import nearest_others, nearest_row, nearest_rows


def by_hand(values, among, k):
    squared = ((values[:, None, :] - among[None, :, :]) ** 2).sum(axis=2)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return order, np.sqrt(np.take_along_axis(squared, order, axis=1))


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 12), st.integers(1, 4), st.booleans())
def test_neighbours_are_those_of_all_distances(n_rows, n_points, k, n_columns, ties):
    rng = np.random.default_rng([n_rows, n_points, k, n_columns])
    k = min(k, n_points)
    draw = (
        (lambda n: rng.integers(0, 3, (n, n_columns)) * 1.0)
        if ties
        else (lambda n: 1e4 + rng.normal(size=(n, n_columns)))
    )
    values, among = draw(n_rows), draw(n_points)
    neighbors, distances = nearest_rows(values, among, k)
    expected, expected_distances = by_hand(values, among, k)
    np.testing.assert_array_equal(neighbors, expected)
    np.testing.assert_array_equal(distances, expected_distances)
    np.testing.assert_array_equal(nearest_row(values, among), expected[:, 0])


def test_a_row_alone_has_the_same_neighbours_to_the_last_bit(monkeypatch):
    rng = np.random.default_rng(1)
    values, among = rng.normal(size=(50, 7)), rng.normal(size=(200, 7))
    neighbors, distances = nearest_rows(values, among, 9)
    for row in (0, 17, 49):
        alone = nearest_rows(values[row : row + 1], among, 9)
        np.testing.assert_array_equal(alone[0][0], neighbors[row])
        np.testing.assert_array_equal(alone[1][0], distances[row])
    monkeypatch.setattr(module, "_ENTRIES", 3)
    np.testing.assert_array_equal(nearest_rows(values, among, 9)[1], distances)


def test_no_row_is_its_own_neighbour_even_among_equal_ones():
    """Four equal points: each has others at distance 0; the fifth lies 3 away from all."""
    points = np.array([[0.0], [0.0], [0.0], [0.0], [3.0]])
    neighbors, distances = nearest_others(points, 2)
    assert neighbors.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    assert distances.tolist() == [[0, 0]] * 4 + [[3, 3]]


def test_no_row_has_no_neighbour():
    assert nearest_row(np.empty((0, 2)), np.zeros((3, 2))).shape == (0,)
    neighbors, distances = nearest_rows(np.empty((0, 2)), np.zeros((3, 2)), 2)
    assert neighbors.shape == distances.shape == (0, 2)
