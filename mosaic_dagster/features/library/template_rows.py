"""Rows of many tables as templates: the same columns, nothing missing, and where they are from."""

from __future__ import annotations

import numpy as np
import polars as pl

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.kernels.arrays import BoolArray
from mosaic_dagster.features.library.rows import identity_of
from mosaic_dagster.features.output import feature_columns
from mosaic_dagster.keys import EntryKey

FirstColumns = dict[EntryKey, list[str]]
"""The first entry of a pass and its value columns."""


def same_columns(columns: FirstColumns, key: EntryKey, table: pl.DataFrame) -> list[str]:
    """Value columns of a table, which must be those of the first table.

    Parameters
    ----------
    columns
        Empty before the first table, which fills it.
    key
        The entry of the table.
    table
        The table.

    Raises
    ------
    MissingColumnError
        One of the two tables has a column that the other lacks, or there is no value column.
    """
    names = feature_columns(table)
    first, known = next(iter(columns.items()), (key, names))
    columns.setdefault(first, known)
    for lacking, having, difference in (
        (key, first, set(known) - set(names)),
        (first, key, set(names) - set(known)),
    ):
        if difference:
            msg = f"Entry {lacking} lacks the column {min(difference)!r}, which {having} has."
            raise MissingColumnError(msg, "Templates need the same columns in every entry.")
    if not names:
        msg = f"Entry {key} has no numeric value column among {', '.join(table.columns)}."
        raise MissingColumnError(msg, "Read a step that makes numbers.")
    return names


def complete_rows(table: pl.DataFrame, names: list[str]) -> BoolArray:
    """Whether a row has no missing and no infinite value, shape (n_rows,)."""
    usable = np.ones(table.height, dtype=np.bool_)
    for name in names:
        column = table[name]
        finite = column.is_finite() if column.dtype.is_float() else column.is_not_null()
        usable &= finite.fill_null(value=False).to_numpy()
    return usable


def with_origin(key: EntryKey, table: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Where each row comes from, then its values."""
    where = [c for c in ("frame", *identity_of(table.columns)) if c in table.columns]
    group, sequence = pl.lit(key.group).alias("group"), pl.lit(key.sequence).alias("sequence")
    return table.select(group, sequence, *where, *names)
