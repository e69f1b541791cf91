"""What the features about neighbours read from a table: animals, and rows of other animals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.kernels.arrays import IntArray
from mosaic_dagster.features.kernels.neighbors import find_rows
from mosaic_dagster.features.library.rows import RowOrder, need_fps, order_rows


def animals(table: pl.DataFrame, column: str) -> pl.Series:
    """A column of animals' numbers as Int64; null where it is null or NaN.

    Raises
    ------
    FeatureError
        A value is not a whole number.
    """
    series = table[column]
    if series.dtype == pl.Null:
        return series.cast(pl.Int64)
    if not series.dtype.is_numeric():
        msg = f"The column {column!r} holds {series.dtype}, not the numbers of animals."
        raise FeatureError(msg, "Number the animals with whole numbers.")
    given = series.fill_nan(None) if series.dtype.is_float() else series
    try:
        whole = given.cast(pl.Int64)
    except pl.exceptions.InvalidOperationError:
        whole = None
    exact = given.dtype.is_integer() and whole is not None
    if whole is None or not (exact or (whole.cast(given.dtype) == given).all()):
        msg = f"The column {column!r} holds a number of an animal that is not a whole number."
        raise FeatureError(msg, "Number the animals with whole numbers.")
    return whole


def known_animals(table: pl.DataFrame) -> IntArray:
    """Column ``id`` as whole numbers, shape (n_rows,).

    Raises
    ------
    FeatureError
        A row has no id, or one that is not a whole number.
    """
    ids = animals(table, "id")
    if ids.null_count():
        msg = f"Row {ids.is_null().arg_max()} has no id."
        raise FeatureError(msg, "Give every row the number of its animal.")
    numbers: IntArray = ids.to_numpy()
    return numbers


def order_by_animal(table: pl.DataFrame) -> RowOrder:
    """Rows sorted by animal, then frame, as :func:`order_rows` has them.

    Raises
    ------
    FeatureError
        A frame or an id is missing, or an animal has two rows in one frame.
    """
    known_animals(table)
    return order_rows(table)


def order_by_frame(table: pl.DataFrame) -> IntArray:
    """Position of each row sorted by frame, then animal, shape (n_rows,).

    Raises
    ------
    FeatureError
        As :func:`order_by_animal`.
    """
    ids, frame = known_animals(table), table["frame"]
    if len(ids) and frame.dtype.is_integer() and not frame.null_count():
        step = np.diff(frame.cast(pl.Int64).to_numpy())
        if ((step > 0) | ((step == 0) & (ids[1:] > ids[:-1]))).all():
            return np.arange(len(ids))
    rows = order_by_animal(table)
    # Rows are sorted by animal, so that a stable sort by frame leaves the animals ascending.
    ordered: IntArray = rows.order[np.argsort(rows.frames, kind="stable")]
    return ordered


def is_given(order: IntArray) -> bool:
    """Whether an order is that of the rows as they are."""
    return bool((order == np.arange(len(order))).all())


def neighbor_values(
    table: pl.DataFrame, neighbor: pl.Series, columns: Sequence[str]
) -> dict[str, pl.Series]:
    """Values of each row's neighbour in the same frame, one series of n_rows per column.

    Parameters
    ----------
    table
        One row per frame and id.
    neighbor
        Number of the neighbour of each row, null for none.
    columns
        Columns to look up. Where there is no neighbour, or no row of it, the value is null.
    """
    if not columns:
        return {}
    frames = table["frame"].cast(pl.Int64).to_numpy()
    ids = known_animals(table)
    has = neighbor.is_not_null().to_numpy()
    rows = find_rows(frames, ids, frames, neighbor.fill_null(0).to_numpy())
    position = pl.Series(rows).set(pl.Series((rows < 0) | ~has), None)
    return {column: table[column].gather(position) for column in columns}


def frame_rate(table: pl.DataFrame, fallback: float | None, feature: str) -> float:
    """Frames per second as :func:`need_fps`, quickly where the column holds one number."""
    if "fps" in table.columns and table.height and table["fps"].dtype == pl.Float64:
        rates = table["fps"].to_numpy()
        if np.isfinite(rates[0]) and rates[0] > 0 and (rates == rates[0]).all():
            return float(rates[0])
    return need_fps(table, fallback, feature)


def need_column(schema: Mapping[str, Any], names: Sequence[str], maker: str, feature: str) -> str:
    """The first of the names that the table has.

    Parameters
    ----------
    schema
        Columns of the table.
    names
        Possible names, the preferred one first.
    maker
        The feature that makes such a column.
    feature
        The feature that needs it.

    Raises
    ------
    MissingColumnError
        It has none of them; says which feature makes it.
    """
    for name in names:
        if name in schema:
            return name
    asked = " or ".join(map(repr, dict.fromkeys(names)))
    msg = f"{feature} needs the column {asked}; its input has: {', '.join(schema)}."
    raise MissingColumnError(msg, f"The column comes from {maker}: add it to the step's inputs.")
