"""Neighbours: a wrong one puts another animal's behaviour into every social measure."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels import neighbors
from mosaic_dagster.features.kernels.neighbors import find_rows, nearest_in_frame


def nearest(frames: list[int], places: list[float]) -> list[int]:
    x = np.array(places, dtype=np.float64)
    return nearest_in_frame(np.array(frames), x, np.zeros(len(x))).tolist()


def test_each_frame_stands_for_itself():
    """0, 1, 5 along a line: 0 and 1 are near each other, 5 is nearest to 1; then a pair; then one.

    Without the bounds of the frames row 3 (at 5.1) would be the nearest of row 2 (at 5).
    """
    frames, places = [0, 0, 0, 1, 1, 2], [0, 1, 5, 5.1, 9, 5.1]
    assert nearest(frames, places) == [1, 0, 1, 4, 3, -1]


def test_a_missing_animal_is_nobodys_neighbour():
    """Two of three stand at 0 and 7; the third is missing, infinitely far, or both are."""
    for missing in (np.nan, np.inf, -np.inf):
        assert nearest([0, 0, 0], [0, missing, 7]) == [2, -1, 0]
        assert nearest([0, 0, 0], [missing, missing, 7]) == [-1, -1, -1]


def test_of_equally_near_animals_the_first_counts():
    """0 lies between -1 and 1, and three lie on one spot."""
    assert nearest([4, 4, 4], [-1, 0, 1]) == [1, 0, 1]
    assert nearest([4, 4, 4], [3, 3, 3]) == [1, 0, 0]


def test_nothing_gives_nothing():
    assert nearest([], []) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5), st.integers(-5, 5)), max_size=25))
def test_blocks_of_any_length_give_what_a_plain_loop_gives(animals):
    animals = sorted(animals, key=lambda animal: animal[0])
    frames, x, y = np.array(animals, dtype=np.int64).reshape(-1, 3).T
    expected = []
    for i, frame in enumerate(frames):
        others = [j for j in np.flatnonzero(frames == frame) if j != i]
        distance = [(x[j] - x[i]) ** 2 + (y[j] - y[i]) ** 2 for j in others]
        expected.append(others[int(np.argmin(distance))] if others else -1)
    whole = neighbors._BLOCK
    for block in (1, 7, whole):
        neighbors._BLOCK = block
        try:
            found = nearest_in_frame(frames, x.astype(np.float64), y.astype(np.float64))
        finally:
            neighbors._BLOCK = whole
        assert found.tolist() == expected


def test_rows_are_found_by_frame_and_animal():
    """(9, -2) is row 0 and (3, 7) row 2; no row has frame 4, animal 8, or (9, 7)."""
    frames, ids = np.array([9, 3, 3]), np.array([-2, -2, 7])
    wanted = np.array([9, 3, 4, 3, 9, 10**12]), np.array([-2, 7, 7, 8, 7, -(10**12)])
    assert find_rows(frames, ids, *wanted).tolist() == [0, 2, -1, -1, -1, -1]
    assert find_rows(frames[:0], ids[:0], *wanted).tolist() == [-1] * 6
    assert find_rows(frames, ids, wanted[0][:0], wanted[1][:0]).tolist() == []
