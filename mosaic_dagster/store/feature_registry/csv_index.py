"""Index files of older feature folders, ``<features>/<feature>/index.csv``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from mosaic_dagster.errors import StoreError
from mosaic_dagster.store.database.bulk import TEXT, TIME, rows_as
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.feature_registry import run_entries
from mosaic_dagster.store.feature_registry.runs import checked_names

_NEEDED = ("run_id", "group", "sequence", "abs_path")
_RUNS = dict.fromkeys(("run_id", "feature", "version", "params_hash", "status"), TEXT) | {
    "started_at": TIME,
    "finished_at": TIME,
}

Row = Mapping[str, str | None]


def migrate_from_csv(database: Database, features_root: Path) -> int:
    """Record the runs and entries of every index file that are not recorded yet.

    The name of the folder is the feature. A row without a sequence stands for its run only.

    Returns
    -------
    int
        How many entries were new; a second call returns 0.

    Raises
    ------
    StoreError
        An index file cannot be read, lacks a column or holds a malformed value; nothing of any
        file is recorded then.
    """
    count = 0
    with database.transaction():
        for path in sorted(features_root.glob("*/index.csv")):
            count += _migrate_one(database, path.parent.name, path)
    return count


def _migrate_one(database: Database, feature: str, path: Path) -> int:
    rows = [row for row in _read(path) if row.get("run_id")]
    runs = {str(row["run_id"]): row for row in rows}
    _insert_runs(database, [_run_values(feature, row, path) for row in runs.values()])
    new = []
    for run_id in runs:
        known = run_entries.pairs(database, feature, run_id)
        for row in rows:
            pair = (row["group"] or "", row["sequence"] or "")
            if row["run_id"] == run_id and pair[1] and pair not in known:
                known.add(pair)
                new.append((feature, run_id, *pair, row["abs_path"] or "", _n_rows(row, path)))
    run_entries.record(database, new)
    return len(new)


def _read(path: Path) -> Iterable[Row]:
    try:
        table = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.NoDataError:
        return []
    except (pl.exceptions.PolarsError, OSError) as error:
        msg = f"{path} cannot be read as CSV: {error}"
        raise StoreError(msg, "Repair the file or move it away.") from error
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        msg = f"{path} lacks the column {', '.join(missing)}."
        raise StoreError(msg, "Repair the file or move it away.")
    return table.to_dicts()


def _run_values(feature: str, row: Row, path: Path) -> tuple[object, ...]:
    run_id = str(row["run_id"])
    checked_names(feature, run_id)
    started, finished = _time(row, "started_at", path), _time(row, "finished_at", path)
    status = "finished" if finished else "running"
    version, params_hash = row.get("version") or "", row.get("params_hash") or ""
    return run_id, feature, version, params_hash, status, started or utc_now(), finished


def _insert_runs(database: Database, rows: list[tuple[object, ...]]) -> None:
    if not rows:
        return
    with database.transaction() as con, rows_as(con, "old_runs", _RUNS, rows):
        con.execute(
            """
            INSERT INTO features.feature_runs BY NAME
            SELECT o.*, 1 + coalesce((SELECT max(r.attempt) FROM features.feature_runs r
                                      WHERE r.run_id = o.run_id), 0) AS attempt
            FROM old_runs o ANTI JOIN features.feature_runs r
                ON r.run_id = o.run_id AND r.feature = o.feature
            """
        )


def _time(row: Row, column: str, path: Path) -> datetime | None:
    text = row.get(column)
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{path}, column {column}: {text!r} is not a date and time."
        raise StoreError(msg, "Write it as 2024-05-31T12:00:00, in UTC.") from error
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _n_rows(row: Row, path: Path) -> int:
    text = row.get("n_rows") or "0"
    try:
        return int(float(text))
    except (ValueError, OverflowError) as error:
        msg = f"{path}, column n_rows: {text!r} is not a whole number."
        raise StoreError(msg, "Repair the file or move it away.") from error
