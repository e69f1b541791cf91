"""Runs and stretches: wrong ones mix individuals or bridge gaps in every feature."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.runs import (
    find_constant,
    find_runs,
    find_stretches,
    find_tracks,
)


def test_a_run_ends_at_a_gap_and_at_the_next_individual():
    identity = np.array([0, 0, 0, 1, 1])
    frames = np.array([0, 1, 3, 4, 5])
    assert find_runs(identity, frames) == [slice(0, 2), slice(2, 3), slice(3, 5)]
    assert find_tracks(identity) == [slice(0, 3), slice(3, 5)]


def test_no_rows_have_no_runs():
    nothing = np.empty(0, dtype=np.int64)
    assert find_runs(nothing, nothing) == []
    assert find_stretches(np.empty(0, dtype=np.bool_)) == []


def test_constant_stretches_split_where_the_label_changes():
    assert find_constant(np.array([7, 7, 2, 7])) == [slice(0, 2), slice(2, 3), slice(3, 4)]


@given(st.lists(st.booleans()))
def test_stretches_cover_exactly_the_true_rows(wanted):
    flags = np.array(wanted, dtype=np.bool_)
    covered = np.zeros_like(flags)
    stretches = find_stretches(flags)
    for stretch in stretches:
        assert not covered[stretch].any()
        covered[stretch] = True
    np.testing.assert_array_equal(covered, flags)
    # Maximal: neighbouring stretches do not touch.
    assert all(a.stop < b.start for a, b in pairwise(stretches))
