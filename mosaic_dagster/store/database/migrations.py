"""Numbered migrations: each owner of a schema keeps its list, the file keeps the number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import duckdb

from mosaic_dagster.errors import SchemaVersionError, StoreError

Migration = str | Callable[[duckdb.DuckDBPyConnection], None]
"""One step: SQL statements, or a function of the connection."""


def migrate(con: duckdb.DuckDBPyConnection, schema: str, steps: Sequence[Migration]) -> None:
    """Bring a schema to the version ``len(steps)``, each step in its own transaction.

    The version stands in ``main.store_meta`` for main and in ``<schema>.meta`` for others.

    Raises
    ------
    SchemaVersionError
        The schema is newer than the steps; nothing was written.
    StoreError
        The schema holds tables that were not made by these steps.
    """
    version = check_versions(con, {schema: steps})[schema]
    if version is None:
        version = _begin(con, schema)
    for number, step in enumerate(steps[version:], start=version + 1):
        _in_transaction(con, _numbered(schema, step, number))


def check_versions(
    con: duckdb.DuckDBPyConnection,
    owners: Mapping[str, Sequence[Migration]],
    complete: bool = False,
) -> dict[str, int | None]:
    """Refuse a file that this code cannot work with, before anything is written.

    Gives the version of each schema, None for one that is not there yet.

    Parameters
    ----------
    con
        A connection to the file.
    owners
        Schema names and their steps.
    complete
        Also refuse a file that is older than the code, since nothing may be written.

    Raises
    ------
    SchemaVersionError
        A schema is newer than its steps, or older where that cannot be changed.
    StoreError
        A schema holds tables but no version.
    """
    versions = {schema: schema_version(con, schema) for schema in owners}
    for schema, steps in owners.items():
        version = versions[schema]
        if version is None and (tables := _tables(con, schema)):
            msg = f"The database has tables in schema {schema} that this package did not make: "
            raise StoreError(
                msg + ", ".join(tables) + ".", "It is left untouched; use another workspace."
            )
        if version is not None and version > len(steps):
            msg = f"Schema {schema} of the database has version {version}, known is {len(steps)}."
            raise SchemaVersionError(msg, "Update mosaic-dagster; the file was not changed.")
        if complete and (version or 0) < len(steps):
            msg = f"Schema {schema} of the database has version {version or 0} of {len(steps)}."
            raise SchemaVersionError(msg, "Open the workspace for writing once to update it.")
    return versions


def schema_version(con: duckdb.DuckDBPyConnection, schema: str) -> int | None:
    """Version of a schema, or None when it has none yet."""
    if _meta_name(schema) not in _tables(con, schema):
        return None
    ((version,),) = con.execute(f"SELECT max(schema_version) FROM {_meta(schema)}").fetchall()
    return None if version is None else int(version)


def utc_now() -> datetime:
    """Return the time as all tables hold it: UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def _meta_name(schema: str) -> str:
    return "store_meta" if schema == "main" else "meta"


def _meta(schema: str) -> str:
    return f"{schema}.{_meta_name(schema)}"


def _tables(con: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = current_database() AND schema_name = ? ORDER BY table_name",
        [schema],
    ).fetchall()
    return [name for (name,) in rows]


def _begin(con: duckdb.DuckDBPyConnection, schema: str) -> int:
    def first(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        con.execute(f"CREATE TABLE {_meta(schema)} (schema_version INTEGER, created_at TIMESTAMP)")
        con.execute(f"INSERT INTO {_meta(schema)} VALUES (0, ?)", [utc_now()])

    _in_transaction(con, first)
    return 0


def _numbered(
    schema: str, step: Migration, number: int
) -> Callable[[duckdb.DuckDBPyConnection], None]:
    def run(con: duckdb.DuckDBPyConnection) -> None:
        if isinstance(step, str):
            con.execute(step)
        else:
            step(con)
        con.execute(f"UPDATE {_meta(schema)} SET schema_version = ?", [number])

    return run


def _in_transaction(
    con: duckdb.DuckDBPyConnection, change: Callable[[duckdb.DuckDBPyConnection], None]
) -> None:
    con.execute("BEGIN TRANSACTION")
    try:
        change(con)
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")
