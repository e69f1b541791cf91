"""The recordings of a dataset and the raw files that feed them."""

from __future__ import annotations

from collections.abc import Iterable

from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.database.bulk import INTEGER, TEXT, TIME, fetch_columns, rows_as, texts_as
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.feature_registry.records import EntryRow, SourceRow

_ENTRIES = dict.fromkeys(
    ("group_name", "sequence", "key", "tracks_sha256", "source_sha256", "state"), TEXT
) | {"added_at": TIME}
_SOURCES = {
    "path": TEXT, "key": TEXT, "rule": TEXT, "sha256": TEXT, "size": INTEGER,
    "mtime_ns": INTEGER, "inode": INTEGER, "state": TEXT, "seen_at": TIME,
    "asset": TEXT,
}  # fmt: skip


def entries(database: Database) -> list[EntryRow]:
    """Every entry, ordered by group and then sequence."""
    with database.lease() as con:
        columns = fetch_columns(
            con.execute(
                "SELECT key, tracks_sha256, source_sha256, state, added_at FROM features.entries"
            )
        )
    rows = []
    for key, *values in zip(*columns, strict=True):
        # The key is exact where the columns show a name that is no valid unicode.
        parsed = EntryKey.parse(key)
        rows.append(EntryRow(parsed.group, parsed.sequence, key, *values))
    return sorted(rows, key=lambda row: (row.group, row.sequence))


def put_entries(database: Database, rows: Iterable[EntryRow]) -> None:
    """Add entries, over those with the same keys, which keep their first ``added_at``."""
    values = {
        row.key: (_shown(row.group), _shown(row.sequence), row.key, row.tracks_sha256,
                  row.source_sha256, row.state, row.added_at)
        for row in rows
    }  # fmt: skip
    if not values:
        return
    with (
        database.transaction() as con,
        rows_as(con, "new_entries", _ENTRIES, list(values.values())),
    ):
        con.execute(
            """
            INSERT INTO features.entries BY NAME SELECT * FROM new_entries
            ON CONFLICT (key) DO UPDATE SET tracks_sha256 = excluded.tracks_sha256,
                source_sha256 = excluded.source_sha256, state = excluded.state
            """
        )


def drop_entries(database: Database, keys: Iterable[str]) -> None:
    """Forget entries; their results and sources stay until they are dropped too."""
    with database.transaction() as con, texts_as(con, "asked", keys):
        con.execute("DELETE FROM features.entries WHERE key IN (SELECT value FROM asked)")


def sources(database: Database) -> list[SourceRow]:
    """Every raw file of every entry, ordered by entry key, path and asset."""
    with database.lease() as con:
        columns = fetch_columns(
            con.execute(
                "SELECT path, key, rule, sha256, size, mtime_ns, inode, state, asset "
                "FROM features.sources ORDER BY key, path, asset"
            )
        )
    return list(map(SourceRow, *columns))


def put_sources(database: Database, rows: Iterable[SourceRow]) -> None:
    """Add raw files as seen now, over those with the same path, entry and asset."""
    now = utc_now()
    values = {
        (row.path, row.key, row.asset): (
            row.path, row.key, row.rule, row.sha256, row.size, row.mtime_ns, row.inode, row.state,
            now, row.asset,
        )
        for row in rows
    }  # fmt: skip
    if not values:
        return
    with (
        database.transaction() as con,
        rows_as(con, "new_sources", _SOURCES, list(values.values())),
    ):
        con.execute("INSERT OR REPLACE INTO features.sources BY NAME SELECT * FROM new_sources")


def drop_sources(database: Database, places: Iterable[tuple[str, str, str]]) -> None:
    """Forget raw files, each given as (path, entry key, asset)."""
    columns = {"path": TEXT, "key": TEXT, "asset": TEXT}
    with database.transaction() as con, rows_as(con, "asked", columns, list(places)):
        con.execute(
            "DELETE FROM features.sources "
            "WHERE (path, key, asset) IN (SELECT (path, key, asset) FROM asked)"
        )


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
