"""Taking rows back: children before parents, references to artifacts with them."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from mosaic_dagster.store.database.bulk import first_row, texts_as
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.workspace import collection, references
from mosaic_dagster.store.workspace.json_columns import known_id, readable
from mosaic_dagster.store.workspace.opened import OpenWorkspace


def delete_run(workspace: OpenWorkspace, run_id: str, delete_artifacts: bool) -> int:
    """Delete a run with all it made, in one transaction.

    Returns
    -------
    int
        Rows deleted, artifact rows not counted; 0 for an unknown run.
    """
    run_id = known_id(run_id) or ""
    with workspace.session():
        with workspace.writing(outermost=True) as con:
            rows, artifacts = delete_rows_of_run(con, run_id)
        workspace.forget()
        if artifacts and delete_artifacts:
            collection.remove_unreferenced(workspace, artifacts)
    return sum(rows.values())


def delete_rows_of_run(
    con: duckdb.DuckDBPyConnection, run_id: str
) -> tuple[dict[str, int], list[str]]:
    """Delete a run with all it made, inside the caller's transaction.

    Returns
    -------
    tuple of dict and list of str
        Rows of each table, and the artifacts whose references were given back.
    """
    pipelines = con.execute(
        "SELECT pipeline_id FROM main.pipelines WHERE run_id = ?", [run_id]
    ).fetchall()
    with texts_as(con, "leaving", [pipeline_id for (pipeline_id,) in pipelines]):
        rows, artifacts = delete_work(con, logs=True)
    for table in ("pipelines", "runs"):
        rows[table] = _deleted(con, f"DELETE FROM main.{table} WHERE run_id = ?", [run_id])
    return rows, artifacts


def delete_prediction(workspace: OpenWorkspace, prediction_id: str) -> bool:
    """Delete a prediction and its arrays; whether it was there."""
    prediction_id = known_id(prediction_id) or ""
    with workspace.writing() as con:
        for table in ("prediction_arrays", "predictions"):
            deleted = _deleted(
                con, f"DELETE FROM main.{table} WHERE prediction_id = ?", [prediction_id]
            )
    workspace.forget()
    return deleted > 0


def fail_pipelines(
    con: duckdb.DuckDBPyConnection,
    pipeline_ids: Sequence[str],
    error: str,
    keep_logs: bool = False,
) -> None:
    """Fail pipelines inside the caller's transaction: only their rows and the error stay."""
    with texts_as(con, "leaving", pipeline_ids):
        delete_work(con, logs=not keep_logs)
        con.execute(
            "UPDATE main.pipelines SET status = 'failed', completed_at = ?, error = ? "
            "WHERE pipeline_id IN (SELECT value FROM leaving)",
            [utc_now(), readable(error)],
        )


def delete_work(con: duckdb.DuckDBPyConnection, *, logs: bool) -> tuple[dict[str, int], list[str]]:
    """Delete what the pipelines in the table ``leaving`` made.

    Returns
    -------
    tuple of dict and list of str
        Rows of each table, and the artifacts whose references were given back.
    """
    artifacts = references.give_back(con)
    theirs = "pipeline_id IN (SELECT value FROM leaving)"
    rows = {
        "prediction_arrays": _deleted(
            con,
            "DELETE FROM main.prediction_arrays WHERE prediction_id IN "
            f"(SELECT prediction_id FROM main.predictions WHERE {theirs})",
        )
    }
    for table in ("predictions", "chains", "logs") if logs else ("predictions", "chains"):
        rows[table] = _deleted(con, f"DELETE FROM main.{table} WHERE {theirs}")
    return rows, artifacts


def _deleted(con: duckdb.DuckDBPyConnection, statement: str, params: Sequence[str] = ()) -> int:
    row = first_row(con, statement, params)
    return 0 if row is None else int(row[0])
