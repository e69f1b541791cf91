"""One prediction per group, for repeated measurements of one sample."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mosaic_dagster.errors import StoreValueError

Array: TypeAlias = npt.NDArray[Any]

METHODS = ("mean", "median", "vote")

_MAD_TO_SIGMA = 0.6745  # the 75 % quantile of the standard normal distribution
_LEAST_MAD = 1e-10
_LEAST_ROWS = 3
_LIMITS = ((0.99, 4.5), (0.95, 3.5), (0.90, 3.0))
_LOOSEST_LIMIT = 2.5


def aggregate_by_group(
    y_pred: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    y_true: npt.ArrayLike | None = None,
    y_proba: npt.ArrayLike | None = None,
    method: str = "mean",
    exclude_outliers: bool = False,
    threshold: float = 0.95,
) -> dict[str, Array]:
    """Reduce predictions to one per group.

    Parameters
    ----------
    y_pred
        Shape ``(n,)``.
    groups
        Shape ``(n,)``: the group of each row, numbers or text.
    y_true
        Shape ``(n,)``; reduced as ``y_pred`` is, by vote when ``y_proba`` is given.
    y_proba
        Shape ``(n, c)``. Each group gets the mean of its rows, divided by their sum, and its
        ``y_pred`` is the column with the greatest mean, the first of equals.
    method
        'mean', 'median' or 'vote' (the most frequent value, ties to the smallest).
    exclude_outliers
        Leave out rows whose prediction lies far from those of their group: in groups of three or
        more with a median absolute deviation (MAD) of at least 1e-10, where
        ``|0.6745 (v - median) / MAD|`` exceeds a limit (the modified z-score of Iglewicz and
        Hoaglin, How to Detect and Handle Outliers, 1993).
    threshold
        Sets that limit: 4.5, 3.5, 3.0 from 0.99, 0.95, 0.90 on, else 2.5.

    Returns
    -------
    dict
        ``y_pred``, ``group_ids`` (sorted) and ``group_sizes`` (rows that were used), one value per
        group; ``y_true``, ``y_proba`` when given; ``outliers_excluded``, rows left out per group,
        when asked for.

    Raises
    ------
    StoreValueError
        Lengths differ, an array has the wrong number of dimensions, the method is unknown, or
        it computes with values that are not numbers.

    Notes
    -----
    A NaN prediction makes the mean or median of its group NaN, and no outlier is looked for there.
    """
    if method not in METHODS:
        msg = f"There is no aggregation {method!r}."
        raise StoreValueError(msg, f"Use one of {', '.join(METHODS)}.")
    values = _column("y_pred", y_pred)
    size = len(values)
    ids, codes = _group_codes(groups, size)
    truth = None if y_true is None else _column("y_true", y_true, size)
    probabilities = None if y_proba is None else _matrix("y_proba", y_proba, size)
    kept = np.ones(size, dtype=bool)
    if exclude_outliers:
        kept = ~_outliers(_numbers("y_pred", values), codes, len(ids), _limit(threshold))
    used = codes[kept]

    out: dict[str, Array] = {}
    if probabilities is None:
        out["y_pred"] = _reduced("y_pred", values[kept], used, len(ids), method)
    else:
        out["y_proba"] = _mean_probabilities(probabilities[kept], used, len(ids))
        out["y_pred"] = _greatest(out["y_proba"])
    if truth is not None:
        how = method if probabilities is None else "vote"
        out["y_true"] = _reduced("y_true", truth[kept], used, len(ids), how)
    out["group_ids"] = ids
    out["group_sizes"] = np.bincount(used, minlength=len(ids))
    if exclude_outliers:
        out["outliers_excluded"] = np.bincount(codes[~kept], minlength=len(ids))
    return out


def _column(name: str, value: npt.ArrayLike, size: int | None = None) -> Array:
    array = np.asarray(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        msg = f"{name} has the shape {array.shape}."
        raise StoreValueError(msg, "Give one value per row.")
    return _of_length(name, array, size)


def _matrix(name: str, value: npt.ArrayLike, size: int) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        msg = f"{name} has the shape {array.shape}."
        raise StoreValueError(msg, "Give one row per prediction and one column per class.")
    return _of_length(name, array, size)


def _of_length(name: str, array: Array, size: int | None) -> Array:
    if size is not None and len(array) != size:
        msg = f"{name} has {len(array)} rows, y_pred has {size}."
        raise StoreValueError(msg, "Give arrays of one length.")
    return array


def _numbers(name: str, values: Array) -> Array:
    if values.dtype.kind not in "biuf":
        msg = f"{name} holds {values.dtype}, which cannot be computed with."
        raise StoreValueError(msg, "Use method='vote' for labels, without excluding outliers.")
    return values.astype(np.float64)


def _group_codes(groups: npt.ArrayLike, size: int) -> tuple[Array, Array]:
    array = _column("groups", groups, size)
    try:
        ids, codes = np.unique(array, return_inverse=True)
    except TypeError as error:
        msg = "groups holds values that cannot be sorted together."
        raise StoreValueError(msg, "Use only text, or only numbers.") from error
    return ids, codes.reshape(-1)


def _reduced(name: str, values: Array, codes: Array, count: int, method: str) -> Array:
    if method == "vote":
        return _votes(values, codes, count)
    numbers = _numbers(name, values)
    if method == "median":
        return _medians(numbers, codes, count)
    return np.bincount(codes, weights=numbers, minlength=count) / np.bincount(
        codes, minlength=count
    )


def _medians(values: Array, codes: Array, count: int) -> Array:
    """Median of each group; every group has a row."""
    ordered = values[np.lexsort((values, codes))]
    sizes = np.bincount(codes, minlength=count)
    starts = np.cumsum(sizes) - sizes
    if count == 0:
        return np.empty(0)
    low, high = ordered[starts + (sizes - 1) // 2], ordered[starts + sizes // 2]
    with np.errstate(invalid="ignore"):  # between -inf and inf
        middle = np.where(low == high, low, low / 2 + high / 2)  # low + high might overflow
    return np.where(np.isnan(ordered[starts + sizes - 1]), np.nan, middle)


def _votes(values: Array, codes: Array, count: int) -> Array:
    labels, votes = np.unique(values, return_inverse=True)
    pairs, tally = np.unique(codes * len(labels) + votes.reshape(-1), return_counts=True)
    if count == 0:
        return labels
    group, label = np.divmod(pairs, len(labels))
    order = np.lexsort((label, -tally, group))
    _, first = np.unique(group[order], return_index=True)
    return np.asarray(labels[label[order][first]])


def _mean_probabilities(rows: Array, codes: Array, count: int) -> Array:
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, codes, rows)
    totals = sums.sum(axis=1, keepdims=True)
    # A group without any probability has no proportions: its zeros stay.
    return np.asarray(np.divide(sums, totals, out=sums, where=totals != 0))


def _greatest(probabilities: Array) -> Array:
    return np.asarray(probabilities.argmax(axis=1))


def _limit(threshold: float) -> float:
    return next((limit for least, limit in _LIMITS if threshold >= least), _LOOSEST_LIMIT)


def _outliers(values: Array, codes: Array, count: int, limit: float) -> Array:
    """Rows whose modified z-score within their group exceeds the limit."""
    with np.errstate(invalid="ignore"):  # NaN and infinities are never outliers of each other
        centred = values - _medians(values, codes, count)[codes]
        mad = _medians(np.abs(centred), codes, count)
        sizes = np.bincount(codes, minlength=count)
        judged = (sizes >= _LEAST_ROWS) & (mad >= _LEAST_MAD)
        scale = np.where(judged, mad, np.inf)
        return np.abs(_MAD_TO_SIGMA * centred / scale[codes]) > limit
