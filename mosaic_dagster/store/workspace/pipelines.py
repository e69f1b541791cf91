"""Pipelines: one expanded configuration on one dataset each, within a run."""

from __future__ import annotations

import uuid
from typing import Any

import duckdb
import polars as pl

from mosaic_dagster.errors import StateError, UnknownIdError
from mosaic_dagster.store.database.bulk import first_row
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.workspace import deletion, runs
from mosaic_dagster.store.workspace.frames import frame, record
from mosaic_dagster.store.workspace.json_columns import (
    finite,
    known_id,
    required_id,
    text,
    text_or_none,
    to_json,
    whole,
)
from mosaic_dagster.store.workspace.opened import OpenWorkspace

_JSON = ("expanded_config", "generator_choices")


def begin(
    workspace: OpenWorkspace,
    run_id: str,
    name: str,
    expanded_config: Any,
    generator_choices: Any,
    dataset_name: str,
    dataset_hash: str | None,
) -> str:
    """Insert a running pipeline and return its identifier.

    Raises
    ------
    UnknownIdError
        There is no such run.
    StateError
        The run has ended.
    StoreTypeError
        A name is no text, or something in the configuration is not JSON.
    """
    pipeline_id = str(uuid.uuid4())
    values = [
        pipeline_id,
        run_id,
        text(name, "name"),
        to_json(expanded_config, "expanded_config"),
        to_json(generator_choices, "generator_choices"),
        text(dataset_name, "dataset_name"),
        text_or_none(dataset_hash, "dataset_hash"),
        utc_now(),
    ]
    with workspace.writing() as con:
        status = runs.status_of(con, run_id)
        if status != "running":
            msg = f"Run {run_id!r} is {status}; it takes no more pipelines."
            raise StateError(msg, "Begin another run.")
        con.execute(
            """
            INSERT INTO main.pipelines (pipeline_id, run_id, name, expanded_config,
                generator_choices, dataset_name, dataset_hash, created_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            values,
        )
    workspace.alive.put(("pipeline", pipeline_id), True)
    return pipeline_id


def complete(
    workspace: OpenWorkspace,
    pipeline_id: str,
    best_val: float | None,
    best_test: float | None,
    metric: str | None,
    duration_ms: int | None,
) -> None:
    """End a pipeline as completed; a second time changes nothing."""
    figures = [finite(best_val), finite(best_test), text_or_none(metric, "metric"),
               whole(duration_ms, "duration_ms")]  # fmt: skip
    with workspace.writing() as con:
        status = status_of(con, pipeline_id)
        if status == "failed":
            msg = f"Pipeline {pipeline_id!r} is failed and cannot become completed."
            raise StateError(msg, "Begin another pipeline.")
        if status == "running":
            con.execute(
                "UPDATE main.pipelines SET status = 'completed', completed_at = ?, best_val = ?, "
                "best_test = ?, metric = ?, duration_ms = ? WHERE pipeline_id = ?",
                [utc_now(), *figures, pipeline_id],
            )


def fail(workspace: OpenWorkspace, pipeline_id: str, error: str, keep_logs: bool) -> None:
    """End a pipeline as failed and take its work back; a second time changes nothing."""
    required_id(pipeline_id, "pipeline")
    with workspace.writing() as con:
        status = status_of(con, pipeline_id)
        if status == "completed":
            msg = f"Pipeline {pipeline_id!r} is completed and cannot become failed."
            raise StateError(msg, "Delete its run to take it back.")
        if status == "running":
            deletion.fail_pipelines(con, [pipeline_id], error, keep_logs)
    workspace.forget()


def get(workspace: OpenWorkspace, pipeline_id: str) -> dict[str, Any] | None:
    """Every column of a pipeline, JSON decoded, or None."""
    query = "SELECT * FROM main.pipelines WHERE pipeline_id = ?"
    with workspace.reading() as con:
        return record(con, query, [known_id(pipeline_id)], _JSON)


def list_pipelines(
    workspace: OpenWorkspace, run_id: str | None, dataset_name: str | None
) -> pl.DataFrame:
    """Pipelines, the newest first."""
    query = """
        SELECT * FROM main.pipelines
        WHERE coalesce(run_id = $1, true) AND coalesce(dataset_name = $2, true)
        ORDER BY created_at DESC, pipeline_id
    """
    with workspace.reading() as con:
        # What no row can be called finds nothing; None means all.
        given = (None if name is None else known_id(name) or "" for name in (run_id, dataset_name))
        return frame(con, query, [*given])


def status_of(con: duckdb.DuckDBPyConnection, pipeline_id: str) -> str:
    """Status of a pipeline.

    Raises
    ------
    UnknownIdError
        There is no such pipeline.
    """
    query = "SELECT status FROM main.pipelines WHERE pipeline_id = ?"
    row = first_row(con, query, [required_id(pipeline_id, "pipeline")])
    if row is None:
        msg = f"There is no pipeline {pipeline_id!r}."
        raise UnknownIdError(msg, "list_pipelines() names what there is.")
    return str(row[0])


def check_open(con: duckdb.DuckDBPyConnection, pipeline_id: str) -> None:
    """Refuse to save under a pipeline that failed.

    Raises
    ------
    UnknownIdError
        There is no such pipeline.
    StateError
        The pipeline failed.
    """
    if status_of(con, pipeline_id) == "failed":
        msg = f"Pipeline {pipeline_id!r} failed; nothing can be saved under it."
        raise StateError(msg, "Begin another pipeline.")


def ensure_open(workspace: OpenWorkspace, pipeline_id: str) -> None:
    """:func:`check_open`, from memory when this process has seen the pipeline alive."""
    if workspace.alive.get(("pipeline", required_id(pipeline_id, "pipeline"))):
        return
    with workspace.reading() as con:
        check_open(con, pipeline_id)
        # Inside the lease: who fails the pipeline comes later, and makes us forget it.
        workspace.alive.put(("pipeline", pipeline_id), True)
