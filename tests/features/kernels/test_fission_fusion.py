"""Groups and events: who is counted as being with whom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mosaic_dagster.features.kernels import fission_fusion
from mosaic_dagster.features.kernels.fission_fusion import (
    group_events,
    group_leaders,
    group_numbers,
    group_sizes,
)


def plain_groups(x: np.ndarray, frames: np.ndarray, cutoff: float, window: int) -> list[list[set]]:
    """Groups of each frame by following links, animals on a line."""
    reach, found = window // 2, []
    for frame in frames:
        rows = np.abs(frames - frame) <= reach
        here = np.flatnonzero(np.isfinite(x[frames == frame][0]))
        groups = []
        for i in here:
            linked = [g for g in groups if any(_near(x[rows], i, j, cutoff) for j in g)]
            groups = [g for g in groups if g not in linked] + [{int(i)}.union(*linked)]
        found.append(sorted(groups, key=min))
    return found


def _near(x: np.ndarray, i: int, j: int, cutoff: float) -> bool:
    return bool(np.nanmean(np.abs(x[:, i] - x[:, j])) < cutoff)


def plain_events(groups: list[list[set]], frames: np.ndarray, min_duration: int) -> list[tuple]:
    """Events as (run, members, first row, last row), sorted."""
    run = np.cumsum(np.diff(frames, prepend=frames[0]) != 1).tolist()
    open_, done = {}, []
    for row, here in enumerate(groups):
        sets = {tuple(sorted(g)) for g in here}
        for members in list(open_):
            if members not in sets or run[row] != run[row - 1]:
                done.append((run[row - 1], members, open_.pop(members), row - 1))
        for members in sets - set(open_):
            open_[members] = row
    done += [(run[-1], members, start, len(groups) - 1) for members, start in open_.items()]
    return sorted(e for e in done if frames[e[3]] - frames[e[2]] >= min_duration)


walks = arrays(
    np.float64,
    st.tuples(st.integers(1, 10), st.integers(1, 5)),
    elements=st.sampled_from([0.0, 1.0, 2.0, 4.0, 7.0, np.nan]),
)


@settings(deadline=None)
@given(walks, st.data())
def test_agrees_with_following_links_frame_by_frame(x, data):
    steps = data.draw(st.lists(st.sampled_from([1, 1, 1, 2, 7]), min_size=len(x), max_size=len(x)))
    window, least = data.draw(st.sampled_from([1, 3, 5])), data.draw(st.integers(0, 2))
    frames = np.cumsum(steps)
    leaders = group_leaders(x, np.zeros_like(x), frames, 2.5, window)
    groups = plain_groups(x, frames, 2.5, window)
    numbers, sizes, expected = group_numbers(leaders), group_sizes(leaders), -np.ones_like(leaders)
    for row, here in enumerate(groups):
        for number, members in enumerate(here):
            assert set(np.flatnonzero(numbers[row] == number).tolist()) == members
            assert (sizes[row, list(members)] == len(members)).all()
    assert ((numbers < 0) == np.isnan(x)).all()
    assert ((sizes < 0) == np.isnan(x)).all()
    for number, (_, members, first, last) in enumerate(plain_events(groups, frames, least)):
        expected[first : last + 1, list(members)] = number
    np.testing.assert_array_equal(group_events(leaders, frames, least), expected)


@pytest.mark.parametrize("window", [1, 5])
def test_blocks_of_frames_change_nothing(monkeypatch, window):
    """Memory is bounded by blocks; a seam between them must not show."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 2, (2, 90, 6))
    x[rng.random(x.shape) < 0.1] = np.nan
    frames = np.cumsum(rng.integers(1, 3, 90))
    whole = group_leaders(x, y, frames, 1.5, window)
    events = group_events(whole, frames, 0)
    monkeypatch.setattr(fission_fusion, "_BLOCK", 1)
    np.testing.assert_array_equal(group_leaders(x, y, frames, 1.5, window), whole)
    np.testing.assert_array_equal(group_events(whole, frames, 0), events)


def test_nobody_at_all():
    empty = np.empty((0, 3))
    frames = np.empty(0, dtype=np.int64)
    leaders = group_leaders(empty, empty, frames, 1.0, 3)
    assert leaders.shape == group_events(leaders, frames, 1).shape == (0, 3)
