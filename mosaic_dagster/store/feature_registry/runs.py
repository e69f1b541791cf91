"""Runs of features: every attempt is a row of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import polars as pl

from mosaic_dagster.errors import StoreError, UnknownRunError
from mosaic_dagster.store.database.bulk import INTEGER, TEXT, fetch_frame, rows_as, texts_as
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.feature_registry.records import RunRow, RunStatus

_NEW = dict.fromkeys(("run_id", "feature", "version", "params_hash", "params", "inputs"), TEXT) | {
    "position": INTEGER
}
_RUN_FRAME: dict[str, Any] = dict.fromkeys(
    ("run_id", "feature", "version", "params_hash", "params", "inputs", "status"), pl.String
) | {
    "started_at": pl.Datetime("us"),
    "finished_at": pl.Datetime("us"),
    "attempt": pl.Int64,
    "attempts": pl.Int64,
}
_FEATURE_FRAME = {"feature": pl.String, "runs": pl.Int64, "latest_run_id": pl.String}
_STATUSES = ("running", "finished", "failed")

# Which attempt speaks for a run: a finished one before others, then the newest.
_BEST_FIRST = "status = 'finished' DESC, started_at DESC, attempt DESC"


def checked_names(feature: str, run_id: str) -> str:
    """Return ``<feature>/<run_id>``, which names a run in the tables.

    Raises
    ------
    StoreError
        One of them is empty or holds a slash.
    """
    if not feature or not run_id or "/" in feature or "/" in run_id:
        msg = f"A run needs a feature and a run id without slashes, not {feature!r} {run_id!r}."
        raise StoreError(msg, "Name both, with another sign for the slash.")
    return f"{feature}/{run_id}"


def start(database: Database, runs: Iterable[RunRow]) -> None:
    """Record new attempts as running, in the order given."""
    rows = []
    for position, run in enumerate(runs):
        checked_names(run.feature, run.run_id)
        text = (run.version, run.params_hash, run.params_json, run.inputs_json)
        rows.append((run.run_id, run.feature, *text, position))
    if not rows:
        return
    with database.transaction() as con, rows_as(con, "new_runs", _NEW, rows):
        con.execute(
            """
            INSERT INTO features.feature_runs
            SELECT run_id,
                   coalesce((SELECT max(r.attempt) FROM features.feature_runs r
                             WHERE r.run_id = n.run_id), 0)
                   + row_number() OVER (PARTITION BY run_id ORDER BY position),
                   feature, version, params_hash, params, inputs, 'running', ?, NULL
            FROM new_runs n
            """,
            [utc_now()],
        )


def finish(database: Database, runs: Sequence[tuple[str, RunStatus]]) -> None:
    """End the newest running attempt of each (run id, status); an ended run stays as it is.

    Raises
    ------
    UnknownRunError
        A run id was never started; nothing is changed.
    StoreError
        A status is not one of running, finished, failed.
    """
    for _, status in runs:
        if status not in _STATUSES:
            msg = f"A run cannot have the status {status!r}."
            raise StoreError(msg, f"Use one of {', '.join(_STATUSES)}.")
    if not runs:
        return
    ended = list(dict(runs).items())
    with (
        database.transaction() as con,
        rows_as(con, "ended", {"run_id": TEXT, "status": TEXT}, ended),
    ):
        _check_known(con)
        con.execute(
            """
            UPDATE features.feature_runs AS r SET status = e.status, finished_at = ?
            FROM ended e
            WHERE e.run_id = r.run_id AND e.status <> 'running' AND r.status = 'running'
              AND r.attempt = (SELECT max(x.attempt) FROM features.feature_runs x
                               WHERE x.run_id = r.run_id AND x.status = 'running')
            """,
            [utc_now()],
        )


def mark_finished(database: Database, feature: str, run_id: str) -> None:
    """End the newest running attempt of a feature's run as finished.

    Raises
    ------
    UnknownRunError
        The feature never started this run.
    """
    with database.transaction() as con:
        if not _has(con, feature, run_id):
            msg = f"Feature {feature!r} has no run {run_id!r}."
            raise UnknownRunError(msg, "Record its start first.")
        con.execute(
            """
            UPDATE features.feature_runs SET status = 'finished', finished_at = ?
            WHERE feature = ? AND run_id = ? AND status = 'running'
              AND attempt = (SELECT max(attempt) FROM features.feature_runs
                             WHERE feature = ? AND run_id = ? AND status = 'running')
            """,
            [utc_now(), feature, run_id, feature, run_id],
        )


def latest_run_id(database: Database, feature: str) -> str:
    """Run id of the newest finished run of a feature, or else of its newest run.

    Raises
    ------
    UnknownRunError
        The feature was never run.
    """
    with database.lease() as con:
        row = con.execute(
            f"SELECT run_id FROM features.feature_runs WHERE feature = ? ORDER BY {_BEST_FIRST}",
            [feature],
        ).fetchone()
    if row is None:
        msg = f"Feature {feature!r} was never run."
        raise UnknownRunError(msg, "list_features() names those that were.")
    return str(row[0])


def list_runs(database: Database, feature: str) -> pl.DataFrame:
    """List the runs of a feature, the latest first: one row each, of its attempt that counts."""
    query = f"""
        SELECT run_id, feature, version, params_hash, params, inputs, status,
               started_at, finished_at, attempt,
               count(*) OVER (PARTITION BY run_id) AS attempts
        FROM features.feature_runs WHERE feature = ?
        QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY {_BEST_FIRST}) = 1
        ORDER BY {_BEST_FIRST}
    """
    with database.lease() as con:
        return fetch_frame(con.execute(query, [feature]), _RUN_FRAME)


def list_features(database: Database) -> pl.DataFrame:
    """Features that were run, by name: number of runs, and the id of the latest."""
    query = f"""
        SELECT feature, count(DISTINCT run_id), first(run_id ORDER BY {_BEST_FIRST})
        FROM features.feature_runs GROUP BY feature ORDER BY feature
    """
    with database.lease() as con:
        return fetch_frame(con.execute(query), _FEATURE_FRAME)


def has_run(database: Database, feature: str, run_id: str) -> bool:
    """Whether a feature ever started this run."""
    with database.lease() as con:
        return _has(con, feature, run_id)


def is_finished(database: Database, feature: str, run_id: str) -> bool:
    """Whether some attempt at this run finished."""
    with database.lease() as con:
        return _has(con, feature, run_id, "AND status = 'finished'")


def declarations(
    database: Database, run_ids: Iterable[str]
) -> dict[str, tuple[str, str, str | None]]:
    """Feature, version and parameters (JSON text) of the run ids that are known."""
    with database.lease() as con, texts_as(con, "asked", run_ids):
        rows = con.execute(
            f"""
            SELECT run_id, feature, version, params
            FROM features.feature_runs SEMI JOIN asked ON run_id = value
            QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY {_BEST_FIRST}) = 1
            """
        ).fetchall()
    return {run_id: (feature, version, params) for run_id, feature, version, params in rows}


def _has(con: duckdb.DuckDBPyConnection, feature: str, run_id: str, condition: str = "") -> bool:
    query = (
        f"SELECT 1 FROM features.feature_runs WHERE feature = ? AND run_id = ? {condition} LIMIT 1"
    )
    return con.execute(query, [feature, run_id]).fetchone() is not None


def _check_known(con: duckdb.DuckDBPyConnection) -> None:
    unknown = con.execute(
        "SELECT run_id FROM ended ANTI JOIN features.feature_runs USING (run_id) ORDER BY run_id"
    ).fetchall()
    if unknown:
        msg = f"No run was started as {', '.join(repr(run_id) for (run_id,) in unknown)}."
        raise UnknownRunError(msg, "Start a run before ending it.")
