"""Classes, clusters and animals of a column: their order, names and colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.charts.colours import colours
from mosaic_dagster.errors import MissingColumnError, ParamsError

Names = Mapping[Any, str]
"""Name by value."""

NOTHING = "none"
"""How a missing value is called in keys."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Classes:
    """What a picture shows by colour.

    Attributes
    ----------
    values
        The distinct values, all whole numbers or all text, in the order of the key.
    """

    values: tuple[Any, ...]

    @property
    def names(self) -> list[str]:
        """What stands in the key."""
        return [str(value) for value in self.values]

    @property
    def colours(self) -> tuple[str, ...]:
        """A colour for each value."""
        return colours(len(self.values))

    def codes(self, column: pl.Series) -> Array:
        """Position of each value of a column from :func:`class_column`, -1 where it is null."""
        if not self.values or column.null_count() == len(column):
            return np.full(len(column), -1, dtype=np.int32)
        if column.dtype != pl.String and isinstance(self.values[0], str):
            column = column.cast(pl.String)
        positions = list(range(len(self.values)))
        coded = column.replace_strict(
            list(self.values), positions, default=None, return_dtype=pl.Int32
        )
        return coded.fill_null(-1).to_numpy()


def class_column(column: pl.Series, names: Names | None = None) -> pl.Series:
    """A column as whole numbers or text.

    Parameters
    ----------
    column
        Whole numbers, floats that are whole, booleans, text or categories.
    names
        Names of values; a value that has none keeps its number.

    Returns
    -------
    polars.Series
        Int64 or String; String if names are given. NaN becomes null.

    Raises
    ------
    ParamsError
        If the column holds numbers that are not whole, or what is neither number nor text.
    """
    whole = _whole(column)
    if not names:
        return whole
    if whole.dtype != pl.String:
        return whole.replace_strict(
            list(names), list(names.values()), default=whole.cast(pl.String),
            return_dtype=pl.String,
        )  # fmt: skip
    return whole.replace({str(value): name for value, name in names.items()})


def find_classes(columns: Iterable[pl.Series], names: Names | None = None) -> Classes:
    """The classes of several columns together, so that a class has one colour in all of them.

    Parameters
    ----------
    columns
        Columns from :func:`class_column`.
    names
        Names of values; all of them are classes, and first, whether they occur or not: so colours
        do not depend on which classes a recording has.

    Returns
    -------
    Classes
        Whole numbers in order; names in the order given, then other text with numbers in it in
        the order of the numbers. Nulls are no class. Numbers next to text count as text.
    """
    found = {value for column in columns for value in column.drop_nulls().unique().to_list()}
    first = tuple(dict.fromkeys((names or {}).values()))
    if not first and not any(isinstance(value, str) for value in found):
        return Classes(tuple(sorted(found)))
    rest = {str(value) for value in found} - set(first)
    return Classes((*first, *sorted(rest, key=_natural)))


def check_columns(table: pl.DataFrame, needed: Iterable[str], where: str) -> None:
    """Raise a :class:`MissingColumnError` that names what is missing and what is there."""
    missing = [name for name in needed if name not in table.columns]
    if missing:
        there = ", ".join(table.columns[:12]) + (", …" if table.width > 12 else "")
        raise MissingColumnError(
            f"{where} lacks the column {', '.join(map(repr, missing))}; it has: {there or 'none'}.",
            "Name a column that is there, or join the table that has it.",
        )


def _whole(column: pl.Series) -> pl.Series:
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    if column.dtype in (pl.String, pl.Categorical, pl.Boolean, pl.Null) or isinstance(
        column.dtype, pl.Enum
    ):
        return column.cast(pl.String)
    if column.dtype.is_float():
        filled = column.fill_nan(None)
        if is_whole(filled):
            return filled.cast(pl.Int64)
    raise ParamsError(
        f"The column {column.name!r} ({column.dtype}) holds no classes.",
        "Choose a column of whole numbers or text, or round it.",
    )


def is_whole(column: pl.Series) -> bool:
    """Whether all finite values of a column of floats are whole, and none is infinite."""
    values = column.drop_nulls().drop_nans()
    return bool((values.is_finite() & (values == values.round())).all())


def _natural(text: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"([0-9]+)", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
