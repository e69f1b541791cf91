"""Pairs of rows of one frame: a pair that is lost or doubled changes every pair feature."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.frame_pairs import (
    blocks,
    ordered_pairs,
    pair_numbers,
    split_frames,
    split_labels,
    unordered_pairs,
    window_counts,
)

FRAMES = st.lists(st.integers(-3, 6), max_size=20).map(lambda f: np.array(sorted(f), dtype=int))


def listed(pairs):
    return list(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))


def test_three_rows_and_one_row():
    """Rows 0-2 in frame 4: six ordered and three unordered pairs; row 3 is alone in frame 5."""
    frames = np.array([4, 4, 4, 5])
    assert listed(ordered_pairs(frames)) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert listed(unordered_pairs(frames)) == [(0, 1), (0, 2), (1, 2)]


@given(FRAMES)
def test_pairs_are_those_of_a_plain_loop(frames):
    same = [np.flatnonzero(frames == frame).tolist() for frame in np.unique(frames)]
    assert listed(ordered_pairs(frames)) == [p for rows in same for p in permutations(rows, 2)]
    assert listed(unordered_pairs(frames)) == [p for rows in same for p in combinations(rows, 2)]


@given(FRAMES, st.integers(1, 9))
def test_blocks_keep_frames_whole_and_small(frames, limit):
    """Cut inside a frame, its pairs would be lost; without a limit, memory would not be bounded."""
    parts = split_frames(frames, limit)
    rows = [row for part in parts for row in range(part.start, part.stop)]
    assert rows == list(range(len(frames)))
    for part in parts:
        inside = frames[part]
        assert not {*inside.tolist()} & {*frames[part.stop :].tolist()}
        before_last = inside[inside != inside[-1]]
        assert len(ordered_pairs(before_last)[0]) <= limit


def test_labels_stay_whole():
    """Limit 3: label 0 fills a block, 1 and 2 share the next, though 2 exceeds it by a row."""
    labels = np.array([0, 0, 0, 1, 2, 2, 2, 3])
    assert split_labels(labels, 3) == [slice(0, 3), slice(3, 7), slice(7, 8)]
    assert split_labels(labels[:0], 3) == []


def test_blocks_cover_all_rows():
    assert blocks(5, 2) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert blocks(0, 2) == []


def test_numbers_of_pairs_do_not_collide():
    """Individuals 0 to 2 give 3·first + second."""
    numbers = pair_numbers(np.array([2, 0, 1]), (np.array([0, 1, 2]), np.array([1, 2, 0])))
    assert numbers.tolist() == [6, 1, 5]


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=15), st.integers(1, 6))
def test_window_counts_keys_not_rows(values, length):
    """A window over rows would reach across a frame gap."""
    known = dict(values)
    keys = np.array(sorted(known), dtype=int)
    wanted = np.array([known[key] for key in keys.tolist()], dtype=bool)
    expected = [int(wanted[(keys > key - length) & (keys <= key)].sum()) for key in keys]
    assert window_counts(wanted, keys, length).tolist() == expected
