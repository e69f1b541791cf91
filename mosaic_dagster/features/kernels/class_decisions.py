"""From probabilities of classes to one class per row, and how good these classes are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray


def decide(
    probabilities: FloatArray,
    classes: IntArray,
    default_class: int,
    thresholds: FloatArray | None = None,
) -> IntArray:
    """Class of each row, shape (n_rows,).

    The most probable class, the first of equals. A probability below the threshold of its class
    counts as 0; where nothing is left, or every probability is NaN, the default class is taken.

    Parameters
    ----------
    probabilities
        Shape (n_rows, n_classes).
    classes
        Class of each column, shape (n_classes,).
    default_class
        Class of the undecided rows; need not be among ``classes``.
    thresholds
        Shape (n_classes,); None means none.
    """
    left = np.where(np.isnan(probabilities), 0.0, probabilities)
    if thresholds is not None:
        left[left < thresholds] = 0.0
    decided = left.max(axis=1) > 0
    return np.where(decided, classes[left.argmax(axis=1)], default_class).astype(np.int64)


@dataclass(frozen=True)
class ClassScores:
    """Scores of each class; NaN where a score is undefined.

    Attributes
    ----------
    classes
        Classes that were scored, ascending, shape (n_classes,).
    precision
        Share of the rows predicted as the class that are of it; NaN when none was.
    recall
        Share of the rows of the class that were predicted as it.
    f1
        Harmonic mean of both, ``2 tp / (2 tp + fp + fn)``.
    support
        Rows of the class. Where there is none, all three scores are NaN.
    """

    classes: IntArray
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: IntArray


def score_classes(truth: IntArray, predicted: IntArray, classes: IntArray) -> ClassScores:
    """Precision, recall and F1 of each class.

    Parameters
    ----------
    truth, predicted
        Class of each row, shape (n_rows,).
    classes
        Classes to score, besides those in ``truth``.
    """
    scored = np.union1d(classes, truth).astype(np.int64)
    support = _count(truth, scored)
    found = _count(predicted, scored)
    hits = _count(truth[truth == predicted], scored)
    absent = support == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(absent, np.nan, hits / found)
        recall = hits / support
        f1 = np.where(absent, np.nan, 2 * hits / (support + found))
    return ClassScores(scored, precision, recall, f1, support)


def _count(rows: IntArray, classes: IntArray) -> IntArray:
    ordered = np.sort(rows)
    after = np.searchsorted(ordered, classes, side="right")
    return np.asarray(after - np.searchsorted(ordered, classes, side="left"), dtype=np.int64)
