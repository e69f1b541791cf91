"""What is in stored tables, in numbers: one profile per object, whoever made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

import duckdb
import polars as pl

from mosaic_dagster.store.database.bulk import (
    INTEGER,
    REALS,
    TEXT,
    TEXTS,
    fetch_table,
    rows_as,
    texts_as,
)
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.feature_registry.records import Profile

_COLUMNS = {
    "output_sha256": TEXT, "rows": INTEGER, "frames": INTEGER, "duplicated": INTEGER,
    "columns": TEXTS, "missing": REALS, "low": REALS, "high": REALS, "mean": REALS, "sd": REALS,
}  # fmt: skip

SEPARATOR = "\x1f"
"""Between the names of the columns in a layout."""

_NUMBERS = pl.List(pl.Float64)
SCHEMA = pl.Schema(
    {"output_sha256": pl.String(), "rows": pl.Int64(), "frames": pl.Int64(),
     "duplicated": pl.Int64(), "layout": pl.String(), "missing": _NUMBERS, "low": _NUMBERS,
     "high": _NUMBERS, "mean": _NUMBERS, "sd": _NUMBERS}
)  # fmt: skip
"""Columns of a table of profiles; ``layout`` holds the names that the lists are about."""

_OF_PROFILE = tuple(field.name for field in fields(Profile))


def table_of(profiles: Mapping[str, Profile]) -> pl.DataFrame:
    """Profiles by digest as a table, one row each, see :data:`SCHEMA`."""
    rows = [
        (digest, p.rows, p.frames, p.duplicated, SEPARATOR.join(p.columns), list(p.missing),
         list(p.low), list(p.high), list(p.mean), list(p.sd))
        for digest, p in profiles.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def insert(con: duckdb.DuckDBPyConnection, profiles: Mapping[str, Profile]) -> None:
    """Add profiles by digest of their object; those that are there stay."""
    if not profiles:
        return
    rows = [
        (digest, *(getattr(profile, name) for name in _OF_PROFILE))
        for digest, profile in profiles.items()
    ]
    with rows_as(con, "new_profiles", _COLUMNS, rows):
        con.execute("INSERT OR IGNORE INTO features.profiles BY NAME SELECT * FROM new_profiles")


def put(database: Database, profiles: Mapping[str, Profile]) -> None:
    """Add profiles of objects that are there already, in one transaction."""
    if profiles:
        with database.transaction() as con:
            insert(con, profiles)


def get(database: Database, digests: Iterable[str]) -> pl.DataFrame:
    """Profiles of those objects that have one, in one query and unordered; see :data:`SCHEMA`."""
    with database.lease() as con, texts_as(con, "asked", digests):
        found = fetch_table(
            con,
            """
            SELECT output_sha256, rows, frames, duplicated,
                   array_to_string(columns, chr(31)) AS layout, missing, low, high, mean, sd
            FROM features.profiles SEMI JOIN asked ON output_sha256 = value
            """,
            {},
        )
    return found.cast(SCHEMA)


def drop_unnamed(con: duckdb.DuckDBPyConnection) -> None:
    """Forget the profiles of objects that no result, entry or state names any more."""
    con.execute(
        "DELETE FROM features.profiles "
        "WHERE output_sha256 NOT IN (SELECT sha256 FROM features.live_objects)"
    )
