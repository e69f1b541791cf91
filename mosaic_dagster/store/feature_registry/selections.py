"""Key lists that runs name by their digest."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_dagster import hashing
from mosaic_dagster.errors import StoreError
from mosaic_dagster.store.database.bulk import TEXT, TEXTS, rows_as
from mosaic_dagster.store.database.connection import Database


def put(database: Database, keys: Sequence[str]) -> str:
    """Store a list of entry keys in its order; equal lists have one digest."""
    digest = hashing.digest(list(keys))
    columns = {"digest": TEXT, "keys": TEXTS}
    with (
        database.transaction() as con,
        rows_as(con, "new_selection", columns, [(digest, list(keys))]),
    ):
        con.execute("INSERT OR IGNORE INTO features.selections SELECT * FROM new_selection")
    return digest


def get(database: Database, digest: str) -> tuple[str, ...]:
    """Return the keys of a stored list.

    Raises
    ------
    StoreError
        No list has this digest.
    """
    with database.lease() as con:
        row = con.execute(
            "SELECT keys FROM features.selections WHERE digest = ?", [digest]
        ).fetchone()
    if row is None:
        msg = f"No selection {digest!r} is stored in {database.path}."
        raise StoreError(msg, "Start the run anew with `mosaic run`, which stores its selection.")
    return tuple(row[0])
