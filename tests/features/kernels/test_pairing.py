"""Matching pairs: a pair that is lost or joined to the wrong frame falsifies every social value."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.pairing import pair_rows


def test_two_animals_meet_in_the_frames_that_both_have():
    """Animal 0 has frames 0, 1, 2, 9 (rows 0-3), animal 1 has 1, 2, 9, 10 (rows 4-7)."""
    identity = np.repeat([0, 1], 4)
    frames = np.array([0, 1, 2, 9, 1, 2, 9, 10])
    pairs = pair_rows(identity, frames)
    assert pairs.first.tolist() == [1, 2, 3]
    assert pairs.second.tolist() == [4, 5, 6]
    assert pairs.begins.tolist() == [True, False, True]
    assert pairs.runs == [slice(0, 2), slice(2, 3)]
    assert pairs.order.tolist() == [0, 3, 1, 4, 2, 5]
    assert pairs.n_pairs == 1


def test_without_a_meeting_there_is_nothing():
    for identity, frames in (([], []), ([0, 0], [1, 2]), ([0, 1], [1, 2])):
        pairs = pair_rows(np.array(identity, dtype=np.int64), np.array(frames, dtype=np.int64))
        assert (len(pairs.first), len(pairs.order), pairs.runs, pairs.n_pairs) == (0, 0, [], 0)


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(-3, 9)), max_size=40))
def test_every_pair_of_every_frame_is_found_once(present):
    """Against the obvious double loop over animals in each frame."""
    rows = sorted(present)
    identity = np.array([row[0] for row in rows], dtype=np.int64)
    frames = np.array([row[1] for row in rows], dtype=np.int64)
    pairs = pair_rows(identity, frames)
    found = [
        (identity[a], identity[b], frames[a], frames[b])
        for a, b in zip(pairs.first, pairs.second, strict=True)
    ]
    expected = sorted(
        (a, b, f, f)
        for f in set(frames.tolist())
        for a, b in combinations(sorted(identity[frames == f].tolist()), 2)
    )
    assert found == expected
    assert pairs.n_pairs == len({row[:2] for row in expected})
    starts = [
        i == 0 or expected[i][:2] != expected[i - 1][:2] or expected[i][2] != expected[i - 1][2] + 1
        for i in range(len(expected))
    ]
    assert pairs.begins.tolist() == starts
    both = [(f, a, b) for a, b, f, _ in expected] + [(f, b, a) for a, b, f, _ in expected]
    assert [both[i] for i in pairs.order] == sorted(both)
