"""Classes of unequal size: weights of their rows, and which rows to leave out or repeat."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray


def balanced_weights(classes: IntArray) -> FloatArray:
    """Weight of each row that gives all classes the same sum, shape (n_rows,).

    A row of class c weighs ``n_rows / (n_classes · n_c)``, so that the mean weight is 1.

    Parameters
    ----------
    classes
        Class of each row, shape (n_rows,).
    """
    present, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    weights = len(classes) / (len(present) * counts)
    return np.asarray(weights[codes], dtype=np.float64)


def positive_weights(positive: BoolArray) -> FloatArray:
    """Weight of each row of a two-class problem, shape (n_rows,).

    Positive rows weigh ``n_negative / max(n_positive, 1)``, negative ones 1.

    Parameters
    ----------
    positive
        Shape (n_rows,).
    """
    n_positive = int(positive.sum())
    return np.where(positive, (len(positive) - n_positive) / max(n_positive, 1), 1.0)


def undersample(classes: IntArray, ratio: float, rng: np.random.Generator) -> IntArray:
    """Positions of the rows that stay when large classes are cut, ascending.

    With m rows in the smallest class, a class of n rows keeps ``max(m, min(n, floor(m · ratio)))``
    of them, drawn without replacement.

    Parameters
    ----------
    classes
        Class of each row, shape (n_rows,).
    ratio
        Most rows of a class, as a multiple of the smallest one; positive.
    rng
        Draws the rows.
    """
    if not len(classes):
        return np.empty(0, dtype=np.int64)
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    smallest = int(counts.min())
    kept = np.maximum(smallest, np.minimum(counts, int(smallest * ratio)))
    order = np.lexsort((rng.random(len(classes)), codes))
    rank = np.arange(len(classes)) - np.repeat(counts.cumsum() - counts, counts)
    return np.sort(order[rank < kept[codes[order]]])


def oversample(classes: IntArray, rng: np.random.Generator) -> IntArray:
    """Positions with repetitions that bring every class to the size of the largest, ascending.

    Every row is there at least once; the others are drawn with replacement.

    Parameters
    ----------
    classes
        Class of each row, shape (n_rows,).
    rng
        Draws the rows.
    """
    if not len(classes):
        return np.empty(0, dtype=np.int64)
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    parts = [np.arange(len(classes), dtype=np.int64)]
    for code, count in enumerate(counts):
        members = np.flatnonzero(codes == code)
        parts.append(members[rng.integers(0, count, counts.max() - count)])
    return np.sort(np.concatenate(parts))
