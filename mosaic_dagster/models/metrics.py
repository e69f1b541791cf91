"""How well classes were predicted, frame by frame: arrays in, numbers out.

What is not defined is NaN, never 0: the precision of a class that was never predicted, the recall
of one that never occurs. Classes are whole numbers; frames without a class are left out before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class ClassScores:
    """Scores of each class, shape (n_classes,) each.

    Attributes
    ----------
    precision
        Right among those predicted as the class; NaN where none was.
    recall
        Found among those of the class; NaN where there is none.
    f1
        2 TP / (2 TP + FP + FN); NaN where the class does not occur.
    support
        How many are of the class.
    predicted
        How many were predicted as the class.
    """

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: IntArray
    predicted: IntArray


def confusion_matrix(truth: IntArray, predicted: IntArray, classes: Sequence[int]) -> IntArray:
    """Count pairs of true class (rows) and predicted class (columns).

    Parameters
    ----------
    truth, predicted
        Class of each sample, shape (n_samples,).
    classes
        All classes, ascending; rows and columns are in this order.

    Returns
    -------
    ndarray
        Shape (n_classes, n_classes), sum n_samples.

    Raises
    ------
    ParamsError
        The lengths differ, the classes are not ascending, or a sample has another class.
    """
    if len(truth) != len(predicted):
        msg = f"There are {len(truth)} true classes and {len(predicted)} predicted ones."
        raise ParamsError(msg, "Give one of each per sample.")
    known = np.asarray(classes, dtype=np.int64)
    if (np.diff(known) <= 0).any():
        msg = f"The classes {known.tolist()} are not ascending."
        raise ParamsError(msg, "Give each class once, sorted.")
    rows, columns = _places(truth, known), _places(predicted, known)
    counted = np.bincount(rows * len(known) + columns, minlength=len(known) ** 2)
    return counted.reshape(len(known), len(known)).astype(np.int64)


def class_scores(confusion: IntArray) -> ClassScores:
    """Precision, recall and F1 of each class.

    Parameters
    ----------
    confusion
        As :func:`confusion_matrix` gives it.
    """
    right = np.diag(confusion)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = ratio(2 * right, support + predicted)
    return ClassScores(
        precision=ratio(right, predicted),
        recall=ratio(right, support),
        f1=np.where(support > 0, f1, np.nan),
        support=support,
        predicted=predicted,
    )


def accuracy(confusion: IntArray) -> float:
    """Share of samples that were predicted right; NaN without any sample."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else math.nan


def macro_mean(scores: FloatArray) -> float:
    """Mean over the classes that have a score; NaN when none has one."""
    defined = scores[np.isfinite(scores)]
    return float(defined.mean()) if len(defined) else math.nan


def average_precision(positive: BoolArray, scores: FloatArray) -> float:
    """Area below the steps of precision over recall: Σ (R_n − R_{n−1}) P_n.

    Thresholds go through the scores from the highest down; samples with equal scores count as
    one step.

    Parameters
    ----------
    positive
        Whether each sample is of the class, shape (n_samples,).
    scores
        Its score for the class, shape (n_samples,). A sample whose score is NaN counts as found
        last of all, since nothing was said about it.

    Returns
    -------
    float
        Between 0 and 1; NaN when no sample is of the class.
    """
    total = int(positive.sum())
    if not total:
        return math.nan
    lowest = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-lowest, kind="stable")
    ranked, hits = lowest[order], positive[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    found = np.cumsum(hits)[ends]
    gained = np.diff(found, prepend=0)
    return float((gained / total * found / (ends + 1)).sum())


def ratio(parts: IntArray | FloatArray, wholes: IntArray | FloatArray) -> FloatArray:
    """Quotient of each pair; NaN where the divisor is 0."""
    quotient = np.full(np.shape(wholes), np.nan)
    np.divide(parts, wholes, out=quotient, where=np.asarray(wholes) != 0)
    return quotient


def or_none(value: float) -> float | None:
    """A number as tables and JSON take it: what is not defined is None."""
    return float(value) if math.isfinite(value) else None


def _places(values: IntArray, classes: IntArray) -> IntArray:
    given = np.asarray(values, dtype=np.int64)
    places = np.searchsorted(classes, given)
    inside = places < len(classes)
    known = inside & (classes[np.where(inside, places, 0)] == given) if len(classes) else inside
    if not known.all():
        other = int(given[~known][0])
        msg = f"A sample has the class {other}, which is not among {classes.tolist()}."
        raise ParamsError(msg, "Name every class that occurs.")
    return places.astype(np.int64)
