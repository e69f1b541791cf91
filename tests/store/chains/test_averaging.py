from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains import (
    average_folds,
    combine_probabilities,
    combine_votes,
    fold_average_weights,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "higher", "weights"),
    [
        ([1.0, 2.0, 4.0], False, [4 / 7, 2 / 7, 1 / 7]),  # 1, 1/2, 1/4 over 7/4
        ([1.0, 3.0], True, [1 / 4, 3 / 4]),
        ([-1.0, 0.0, 2.0], True, [0.0, 1 / 4, 3 / 4]),  # 0, 1, 3 over 4
        ([0.5, 0.5, 0.5], False, [1 / 3] * 3),
        ([0.0, 0.0], True, [1 / 2] * 2),
        ([-2.0, -2.0], True, [1 / 2] * 2),
        ([0.0, 0.0], False, [1 / 2] * 2),
        ([NAN, NAN], False, [1 / 2] * 2),
        ([NAN, 1.0, 3.0], True, [0.0, 1 / 4, 3 / 4]),
        ([None, 2.0, 2.0], False, [0.0, 1 / 2, 1 / 2]),
        ([float("inf"), 1.0, 1.0], False, [0.0, 1 / 2, 1 / 2]),
    ],
)
def test_weights_by_hand(scores, higher, weights):
    """Else 'w_avg' means something else than what the documentation says."""
    np.testing.assert_allclose(fold_average_weights(scores, higher), weights, rtol=1e-12)


def test_a_score_of_zero_is_moved_above_zero():
    """Scores 0 and 1: 1e-8 and 1 + 1e-8, so weights 1e8 and 1/(1 + 1e-8), sum 1."""
    low, high = 1e-8, 1 + 1e-8
    expected = np.array([high, low]) / (high + low)
    np.testing.assert_allclose(fold_average_weights([0.0, 1.0], False), expected, rtol=1e-12)


@given(
    scores=st.lists(st.floats(-1e6, 1e6) | st.just(NAN), min_size=1, max_size=8),
    higher=st.booleans(),
)
def test_weights_sum_to_one_and_favour_the_better(scores, higher):
    """Else a weighted mean is biased, or the worst fold counts most."""
    weights = fold_average_weights(scores, higher)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    known = [(s if higher else -s, w) for s, w in zip(scores, weights, strict=True) if s == s]
    by_score = [w for _, w in sorted(known)]
    assert all(a <= b + 1e-12 for a, b in pairwise(by_score))


def test_weights_need_a_score():
    """Else a run without folds stores an empty mean."""
    with pytest.raises(StoreValueError):
        fold_average_weights([], True)


def test_tiny_scores_do_not_overflow():
    """1e-320 and 2e-320: their inverses are infinite, their weights 2/3 and 1/3."""
    weights = fold_average_weights([1e-320, 2e-320], False)
    np.testing.assert_allclose(weights, [2 / 3, 1 / 3], rtol=1e-3)


def test_means_by_hand():
    """Mean of 1 and 4 is 2.5; with weights 2 and 1 it is (2 + 4) / 3 = 2."""
    folds = [np.array([1.0, 0.0]), np.array([4.0, 3.0])]
    assert average_folds(folds).tolist() == [2.5, 1.5]
    assert average_folds(folds, [2, 1]).tolist() == [2.0, 1.0]


def test_a_fold_of_weight_zero_takes_no_part():
    """Else a diverged fold, whose predictions are NaN, spoils the mean that leaves it out."""
    assert average_folds([[1.0], [NAN]], [1.0, 0.0]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ([], None),
        ([[1.0], [1.0, 2.0]], None),
        ([[1.0]], [1.0, 2.0]),
        ([[1.0], [1.0]], [-1.0, 2.0]),
        ([[1.0], [1.0]], [0.0, 0.0]),
        ([[1.0], [1.0]], [NAN, 1.0]),
    ],
)
def test_means_that_make_no_sense_are_refused(values, weights):
    """Else wrong numbers come out without a word."""
    with pytest.raises(StoreValueError):
        average_folds(values, weights)


def test_a_class_that_a_fold_never_saw_has_no_probability_there():
    """Fold 1 knows a, c and fold 2 a, b: a (.2 + .3)/2, b .7/2, c .8/2."""
    first, second = np.array([[0.2, 0.8]]), np.array([[0.3, 0.7]])
    mean, classes = combine_probabilities(
        [first, second], [np.array(["a", "c"]), np.array(["a", "b"])]
    )
    assert classes.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(mean, [[0.25, 0.35, 0.4]])
    mean, _ = combine_probabilities(
        [first, second], [np.array(["a", "c"]), np.array(["a", "b"])], [3, 1]
    )
    np.testing.assert_allclose(mean, [[0.225, 0.175, 0.6]])


def test_votes_by_hand():
    """Row 1: 2 against 0, 0. Row 2: one each, so the smallest. Weights 5, 1, 1 turn row 1."""
    folds = [np.array([2, 2]), np.array([0, 1]), np.array([0, 0])]
    assert combine_votes(folds).tolist() == [0, 0]
    assert combine_votes(folds, [5, 1, 1]).tolist() == [2, 2]


def test_votes_keep_text_labels_and_outputs():
    """Else classifiers of named behaviours or of several outputs cannot be replayed."""
    folds = [np.array([["rear", "a"]]), np.array([["groom", "b"]]), np.array([["rear", "b"]])]
    assert combine_votes(folds).tolist() == [["rear", "b"]]
