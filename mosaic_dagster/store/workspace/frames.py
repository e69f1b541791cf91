"""Query results as polars frames and as dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import duckdb
import polars as pl

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.workspace.json_columns import from_json, told, whole


def frame(con: duckdb.DuckDBPyConnection, query: str, params: Sequence[Any] = ()) -> pl.DataFrame:
    """All rows of a query; JSON columns stay JSON text, an empty result has its columns."""
    table = con.sql(query, params=list(params)).to_arrow_table()
    return cast("pl.DataFrame", pl.from_arrow(table))


def record(
    con: duckdb.DuckDBPyConnection,
    query: str,
    params: Sequence[Any],
    json_columns: Iterable[str] = (),
) -> dict[str, Any] | None:
    """First row of a query by column names, with its JSON decoded, or None."""
    result = con.execute(query, list(params))
    rows = result.fetchall()
    if not rows:
        return None
    found = dict(zip((column[0] for column in result.description or ()), rows[0], strict=True))
    for name in json_columns:
        found[name] = from_json(found[name])
    return found


def page(limit: int | None, offset: int | None) -> str:
    """SQL of a page of rows.

    Raises
    ------
    StoreValueError
        A number is negative, or too large for the database.
    StoreTypeError
        It is no number.
    """
    parts = []
    for word, number in (("LIMIT", limit), ("OFFSET", offset)):
        if number is not None:
            parts.append(f"{word} {count(number, word.lower())}")
    return " ".join(parts)


def count(number: int, name: str) -> int:
    """Whole number that is not negative, as SQL may hold it.

    Raises
    ------
    StoreValueError, StoreTypeError
        As :func:`page`.
    """
    checked = whole(number, name)
    if checked is None or checked < 0:
        msg = f"{name} is {told(number)}."
        raise StoreValueError(msg, "It cannot be negative.")
    return checked
