"""Entries of runs: what the pipeline made, and what was recorded by hand.

A row recorded by hand belongs to pipeline '' and step ``<feature>/<run_id>``, and names a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.hashing import digest
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.database.bulk import fetch_columns
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.feature_registry import results as result_rows
from mosaic_dagster.store.feature_registry.runs import checked_names

EntryValues = tuple[str, str, str, str, str | Path, int]
"""Feature, run id, group, sequence, path and number of rows."""

_SCHEMA: dict[str, Any] = {
    "group": pl.String, "sequence": pl.String, "path": pl.String, "n_rows": pl.Int64,
    "run_id": pl.String, "state": pl.String, "sha256": pl.String, "ext": pl.String,
    "bytes": pl.Int64, "updated_at": pl.Datetime("us"),
}  # fmt: skip

# Heads say where a run stands now; a result of the run that another run's head replaced counts
# too. Rows recorded by hand are found by their step, so equal run ids of two features stay apart.
_ENTRIES = """
WITH runs AS (SELECT DISTINCT run_id FROM features.feature_runs WHERE feature = $feature),
headed AS (
    SELECT h.key, h.run_id, h.state, h.action_key, h.updated_at, true AS is_head
    FROM features.feature_entries h
    WHERE h.key <> '' AND h.state <> 'failed'
      AND ((h.pipeline = '' AND h.step = $feature || '/' || h.run_id)
           OR (h.pipeline <> '' AND h.run_id IN (FROM runs)))
),
made AS (
    SELECT r.key, r.made_by AS run_id, if(r.rows = 0, 'empty', 'fresh') AS state, r.action_key,
           r.created_at AS updated_at, false AS is_head
    FROM features.results r
    WHERE r.key <> '' AND r.path IS NULL AND r.made_by IN (FROM runs)
)
SELECT e.key, r.path, coalesce(r.rows, 0), e.run_id, e.state, r.output_sha256,
       coalesce(r.ext, ''), coalesce(r.bytes, 0), e.updated_at
FROM (FROM headed UNION ALL FROM made) e LEFT JOIN features.results r USING (action_key)
WHERE $run_id IS NULL OR e.run_id = $run_id
QUALIFY row_number() OVER (
    PARTITION BY e.run_id, e.key ORDER BY e.is_head DESC, e.updated_at DESC) = 1
"""


def record(database: Database, entries: Iterable[EntryValues], at: datetime | None = None) -> None:
    """Record entries of runs by hand, over rows of the same run and entry.

    Raises
    ------
    StoreError
        A feature or run id is empty or holds a slash.
    KeyFormatError
        A sequence is empty.
    """
    now = utc_now() if at is None else at
    results: list[result_rows.ResultValues] = []
    heads: list[result_rows.HeadValues] = []
    for feature, run_id, group, sequence, path, n_rows in entries:
        step = checked_names(feature, run_id)
        key = str(EntryKey(group, sequence))
        action_key = digest(["", step, key])
        ext = Path(path).suffix[1:].lower()
        results.append((action_key, key, None, str(path), ext, n_rows, 0, 0.0, run_id, now))
        heads.append(("", step, key, run_id, action_key, "fresh", None, now))
    if heads:
        with database.transaction() as con:
            result_rows.insert_results(con, results)
            result_rows.insert_heads(con, heads)


def list_entries(database: Database, feature: str, run_id: str | None = None) -> pl.DataFrame:
    """Entries that a feature's runs, or one of them, have a result for.

    Returns
    -------
    DataFrame
        group, sequence, path (of a file outside the store, else null), n_rows, run_id, state,
        sha256 and ext (of the object), bytes, updated_at; ordered by run id, group, sequence.
    """
    rows = _rows(database, feature, run_id)
    keys = [EntryKey.parse(key) for key in rows[0]]
    names = ([_shown(key.group) for key in keys], [_shown(key.sequence) for key in keys])
    frame = pl.DataFrame(
        dict(zip(_SCHEMA, (*names, *rows[1:]), strict=True)), schema=_SCHEMA, strict=True
    )
    return frame.sort("run_id", "group", "sequence")


def pairs(database: Database, feature: str, run_id: str) -> set[tuple[str, str]]:
    """Group and sequence of every entry that a run has a result for."""
    keys = (EntryKey.parse(key) for key in _rows(database, feature, run_id)[0])
    return {(key.group, key.sequence) for key in keys}


def entry_count(database: Database, feature: str, run_id: str | None = None) -> int:
    """How many rows :func:`list_entries` has."""
    return len(_rows(database, feature, run_id)[0])


def pending(
    database: Database, feature: str, run_id: str, all_entries: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Those of the (group, sequence) pairs that the run has no result for, sorted."""
    wanted = {(group, sequence) for group, sequence in all_entries}
    return sorted(wanted - pairs(database, feature, run_id))


def _rows(database: Database, feature: str, run_id: str | None) -> list[list[Any]]:
    with database.lease() as con:
        return fetch_columns(con.execute(_ENTRIES, {"feature": feature, "run_id": run_id}))


def _shown(name: str) -> str:
    # A name made of bytes that are no unicode is readable only in part.
    return name.encode(errors="backslashreplace").decode()
