"""Many rows in and out of DuckDB in one statement, through Arrow and numpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from mosaic_dagster.errors import StoreError

TEXT, INTEGER, REAL, TIME = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us")
TEXTS, REALS = pa.list_(pa.string()), pa.list_(pa.float64())

Columns = Mapping[str, Any]
"""Column names and Arrow types."""


@contextmanager
def rows_as(
    con: duckdb.DuckDBPyConnection, name: str, columns: Columns, rows: Sequence[Sequence[Any]]
) -> Iterator[None]:
    """Make rows readable under a name while the block lasts.

    Raises
    ------
    StoreError
        A text is not valid unicode, or a value has another type than its column.
    """
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    arrays = [
        _array(column, kind, data)
        for (column, kind), data in zip(columns.items(), values, strict=True)
    ]
    con.register(name, pa.table(arrays, names=list(columns)))
    try:
        yield
    finally:
        con.unregister(name)


@contextmanager
def texts_as(con: duckdb.DuckDBPyConnection, name: str, texts: Iterable[str]) -> Iterator[None]:
    """Make texts readable as the one column ``value`` of a table, without repeats."""
    # Through polars: pyarrow imports pandas, if there is one, to look at Python lists.
    try:
        values = pl.Series("value", list(dict.fromkeys(texts)), dtype=pl.String, strict=True)
    except (UnicodeEncodeError, TypeError) as error:
        raise _unfit("value", error) from error
    con.register(name, values.to_frame())
    try:
        yield
    finally:
        con.unregister(name)


def first_row(
    con: duckdb.DuckDBPyConnection, query: str, params: Sequence[Any] = ()
) -> tuple[Any, ...] | None:
    """First row of a query, or None.

    Everything is fetched: a result of which rows are left would block the connection.
    """
    rows = con.execute(query, list(params)).fetchall()
    return rows[0] if rows else None


def fetch_columns(result: duckdb.DuckDBPyConnection) -> list[list[Any]]:
    """Fetch columns as Python lists, NULL as None; five times faster than row by row."""
    return [_plain(column) for column in result.fetchnumpy().values()]


def fetch_frame(result: duckdb.DuckDBPyConnection, schema: Mapping[str, Any]) -> pl.DataFrame:
    """Fetch a table whose columns have these names and polars types."""
    columns = fetch_columns(result)
    return pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=dict(schema))


def fetch_table(
    con: duckdb.DuckDBPyConnection, query: str, params: Mapping[str, Any]
) -> pl.DataFrame:
    """Fetch a table as it is, without a Python object for each value."""
    table: pl.DataFrame = con.sql(query, params=dict(params)).pl()
    return table


def _array(column: str, kind: Any, data: Any) -> Any:
    try:
        return pa.array(data, kind)
    except (UnicodeEncodeError, pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise _unfit(column, error) from error


def _unfit(column: str, error: Exception) -> StoreError:
    """The error for a value that does not go into a column."""
    if isinstance(error, UnicodeEncodeError):
        msg = f"The {column} {error.object!r} is not valid unicode."
        return StoreError(msg, "Rename the file or entry that it comes from.")
    return StoreError(
        f"The column {column} got a value of another type: {error}.",
        "Give each column values of its type.",
    )


def _plain(column: Any) -> list[Any]:
    masked = isinstance(column, np.ma.MaskedArray)
    values = column.data if masked else column
    if values.dtype.kind == "M":
        values = values.astype("datetime64[us]")
    plain: list[Any] = values.tolist()
    if masked:
        for index in np.flatnonzero(np.ma.getmaskarray(column)).tolist():
            plain[index] = None
    return plain
