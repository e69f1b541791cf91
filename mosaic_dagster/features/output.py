"""The shape of a feature's table: key columns first, then values, then where it came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

IDENTITY_COLUMNS = ("id", "id1", "id2", "perspective")
"""Columns that say whom a row is about."""

KEY_COLUMNS = ("frame", "time", *IDENTITY_COLUMNS)
"""Columns that come first in every table, where they are present."""

ORIGIN_COLUMNS = ("fps", "group", "sequence")
"""Columns that come last in every table, constant within an entry."""

META_COLUMNS = (*KEY_COLUMNS, *ORIGIN_COLUMNS)
"""Columns that are never values of a feature."""

_NOT_FEATURES = frozenset({*META_COLUMNS, "entity_level", "label", "split"})
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class FeatureTable:
    """A table with notes about how it was made, such as counts of filled rows.

    The notes are kept in the file beside the table (JSON) and shown as metadata.
    """

    table: pl.DataFrame
    notes: Mapping[str, Any] = field(default_factory=dict)


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts ``f2`` before ``f10``."""
    return tuple(
        (int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name) if part
    )


def feature_columns(table: pl.DataFrame | Mapping[str, Any]) -> list[str]:
    """Names of the numeric value columns in natural order; booleans do not count.

    Parameters
    ----------
    table
        A table, or its schema.
    """
    schema = table.schema if isinstance(table, pl.DataFrame) else table
    names = [n for n, t in schema.items() if t.is_numeric() and n not in _NOT_FEATURES]
    return sorted(names, key=natural_key)


def with_values(
    table: pl.DataFrame, values: Mapping[str, np.ndarray[Any, Any] | pl.Series]
) -> pl.DataFrame:
    """The key columns of ``table``, then the values, then the origin columns.

    Parameters
    ----------
    table
        Table that gives the key and origin columns; its rows are the rows of the values.
    values
        Columns of the same length.
    """
    columns: list[pl.Series] = [table[name] for name in KEY_COLUMNS if name in table.columns]
    columns += [pl.Series(name, column) for name, column in values.items()]
    columns += [table[name] for name in ORIGIN_COLUMNS if name in table.columns]
    return pl.DataFrame(columns)


def values_schema(schema: pl.Schema, values: Mapping[str, pl.DataType]) -> pl.Schema:
    """Schema of what :func:`with_values` gives for a table of this schema."""
    before = {name: schema[name] for name in KEY_COLUMNS if name in schema}
    after = {name: schema[name] for name in ORIGIN_COLUMNS if name in schema}
    return pl.Schema({**before, **values, **after})


def key_first(columns: Iterable[str]) -> list[str]:
    """The columns in the order of every table: keys, then values as they are, then origin."""
    names = list(columns)
    values = [name for name in names if name not in META_COLUMNS]
    keys, origin = ([c for c in part if c in names] for part in (KEY_COLUMNS, ORIGIN_COLUMNS))
    return [*keys, *values, *origin]


def drop_values(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The table without some of its value columns; key and origin columns always stay."""
    return table.drop([name for name in names if name not in META_COLUMNS])
