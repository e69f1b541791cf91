"""What is in a table, in a few numbers that rules can be judged by without reading it again."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.features.output import IDENTITY_COLUMNS, META_COLUMNS
from mosaic_dagster.store import Profile

Array = np.ndarray[Any, Any]

Measured = tuple[tuple[float, ...], ...]

_FRAME = "frame"
_MOST_KEYS = 1 << 62


def profile_table(table: pl.DataFrame) -> Profile:
    """Rows, repeated keys, and what the numeric value columns hold.

    Parameters
    ----------
    table
        Any table. Its key is ``frame`` with those of ``id``, ``id1``, ``id2`` and ``perspective``
        that are there; a table without ``frame`` has no key that is known here, so nothing in
        it counts as repeated.

    Returns
    -------
    Profile
        Key columns, ``time``, ``fps`` and whatever holds no numbers are not among its columns.

    Notes
    -----
    NaN and null both count as missing, and are left out of the other numbers. Infinities are
    values; a mean over them is infinite or NaN. The standard deviation divides by the number of
    values.
    """
    schema = table.schema
    names = tuple(n for n, t in schema.items() if t.is_numeric() and n not in META_COLUMNS)
    frames, duplicated = _counted_keys(table, schema)
    if not names or not table.height:
        measured: Measured = ((np.nan,) * len(names),) * 5
    else:
        measured = _measured(table.select(names).to_numpy().astype(np.float64, copy=False))
    return Profile(table.height, frames, duplicated, names, *measured)


def _measured(values: Array) -> Measured:
    """Missing share, minimum, maximum, mean, standard deviation of each column."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total = values.sum(axis=0)
        if not np.isnan(total).any():
            counts = np.full(len(total), len(values))
            low, high, mean = values.min(axis=0), values.max(axis=0), total / len(values)
            spread = values - mean
        else:  # or infinities of both signs, which this finds as well
            absent = np.isnan(values)
            counts = len(values) - absent.sum(axis=0)
            low = np.where(absent, np.inf, values).min(axis=0)
            high = np.where(absent, -np.inf, values).max(axis=0)
            low[counts == 0] = high[counts == 0] = np.nan
            mean = np.where(absent, 0.0, values).sum(axis=0) / counts
            spread = np.where(absent, 0.0, values - mean)
        sd = np.sqrt(np.einsum("ij,ij->j", spread, spread) / counts)
    missing = (len(values) - counts) / len(values)
    return tuple(tuple(part.tolist()) for part in (missing, low, high, mean, sd))


def _counted_keys(table: pl.DataFrame, schema: pl.Schema) -> tuple[int, int]:
    """Number of different frames, and of rows whose key an earlier row has."""
    if _FRAME not in schema or not table.height:
        return 0, 0
    key = [_FRAME, *(name for name in IDENTITY_COLUMNS if name in schema)]
    columns = [table[name] for name in key]
    whole = all(schema[name].is_integer() for name in key)
    codes = None
    if whole and not any(column.null_count() for column in columns):
        codes = _codes([column.to_numpy() for column in columns])
    if codes is None:
        return table[_FRAME].n_unique(), table.height - table.select(key).n_unique()
    frames = _different(columns[0].to_numpy())
    return frames, table.height - (frames if len(key) == 1 else _different(codes))


def _codes(columns: list[Array]) -> Array | None:
    """One whole number per row that stands for its key; None when there are too many keys."""
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    most = 1
    for column in columns:
        low = int(column.min())
        span = int(column.max()) - low + 1
        most *= span
        if most > _MOST_KEYS:
            return None
        codes = codes * span + (column.astype(np.int64) - low)
    return codes


def _different(values: Array) -> int:
    ordered = np.sort(values)
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
