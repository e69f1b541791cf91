"""From the predictions of several folds to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mosaic_dagster.errors import StoreValueError

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]

_SHIFT = 1e-8  # keeps the best fold's weight finite when scores had to be moved above zero


def fold_average_weights(scores: Sequence[float | None] | Array, higher_is_better: bool) -> Floats:
    """Weights of a score-weighted mean over folds.

    Parameters
    ----------
    scores
        One score per fold, shape ``(k,)``.
    higher_is_better
        Direction of the metric.

    Returns
    -------
    ndarray
        Shape ``(k,)``, sum 1. Where lower is better a weight is proportional to ``1 / s``, with
        ``s - min + 1e-8`` in place of ``s`` if any score is zero or negative; where higher is
        better to ``s``, with ``s - min`` if any is negative. Equal scores, or nothing but zeros,
        give equal weights.

    Raises
    ------
    StoreValueError
        There is no score.

    Notes
    -----
    NaN, None and infinite scores count as missing: their folds get the weight 0, and equal
    weights when all are missing.
    """
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    if values.size == 0:
        msg = "Weights were asked for without any score."
        raise StoreValueError(msg, "Give one score per fold.")
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.size, 1.0 / values.size)
    weights = np.zeros(values.size)
    weights[known] = _proportions(values[known], higher_is_better)
    return np.asarray(weights / weights.sum())


def _proportions(scores: Floats, higher_is_better: bool) -> Floats:
    """Weights of finite scores before they are made to sum to 1."""
    low = scores.min()
    if low == scores.max():
        return np.ones_like(scores)
    if higher_is_better:
        shifted = scores - low if low < 0 else scores
        return np.asarray(shifted / shifted.max())
    shifted = scores - low + _SHIFT if low <= 0 else scores
    # Relative to the best, since 1 / s overflows for the smallest numbers.
    return np.asarray(shifted.min() / shifted)


def average_folds(
    values: Sequence[npt.ArrayLike], weights: Sequence[float] | Array | None = None
) -> Floats:
    """Mean over folds of predictions with one shape.

    Parameters
    ----------
    values
        One array per fold, each ``(n,)`` or ``(n, k)``.
    weights
        One number per fold; they need not sum to 1. None is the plain mean.

    Returns
    -------
    ndarray
        Float64, of the shape of one fold. NaN in a fold gives NaN, unless its weight is 0.

    Raises
    ------
    StoreValueError
        There is no fold, shapes or numbers of folds differ, or the weights are not usable.
    """
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    used = _usable_weights(len(arrays), weights)
    if len({array.shape for array in arrays}) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        msg = f"The predictions of the folds have different shapes: {shapes}."
        raise StoreValueError(msg, "Average models that were fitted on the same targets.")
    total = np.zeros(arrays[0].shape)
    for array, weight in zip(arrays, used, strict=True):
        if weight:
            total += array if weight == 1.0 else weight * array
    return np.asarray(total / used.sum())


def combine_probabilities(
    probabilities: Sequence[Array],
    classes: Sequence[Array],
    weights: Sequence[float] | Array | None = None,
) -> tuple[Floats, Array]:
    """Mean class probabilities over folds that may have seen different classes.

    Parameters
    ----------
    probabilities
        One array ``(n, c_i)`` per fold.
    classes
        One array ``(c_i,)`` per fold: the label of each column.
    weights
        As for :func:`average_folds`.

    Returns
    -------
    tuple
        Probabilities ``(n, c)`` and the sorted union of the labels ``(c,)``. A class that a fold
        has not seen counts as probability 0 there.

    Raises
    ------
    StoreValueError
        As for :func:`average_folds`.
    """
    used = _usable_weights(len(probabilities), weights)
    union = np.unique(np.concatenate([np.asarray(labels) for labels in classes]))
    total = np.zeros((len(probabilities[0]), len(union)))
    for fold, labels, weight in zip(probabilities, classes, used, strict=True):
        if weight:
            total[:, np.searchsorted(union, labels)] += weight * fold
    return total / used.sum(), union


def combine_votes(
    predictions: Sequence[Array], weights: Sequence[float] | Array | None = None
) -> Array:
    """Label that most folds vote for, ties to the smallest.

    Parameters
    ----------
    predictions
        One array of labels per fold, each ``(n,)`` or ``(n, k)``.
    weights
        As for :func:`average_folds`; a vote counts as much as its fold's weight.

    Raises
    ------
    StoreValueError
        As for :func:`average_folds`.
    """
    used = _usable_weights(len(predictions), weights)
    votes = np.stack(predictions)
    labels, codes = np.unique(votes, return_inverse=True)
    codes = codes.reshape(votes.shape)
    counted = used.reshape((-1,) + (1,) * (votes.ndim - 1))
    tally = np.stack([(counted * (codes == c)).sum(axis=0) for c in range(len(labels))])
    return np.asarray(labels[tally.argmax(axis=0)])


def _usable_weights(folds: int, weights: Sequence[float] | Array | None) -> Floats:
    if folds == 0:
        msg = "There is no fold to average."
        raise StoreValueError(msg, "Give the predictions of at least one fold.")
    if weights is None:
        return np.ones(folds)
    used = np.asarray(weights, dtype=np.float64).reshape(-1)
    if used.size != folds:
        msg = f"There are {used.size} weights for {folds} folds."
        raise StoreValueError(msg, "Give one weight per fold.")
    if not np.isfinite(used).all() or (used < 0).any() or not used.any():
        msg = f"The fold weights {used.tolist()} are not usable."
        raise StoreValueError(msg, "Weights are finite, none is negative, one is positive.")
    return used
