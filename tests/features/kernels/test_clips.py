"""Clips: overlapping ones hold frames twice, and one that leaves its run is none."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.clips import place_clips


def place(seeds: list[int], n_rows: int, length: int) -> list[int]:
    return place_clips(np.array(seeds, dtype=np.int64), n_rows, length).tolist()


def test_free_seeds_begin_clips():
    assert place([0, 10], 20, 4) == [0, 10]


def test_an_overlap_pushes_the_later_clip():
    """3 lies in 0…3, so it moves to 4, and 5 to 8."""
    assert place([0, 3, 5], 20, 4) == [0, 4, 8]


def test_the_end_pushes_back():
    """18 must begin at 16, so 15 at 12."""
    assert place([15, 18], 20, 4) == [12, 16]


def test_a_full_run_takes_what_fits():
    assert place([1, 2, 3], 9, 4) == [1, 5]
    assert place([1], 3, 4) == []
    assert place([], 10, 4) == []


@given(
    st.integers(1, 60),
    st.integers(1, 9),
    st.sets(st.integers(0, 59), max_size=20),
)
def test_clips_are_disjoint_and_inside(n_rows, length, seeds):
    wanted = sorted(seed for seed in seeds if seed < n_rows)
    starts = place(wanted, n_rows, length)
    assert len(starts) == min(len(wanted), n_rows // length)
    assert all(0 <= start <= n_rows - length for start in starts)
    assert all(b - a >= length for a, b in pairwise(starts))
