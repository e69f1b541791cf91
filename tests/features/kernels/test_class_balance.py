"""Weights and resampling: what a rare behaviour counts in a fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.class_balance import (
    balanced_weights,
    oversample,
    positive_weights,
    undersample,
)

CLASSES = st.lists(st.sampled_from([-3, 1, 7]), min_size=1, max_size=40).map(np.array)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_balanced_weights_by_hand():
    """6 rows of 2 classes, 4 and 2: 6/(2·4) = 0.75 and 6/(2·2) = 1.5; each class sums to 3."""
    weights = balanced_weights(np.array([5, 1, 5, 5, 1, 5]))
    assert weights.tolist() == [0.75, 1.5, 0.75, 0.75, 1.5, 0.75]


def test_positive_weights_by_hand():
    """1 positive of 4 weighs 3; of no positive nothing is divided by zero."""
    positive = np.array([False, True, False, False])
    assert positive_weights(positive).tolist() == [1.0, 3.0, 1.0, 1.0]
    assert positive_weights(np.zeros(2, dtype=bool)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(1.0, [2, 2, 2]), (1.5, [2, 3, 3]), (0.1, [2, 2, 2]), (10.0, [2, 3, 8])],
)
def test_undersampling_cuts_large_classes_to_a_multiple_of_the_smallest(ratio, expected):
    """Classes of 2, 3 and 8 rows: max(2, min(n, floor(2 · ratio))) each."""
    classes = np.repeat([0, 1, 2], [2, 3, 8])
    kept = undersample(classes, ratio, rng())
    assert np.bincount(classes[kept]).tolist() == expected
    assert (np.diff(kept) > 0).all()


def test_undersampling_draws_among_all_rows():
    """Always the first rows would be one animal's first minutes."""
    classes = np.repeat([0, 1], [5, 1000])
    kept = undersample(classes, 20.0, rng())
    assert 350 < kept[5:].mean() < 650


@given(CLASSES)
def test_oversampling_makes_classes_equal_and_loses_no_row(classes):
    chosen = oversample(classes, rng())
    _, counts = np.unique(classes[chosen], return_counts=True)
    assert set(counts) == {np.unique(classes, return_counts=True)[1].max()}
    assert set(chosen) == set(range(len(classes)))


@given(CLASSES)
def test_balanced_classes_weigh_the_same(classes):
    weights = balanced_weights(classes)
    sums = [weights[classes == c].sum() for c in np.unique(classes)]
    np.testing.assert_allclose(sums, len(classes) / len(sums))


def test_no_rows_give_none():
    nothing = np.empty(0, dtype=np.int64)
    assert len(undersample(nothing, 1.0, rng())) == len(oversample(nothing, rng())) == 0
    assert len(balanced_weights(nothing)) == 0
