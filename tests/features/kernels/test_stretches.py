"""Stretches of frames: an end that is off by one cuts or lengthens an interaction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_closing, binary_opening

from mosaic_dagster.features.kernels.runs import find_stretches
from mosaic_dagster.features.kernels.stretches import Stretches, stretches_of


def listed(stretches: Stretches) -> list[tuple[int, int, int]]:
    columns = (stretches.owner, stretches.start, stretches.end)
    return list(zip(*(c.tolist() for c in columns), strict=True))


def test_owners_and_gaps_end_a_stretch():
    owner, frames = np.array([0, 0, 0, 1, 1]), np.array([3, 4, 6, 7, 8])
    assert listed(stretches_of(owner, frames)) == [(0, 3, 4), (0, 6, 6), (1, 7, 8)]
    assert listed(stretches_of(owner[:0], frames[:0])) == []


def test_a_gap_is_filled_when_shorter_than_the_size():
    """Frames 10–12 and 15–16 in 0–99: two frames between, filled by size 3 and not by 2."""
    two = Stretches(np.array([0, 0]), np.array([10, 15]), np.array([12, 16]))
    assert listed(two.closed(3)) == [(0, 10, 16)]
    assert listed(two.closed(2)) == listed(two)
    assert listed(two.closed(0)) == listed(two)


def test_padding_joins_only_what_overlaps():
    """0–2 and 5–6 padded by 1: 0–3 and 4–7 touch and stay apart; by 2 they share frames."""
    two = Stretches(np.array([0, 0]), np.array([0, 5]), np.array([2, 6]))
    assert listed(two.padded(1, 0, 7)) == [(0, 0, 3), (0, 4, 7)]
    assert listed(two.padded(2, 0, 7)) == [(0, 0, 7)]


def test_numbers_and_search_are_per_owner():
    three = Stretches(np.array([2, 2, 5]), np.array([0, 8, 3]), np.array([4, 9, 9]))
    assert three.numbered().tolist() == [0, 1, 0]
    owner, frames = np.array([2, 2, 2, 5, 5, 1, 9]), np.array([4, 5, 9, 2, 3, 3, 3])
    assert three.find(owner, frames).tolist() == [0, -1, 1, -1, 2, -1, -1]
    nothing = three.keep(np.zeros(3, dtype=bool))
    assert nothing.find(owner, frames).tolist() == [-1] * 7


@pytest.mark.parametrize("size", [2, 3, 4, 7])
@given(cells=st.lists(st.booleans(), min_size=1, max_size=40))
def test_closing_and_opening_agree_with_the_image_operations(size, cells):
    """On a line with room beyond its ends, so that nothing there is filled or taken away."""
    line = np.array(cells)
    if not line.any():
        return
    frames = np.flatnonzero(line)
    found = stretches_of(np.zeros(len(frames), dtype=int), frames)
    found = found.closed(size)
    closed = binary_closing(np.pad(line, 2 * size), np.ones(size))
    closed = closed[2 * size : -2 * size]
    assert [(s, e + 1) for _, s, e in listed(found)] == edges(closed)
    opened = binary_opening(np.pad(closed, 2 * size), np.ones(size))[2 * size : -2 * size]
    assert [(s, e + 1) for _, s, e in listed(found.at_least(size))] == edges(opened)


def edges(line) -> list[tuple[int, int]]:
    return [(s.start, s.stop) for s in find_stretches(line)]
