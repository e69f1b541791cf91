"""Scores of classes, by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.models.metrics import (
    accuracy,
    average_precision,
    class_scores,
    confusion_matrix,
    macro_mean,
    or_none,
)

TRUTH = np.array([1, 1, 1, 3, 3, 7])
PREDICTED = np.array([1, 1, 3, 3, 7, 7])
CLASSES = [1, 3, 7, 9]

samples = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    min_size=1,
    max_size=40,
)


def test_confusion_by_hand() -> None:
    """Of three 1s two are found and one is called 3; of two 3s one is called 7; the 7 is found."""
    expected = [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert confusion_matrix(TRUTH, PREDICTED, CLASSES).tolist() == expected


def test_scores_by_hand_and_nothing_where_nothing_is_defined() -> None:
    """Class 1: precision 2/2, recall 2/3, F1 4/5. Class 3: 1/2, 1/2, 1/2. Class 7: 1/2, 1, 2/3.

    Class 9 is in neither: all three undefined, so the macro F1 is (4/5 + 1/2 + 2/3) / 3 = 59/90;
    with 0 for class 9 it would be 59/120.
    """
    confusion = confusion_matrix(TRUTH, PREDICTED, CLASSES)
    scores = class_scores(confusion)
    assert scores.precision == pytest.approx([1, 1 / 2, 1 / 2, math.nan], nan_ok=True)
    assert scores.recall == pytest.approx([2 / 3, 1 / 2, 1, math.nan], nan_ok=True)
    assert scores.f1 == pytest.approx([4 / 5, 1 / 2, 2 / 3, math.nan], nan_ok=True)
    assert scores.support.tolist() == [3, 2, 1, 0]
    assert scores.predicted.tolist() == [2, 2, 2, 0]
    assert macro_mean(scores.f1) == pytest.approx(59 / 90)
    assert accuracy(confusion) == pytest.approx(4 / 6)


def test_a_class_only_predicted_has_a_precision_and_no_f1() -> None:
    """Called 2 once and never right: precision 0, but there was nothing to be found."""
    scores = class_scores(confusion_matrix(np.array([1]), np.array([2]), [1, 2]))
    assert scores.precision == pytest.approx([math.nan, 0.0], nan_ok=True)
    assert scores.recall == pytest.approx([0.0, math.nan], nan_ok=True)
    assert scores.f1 == pytest.approx([0.0, math.nan], nan_ok=True)


def test_without_samples_nothing_is_defined() -> None:
    """A fold without labels must not look like a model that is always wrong."""
    none = np.empty(0, np.int64)
    confusion = confusion_matrix(none, none, [0, 1])
    assert math.isnan(accuracy(confusion))
    assert math.isnan(macro_mean(class_scores(confusion).f1))
    assert confusion_matrix(none, none, []).shape == (0, 0)
    assert or_none(math.nan) is None
    assert or_none(0.5) == 0.5


def test_average_precision_by_hand() -> None:
    """Ranked yes, no, yes, no: P = 1 at R = 1/2, P = 2/3 at R = 1: (1 + 2/3) / 2 = 5/6."""
    positive = np.array([True, False, True, False])
    assert average_precision(positive, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(5 / 6)


def test_equal_scores_are_one_step_of_average_precision() -> None:
    """All four alike: P = 2/4 at R = 1. Row order must not decide who comes first."""
    positive = np.array([True, False, True, False])
    assert average_precision(positive, np.full(4, 0.3)) == pytest.approx(0.5)


def test_samples_without_a_score_are_found_last() -> None:
    """Score .9 for one, none for the other two: 1/2 · 1 + 1/2 · 2/3 = 5/6; dropped, it were 1."""
    positive = np.array([True, True, False])
    scores = np.array([0.9, math.nan, math.nan])
    assert average_precision(positive, scores) == pytest.approx(5 / 6)
    assert math.isnan(average_precision(np.array([False]), np.array([0.3])))


@given(samples)
def test_average_precision_agrees_with_scikit_learn(
    rows: list[tuple[int, int, float]],
) -> None:
    positive = np.array([truth == 0 for truth, _, _ in rows])
    scores = np.array([score for _, _, score in rows])
    if positive.any():
        expected = average_precision_score(positive, scores)
        assert average_precision(positive, scores) == pytest.approx(expected)


@given(samples)
def test_scores_are_shares_and_the_order_of_samples_does_not_matter(
    rows: list[tuple[int, int, float]],
) -> None:
    """All lie in [0, 1]; counts add up; a shuffle changes nothing."""
    truth, predicted, score = (np.array(part) for part in zip(*rows, strict=True))
    order = np.random.default_rng(0).permutation(len(rows))
    confusion = confusion_matrix(truth, predicted, range(4))
    assert np.array_equal(confusion, confusion_matrix(truth[order], predicted[order], range(4)))
    scores = class_scores(confusion)
    for values in (scores.precision, scores.recall, scores.f1):
        defined = values[~np.isnan(values)]
        assert ((defined >= 0) & (defined <= 1)).all()
    assert scores.support.sum() == scores.predicted.sum() == len(rows)
    assert 0 <= accuracy(confusion) <= 1
    found = average_precision(truth == 1, score)
    assert math.isnan(found) or 0 < found <= 1
    again = average_precision((truth == 1)[order], score[order])
    assert again == pytest.approx(found, nan_ok=True)


def test_what_does_not_fit_is_refused() -> None:
    """A class that nobody named would otherwise be counted as another."""
    with pytest.raises(ParamsError, match="class 9"):
        confusion_matrix(np.array([9]), np.array([1]), [1, 2])
    with pytest.raises(ParamsError, match="class 1"):
        confusion_matrix(np.array([1]), np.array([0]), [0, 2])
    with pytest.raises(ParamsError, match="1 true classes and 2"):
        confusion_matrix(np.array([1]), np.array([1, 1]), [1, 2])
    with pytest.raises(ParamsError, match="not ascending"):
        confusion_matrix(np.array([1]), np.array([1]), [2, 1])
