"""Runs: one experiment over some datasets each."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import polars as pl

from mosaic_dagster.errors import StateError, StoreTypeError, StoreValueError, UnknownIdError
from mosaic_dagster.store.database.bulk import first_row
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.workspace import deletion
from mosaic_dagster.store.workspace.frames import frame, page, record
from mosaic_dagster.store.workspace.json_columns import (
    known_id,
    readable,
    text,
    text_or_none,
    to_json,
    told,
)
from mosaic_dagster.store.workspace.opened import OpenWorkspace

_JSON = ("config", "datasets", "summary")


def begin(
    workspace: OpenWorkspace, name: str, config: Any, datasets: Sequence[Mapping[str, Any]]
) -> str:
    """Insert a running run and return its identifier.

    Raises
    ------
    StoreValueError
        A dataset has no name.
    StoreTypeError
        The name is no text, the datasets are no list, or something in the configuration or the
        datasets is not JSON.
    """
    workspace.check_writable()
    run_id = str(uuid.uuid4())
    values = [run_id, text(name, "name"), to_json(config, "config"),
              to_json(_listed(datasets, name), "datasets"), utc_now()]  # fmt: skip
    with workspace.writing() as con:
        con.execute(
            "INSERT INTO main.runs (run_id, name, config, datasets, created_at) "
            "VALUES (?, ?, ?, ?, ?)",
            values,
        )
    return run_id


def _listed(datasets: Any, name: str) -> list[Any]:
    """Datasets of a run called *name*, each with a name of its own."""
    if datasets is not None and not isinstance(datasets, Iterable):
        msg = f"The datasets of run {name!r} are {told(datasets)}, which is no list."
        raise StoreTypeError(msg, "Give a list of mappings with at least 'name'.")
    listed = [] if datasets is None else list(datasets)
    if not all(isinstance(d, Mapping) and isinstance(d.get("name"), str) for d in listed):
        msg = f"Run {name!r} has a dataset without a name."
        raise StoreValueError(msg, "Give each dataset as a mapping with at least 'name'.")
    return listed


def complete(workspace: OpenWorkspace, run_id: str, summary: Any) -> None:
    """End a run as completed; a second time changes nothing."""
    workspace.check_writable()
    figures = to_json(summary, "summary")
    with workspace.writing() as con:
        if _ends(con, run_id, "completed"):
            con.execute(
                "UPDATE main.runs SET status = 'completed', completed_at = ?, summary = ? "
                "WHERE run_id = ?",
                [utc_now(), figures, run_id],
            )


def fail(workspace: OpenWorkspace, run_id: str, error: str) -> None:
    """End a run and those of its pipelines that still run as failed."""
    with workspace.writing() as con:
        if not _ends(con, run_id, "failed"):
            return
        con.execute(
            "UPDATE main.runs SET status = 'failed', completed_at = ?, error = ? WHERE run_id = ?",
            [utc_now(), readable(error), run_id],
        )
        running = con.execute(
            "SELECT pipeline_id FROM main.pipelines WHERE run_id = ? AND status = 'running'",
            [run_id],
        ).fetchall()
        deletion.fail_pipelines(con, [pipeline_id for (pipeline_id,) in running], error)
    workspace.forget()


def get(workspace: OpenWorkspace, run_id: str) -> dict[str, Any] | None:
    """Every column of a run, JSON decoded, or None."""
    with workspace.reading() as con:
        return record(con, "SELECT * FROM main.runs WHERE run_id = ?", [known_id(run_id)], _JSON)


def list_runs(
    workspace: OpenWorkspace,
    status: str | None,
    dataset: str | None,
    limit: int | None,
    offset: int,
) -> pl.DataFrame:
    """Runs, the newest first.

    Raises
    ------
    StoreTypeError, StoreValueError
        The status or the dataset is no text, or a number is negative.
    """
    workspace.check()
    by = {
        "status = ?": text_or_none(status, "status"),
        "list_contains(json_extract_string(datasets, '$[*].name'), ?)": text_or_none(
            dataset, "dataset"
        ),
    }
    conditions = ["true", *(condition for condition, value in by.items() if value is not None)]
    params = [value for value in by.values() if value is not None]
    query = f"""
        SELECT * FROM main.runs WHERE {" AND ".join(conditions)}
        ORDER BY created_at DESC, run_id {page(limit, offset)}
    """
    with workspace.reading() as con:
        return frame(con, query, params)


def status_of(con: duckdb.DuckDBPyConnection, run_id: str) -> str:
    """Status of a run.

    Raises
    ------
    UnknownIdError
        There is no such run.
    """
    row = first_row(con, "SELECT status FROM main.runs WHERE run_id = ?", [known_id(run_id)])
    if row is None:
        msg = f"There is no run {told(run_id)}."
        raise UnknownIdError(msg, "list_runs() names what there is.")
    return str(row[0])


def _ends(con: duckdb.DuckDBPyConnection, run_id: str, ending: str) -> bool:
    """Whether a run has to be ended this way; StateError when it ended the other way."""
    status = status_of(con, run_id)
    if status not in ("running", ending):
        msg = f"Run {run_id!r} is {status} and cannot become {ending}."
        raise StateError(msg, "Begin another run.")
    return status == "running"
