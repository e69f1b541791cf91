"""Decisions and scores: a wrong zero in a score reads as a bad model."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.class_decisions import decide, score_classes

CLASSES = np.array([1, 3])


def test_the_most_probable_class_is_taken_and_the_first_of_equals():
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5]])
    assert decide(probabilities, CLASSES, 9).tolist() == [1, 3, 1]


def test_below_its_threshold_a_class_is_out():
    """Threshold 0.7 for class 1: 0.6 is out, so 3 wins with 0.4; 0.7 itself is in."""
    probabilities = np.array([[0.6, 0.4], [0.7, 0.3], [0.6, 0.0]])
    assert decide(probabilities, CLASSES, 9, np.array([0.7, 0.0])).tolist() == [3, 1, 9]


def test_rows_without_probabilities_get_the_default():
    probabilities = np.array([[np.nan, np.nan], [0.0, 0.0]])
    assert decide(probabilities, CLASSES, 9).tolist() == [9, 9]
    assert decide(np.empty((0, 2)), CLASSES, 9).tolist() == []


def test_decisions_leave_the_probabilities_alone():
    probabilities = np.array([[0.6, np.nan]])
    decide(probabilities, CLASSES, 9, np.array([0.9, 0.9]))
    np.testing.assert_array_equal(probabilities, [[0.6, np.nan]])


def test_scores_by_hand():
    """Class 1: 3 rows, 2 found, 4 predicted: precision 1/2, recall 2/3, F1 = 4/7.

    Class 3: 2 rows, none found, 1 predicted: 0, 0, 0. Class 5: no rows, nothing is defined.
    Class 8: one row, never predicted: precision undefined, recall 0, F1 0.
    """
    truth = np.array([1, 1, 1, 3, 3, 8])
    predicted = np.array([1, 1, 3, 1, 1, 5])
    scores = score_classes(truth, predicted, np.array([1, 3, 5]))
    assert scores.classes.tolist() == [1, 3, 5, 8]
    assert scores.support.tolist() == [3, 2, 0, 1]
    np.testing.assert_allclose(scores.precision, [0.5, 0, np.nan, np.nan])
    np.testing.assert_allclose(scores.recall, [2 / 3, 0, np.nan, 0])
    np.testing.assert_allclose(scores.f1, [4 / 7, 0, np.nan, 0])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_scores_are_shares_and_perfect_for_the_truth(pairs):
    truth, predicted = np.array(pairs).T
    scores = score_classes(truth, predicted, np.arange(4))
    for values in (scores.precision, scores.recall, scores.f1):
        known = values[~np.isnan(values)]
        assert ((known >= 0) & (known <= 1)).all()
    perfect = score_classes(truth, truth, np.arange(4))
    assert set(perfect.f1[perfect.support > 0]) == {1.0}
