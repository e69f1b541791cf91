"""Splits divide recordings and never cut one."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FitError, ParamsError, ScopeError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.models.splits import (
    Fold,
    explicit_folds,
    k_folds,
    stratified_parts,
    train_test_split,
)


def keys_of(*groups: tuple[str, int]) -> list[EntryKey]:
    return [EntryKey(name, f"s{n:02d}") for name, count in groups for n in range(count)]


KEYS = keys_of(("a", 5), ("b", 3), ("c", 2))
COUNTS = {key: {0: 100, 1: 10 * place} for place, key in enumerate(KEYS)}

groups = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), unique=True, min_size=2)


@given(groups, st.integers(2, 6), st.sampled_from(["entry", "group", "stratified"]), st.data())
@settings(max_examples=60, deadline=None)
def test_every_recording_is_tried_once_and_never_by_a_model_that_saw_it(
    pairs: list[tuple[str, int]], n_folds: int, by: Any, data: Any
) -> None:
    """A recording in both halves would make every score too good."""
    keys = [EntryKey(group, f"s{n}") for group, n in pairs]
    counts = {
        key: data.draw(st.dictionaries(st.integers(0, 3), st.integers(0, 99))) for key in keys
    }
    units = len({key.group for key in keys}) if by == "group" else len(keys)
    if units < n_folds:
        with pytest.raises(FitError, match="cannot be divided"):
            k_folds(keys, n_folds, by, counts=counts)
        return
    folds = k_folds(keys, n_folds, by, counts=counts)
    assert sorted(key for fold in folds for key in fold.test) == sorted(keys)
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert sorted([*fold.train, *fold.test]) == sorted(keys)
        if by == "group":
            assert not {k.group for k in fold.train} & {k.group for k in fold.test}


@pytest.mark.parametrize("by", ["entry", "group", "stratified"])
def test_the_order_of_the_keys_does_not_matter(by: Any) -> None:
    """The same data on another machine has to give the same folds."""
    shuffled = KEYS[:]
    random.Random(1).shuffle(shuffled)
    assert k_folds(KEYS, 3, by, counts=COUNTS) == k_folds(shuffled, 3, by, counts=COUNTS)
    assert train_test_split(KEYS, 0.3, by, counts=COUNTS) == train_test_split(
        shuffled, 0.3, by, counts=COUNTS
    )


def test_folds_of_recordings_have_equal_numbers_and_follow_the_seed() -> None:
    """10 recordings in 3 folds are 4 + 3 + 3."""
    folds = k_folds(KEYS, 3)
    assert sorted(len(fold.test) for fold in folds) == [3, 3, 4]
    assert [fold.name for fold in folds] == ["fold_0", "fold_1", "fold_2"]
    assert folds == k_folds(KEYS, 3, random_state=42) != k_folds(KEYS, 3, random_state=7)


def test_groups_are_dealt_out_the_largest_first() -> None:
    """5 + 3 + 2 recordings in two folds: a alone (5), b and c together (5)."""
    first, second = k_folds(KEYS, 2, "group")
    assert {key.group for key in first.test} == {"a"}
    assert {key.group for key in second.test} == {"b", "c"}


def test_a_stratified_split_gives_each_fold_its_share_of_a_rare_class() -> None:
    """Two of four recordings hold all attacks: one for each of the two folds.

    Each holds half of class 1; putting both into one fold costs (1² + 0²) / .5 = 2, one in each
    costs 2 (½²) / .5 = 1.
    """
    keys = keys_of(("", 4))
    counts = {keys[0]: {0: 50, 1: 10}, keys[1]: {0: 50, 1: 10}, keys[2]: {0: 50}, keys[3]: {0: 50}}
    for fold in k_folds(keys, 2, "stratified", counts=counts):
        assert sum(counts[key].get(1, 0) for key in fold.test) == 10
        assert len(fold.test) == 2


def test_stratified_parts_never_stay_empty() -> None:
    """Wanted are nine tenths and one: by shares alone both recordings would go to the first."""
    keys = keys_of(("", 2))
    parts = stratified_parts(keys, [0.9, 0.1], {key: {0: 10} for key in keys})
    assert sorted(len(part) for part in parts) == [1, 1]


def test_a_share_of_the_recordings_is_held_out() -> None:
    """A fifth of ten recordings is two; of two recordings it is still one."""
    fold = train_test_split(KEYS, 0.2)
    assert (len(fold.train), len(fold.test)) == (8, 2)
    assert len(train_test_split(KEYS[:2], 0.2).test) == 1


def test_explicit_splits_are_taken_as_they_are() -> None:
    keys = keys_of(("g", 3))
    (fold,) = explicit_folds(keys, {"g/s00": "train", "g/s01": "test", "g/s02": "train"})
    assert fold.test == (keys[1],)
    assert fold.train == (keys[0], keys[2])
    first, second = explicit_folds(keys, {"g/s00": 1, "g/s01": 0, "g/s02": 1})
    assert (first.test, second.test) == ((keys[1],), (keys[0], keys[2]))


@pytest.mark.parametrize(
    ("assignment", "error", "words"),
    [
        ({"g/s00": "train", "g/s01": "test", "g/s9": "test"}, ScopeError, "g/s9"),
        ({"g/s00": "train"}, ScopeError, r"does not name 'g/s01' \(1 in all\)"),
        ({"g/s00": "train", "g/s01": "validation"}, ParamsError, "'train'"),
        ({"g/s00": 0, "g/s01": "test"}, ParamsError, "'test'"),
        ({"g/s00": "train", "g/s01": "train"}, FitError, "no recording to test"),
        ({"g/s00": 0, "g/s01": 0}, FitError, "no recording to train"),
    ],
)
def test_an_explicit_split_with_a_slip_is_refused(
    assignment: Any, error: type[Exception], words: str
) -> None:
    """A misspelt recording would silently be trained on."""
    with pytest.raises(error, match=words):
        explicit_folds(keys_of(("g", 2)), assignment)


def test_impossible_splits_say_what_is_wrong() -> None:
    with pytest.raises(ParamsError, match="n_folds is 1"):
        k_folds(KEYS, 1)
    with pytest.raises(ParamsError, match="by 'frame'"):
        k_folds(KEYS, 2, "frame")  # type: ignore[arg-type]
    with pytest.raises(ParamsError, match="class counts"):
        k_folds(KEYS, 2, "stratified")
    with pytest.raises(ParamsError, match="test_fraction is 1"):
        train_test_split(KEYS, 1.0)
    with pytest.raises(ParamsError, match="given twice"):
        k_folds([*KEYS, KEYS[0]], 2)
    with pytest.raises(ParamsError, match="among its training and test"):
        Fold(0, tuple(KEYS), (KEYS[0],))
