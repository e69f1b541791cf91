"""Counts and identifiers of a workspace's tables, read in one query each.

The store answers by run, pipeline or chain; a command line needs all of them at once.
"""

from __future__ import annotations

from mosaic_dagster.cli.models.identifiers import CHAIN, PIPELINE, RUN
from mosaic_dagster.store import Database

_TABLES = {RUN: "runs", PIPELINE: "pipelines", CHAIN: "chains"}
_OF_PIPELINES = "pipeline_id IN (SELECT pipeline_id FROM main.pipelines WHERE run_id = $run_id)"
_OF_RUN = {
    "prediction_arrays": "prediction_id IN "
    f"(SELECT prediction_id FROM main.predictions WHERE {_OF_PIPELINES})",
    "predictions": _OF_PIPELINES,
    "chains": _OF_PIPELINES,
    "logs": _OF_PIPELINES,
    "pipelines": "run_id = $run_id",
    "runs": "run_id = $run_id",
}


def known_identifiers(database: Database) -> dict[str, str]:
    """Identifier -> what it names, for every run, pipeline and chain."""
    parts = [f"SELECT {kind}_id, '{kind}' FROM main.{table}" for kind, table in _TABLES.items()]
    with database.lease() as con:
        return dict(con.execute(" UNION ALL ".join(parts)).fetchall())


def count_rows(database: Database) -> dict[str, int]:
    """How many rows each table has; prediction arrays and logs are parts of others."""
    tables = ("runs", "pipelines", "chains", "predictions")
    parts = [f"SELECT '{table}', count(*) FROM main.{table}" for table in tables]
    with database.lease() as con:
        found = dict(con.execute(" UNION ALL ".join(parts)).fetchall())
    return {table: found[table] for table in tables}


def rows_of_run(database: Database, run_id: str) -> dict[str, int]:
    """How many rows of each table belong to a run, children first."""
    parts = [
        f"SELECT '{table}', count(*) FROM main.{table} WHERE {condition}"
        for table, condition in _OF_RUN.items()
    ]
    with database.lease() as con:
        found = dict(con.execute(" UNION ALL ".join(parts), {"run_id": run_id}).fetchall())
    return {table: found[table] for table in _OF_RUN}
