"""Splits of recordings: a training recording in the test set makes every score too good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.library.supervised._entry_split import count_for_testing, split_entries
from mosaic_dagster.keys import EntryKey


def keys(n: int, n_groups: int = 1) -> list[EntryKey]:
    return [EntryKey(f"g{i % n_groups}", f"s{i}") for i in range(n)]


def for_testing(splits) -> set[int]:
    return {i for i, split in enumerate(splits) if split == "test"}


@pytest.mark.parametrize(
    ("n", "fraction", "expected"),
    [(10, 0.2, 2), (10, 0.0, 0), (10, 1.0, 10), (1, 0.5, 0), (1, 1.0, 0), (3, 0.01, 1),
     (3, 0.99, 2), (0, 0.5, 0), (7, 0.5, 4)],
)  # fmt: skip
def test_both_sides_get_an_entry_unless_nothing_or_all_is_asked_for(n, fraction, expected):
    """7 · 0.5 = 3.5 rounds to 4; 3 · 0.01 would be none, and is one."""
    assert count_for_testing(n, fraction) == expected


@given(st.integers(2, 30), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_random_split_has_the_asked_number_and_only_the_seed_decides(n, fraction, seed):
    counts = np.ones((n, 1), dtype=np.int64)
    splits = split_entries(keys(n), counts, "random", fraction, seed)
    assert len(for_testing(splits)) == count_for_testing(n, fraction)
    assert splits == split_entries(keys(n), counts, "random", fraction, seed)


def test_other_seeds_choose_other_entries():
    counts = np.ones((20, 1), dtype=np.int64)
    chosen = {
        frozenset(for_testing(split_entries(keys(20), counts, "random", 0.2, s))) for s in range(5)
    }
    assert len(chosen) == 5


def test_one_more_recording_changes_the_random_split_by_one_at_most():
    """Else a new recording would move half of the old ones to the other side."""
    before = for_testing(split_entries(keys(20), np.ones((20, 1), np.int64), "random", 0.2, 1))
    after = for_testing(split_entries(keys(21), np.ones((21, 1), np.int64), "random", 0.2, 1))
    assert len(before - after) <= 1


def test_groups_are_never_cut():
    """4 groups of 3 with fraction 0.25: one whole group."""
    many = keys(12, 4)
    chosen = for_testing(split_entries(many, np.ones((12, 1), np.int64), "group", 0.25, 3))
    assert len(chosen) == 3
    assert len({many[i].group for i in chosen}) == 1


def test_a_single_group_is_all_for_training():
    assert not for_testing(split_entries(keys(5), np.ones((5, 1), np.int64), "group", 0.4, 0))


@pytest.mark.parametrize("seed", range(5))
def test_stratified_puts_each_class_on_both_sides(seed):
    """Rare class in entries 0 and 1 only, of ten: half the entries hold exactly one of the two."""
    counts = np.full((10, 2), [100, 0])
    counts[:2, 1] = 7
    chosen = for_testing(split_entries(keys(10), counts, "stratified", 0.5, seed))
    assert len(chosen) == 5
    assert len(chosen & {0, 1}) == 1


def test_stratified_by_hand():
    """Shares wanted: 1/4 of each class. Entry 2 has 1/4 and 1/4, which is exact."""
    counts = np.array([[4, 0], [1, 6], [2, 2], [1, 0]])
    assert for_testing(split_entries(keys(4), counts, "stratified", 0.25, 0)) == {2}


def test_equal_entries_are_chosen_by_lot():
    counts = np.ones((10, 1), dtype=np.int64)
    chosen = {
        frozenset(for_testing(split_entries(keys(10), counts, "stratified", 0.2, s)))
        for s in range(5)
    }
    assert len(chosen) > 1


def test_named_entries_are_taken_as_named():
    rule = {"g0/s1": "test", "g0/s0": "train"}
    splits = split_entries(keys(3), np.ones((3, 1), np.int64), rule, 0.9, 0)
    assert splits == ["train", "test", None]
