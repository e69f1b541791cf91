"""Remove the objects that no schema of the database names."""

from __future__ import annotations

from datetime import timedelta

import duckdb

from mosaic_dagster.errors import StoreError
from mosaic_dagster.store.content.objects import ContentStore
from mosaic_dagster.store.content.sweep import GRACE, GcReport, sweep
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.journal.fold import claimed

_VIEW = "live_objects"


def collect(
    database: Database,
    objects: ContentStore,
    *,
    grace: timedelta = GRACE,
    dry_run: bool = True,
) -> GcReport:
    """Remove objects that are older than the grace period and that no table names.

    The roots are the union of every schema's view ``live_objects``, so a schema protects its
    objects also where the code that owns it is not imported.

    Parameters
    ----------
    database, objects
        The tables and the objects of one workspace.
    grace
        Age up to which an object is spared in any case.
    dry_run
        Only say what would go.

    Raises
    ------
    StoreError
        A schema holds tables but has no such view: what it names is not known.

    Notes
    -----
    The lease is kept from reading the roots to the last removal. So no row can come to name an
    object that is about to go.
    """
    with database.lease() as con:
        if not dry_run:
            folder = database.journal_folder
            return sweep(objects, live_digests(con), grace, dry_run, lambda: claimed(con, folder))
        live = live_digests(con)
    return sweep(objects, live, grace, dry_run)


def live_digests(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Digests that some table of some schema names.

    Raises
    ------
    StoreError
        A schema holds tables but no view ``live_objects``.
    """
    live: set[str] = set()
    for schema in _schemas(con):
        rows = con.execute(f'SELECT sha256 FROM "{schema}".{_VIEW}').fetchall()
        live.update(digest for (digest,) in rows if digest is not None)
    return live


def _schemas(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Schemas with the view; the version tables do not count as tables."""
    rows = con.execute(
        """
        SELECT schema_name, bool_or(name = $view) FROM (
            SELECT schema_name, table_name AS name FROM duckdb_tables()
            WHERE database_name = current_database() AND table_name NOT IN ('meta', 'store_meta')
            UNION ALL
            SELECT schema_name, view_name FROM duckdb_views()
            WHERE database_name = current_database() AND view_name = $view
        ) GROUP BY schema_name ORDER BY schema_name
        """,
        {"view": _VIEW},
    ).fetchall()
    silent = [schema for schema, has_view in rows if not has_view]
    if silent:
        msg = f"Schema {', '.join(silent)} has tables but no view {_VIEW}; nothing was removed."
        raise StoreError(
            msg, f"Create {silent[0]}.{_VIEW}(sha256) with the objects that its tables name."
        )
    return [schema for schema, _ in rows]
