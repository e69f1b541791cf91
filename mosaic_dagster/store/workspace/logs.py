"""Logs: what happened at each step of a pipeline."""

from __future__ import annotations

import time
import uuid
from typing import Any

import polars as pl

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store.database.journal.kinds import LOG
from mosaic_dagster.store.workspace import pipelines
from mosaic_dagster.store.workspace.frames import frame
from mosaic_dagster.store.workspace.json_columns import (
    known_id,
    required_id,
    text,
    text_or_none,
    to_json,
    told,
    whole,
)
from mosaic_dagster.store.workspace.opened import OpenWorkspace

LEVELS = ("debug", "info", "warning", "error")


def log_step(
    workspace: OpenWorkspace,
    pipeline_id: str,
    step_idx: int,
    operator_class: str | None,
    event: str,
    duration_ms: int | None,
    message: str | None,
    details: Any,
    level: str,
) -> None:
    """Log one event of a step.

    Raises
    ------
    UnknownIdError
        There is no such pipeline.
    StateError
        The pipeline failed.
    StoreValueError
        The level is not known, or a number is too large.
    StoreTypeError
        A value has another type than its column.
    """
    workspace.check_writable()
    pipeline_id = required_id(pipeline_id, "pipeline")
    _check_level(level)
    step = whole(step_idx, "step_idx", 32)
    if step is None:
        msg = "step_idx is None."
        raise StoreTypeError(msg, "Give the index of the step.")
    values = [
        str(uuid.uuid4()),
        pipeline_id,
        step,
        text_or_none(operator_class, "operator_class"),
        text(event, "event"),
        whole(duration_ms, "duration_ms"),
        text_or_none(message, "message"),
        to_json(details, "details"),
        level,
        time.time_ns() // 1000,
    ]
    pipelines.ensure_open(workspace, pipeline_id)
    workspace.append(LOG, values)


def _check_level(level: Any) -> None:
    if not isinstance(level, str) or level not in LEVELS:
        msg = f"The level is {told(level)}."
        raise StoreValueError(msg, f"Use one of {', '.join(LEVELS)}.")


def of_pipeline(workspace: OpenWorkspace, pipeline_id: str) -> pl.DataFrame:
    """Log of a pipeline, by step, time and order of writing."""
    query = """
        SELECT log_id, step_idx, operator_class, event, duration_ms, message, details, level,
               created_at AS timestamp
        FROM main.logs WHERE pipeline_id = ? ORDER BY step_idx, created_at, rowid
    """
    with workspace.reading() as con:
        return frame(con, query, [known_id(pipeline_id)])


def summary_of_run(workspace: OpenWorkspace, run_id: str) -> pl.DataFrame:
    """One row per pipeline of a run, in order of creation; zeros where nothing was logged.

    A sum of durations beyond 64 bits is shown as the bound that it passes.
    """
    query = f"""
        SELECT p.pipeline_id, p.name AS pipeline_name, p.status AS pipeline_status,
               count(l.log_id) AS log_count,
               count(DISTINCT l.step_idx) FILTER (l.event = 'end') AS step_count,
               least(greatest(coalesce(sum(l.duration_ms) FILTER (l.event = 'end'), 0),
                   {-(2**63)}), {2**63 - 1})::BIGINT AS total_duration_ms,
               count(*) FILTER (l.level = 'warning') AS warning_count,
               count(*) FILTER (l.level = 'error') AS error_count
        FROM main.pipelines p LEFT JOIN main.logs l USING (pipeline_id)
        WHERE p.run_id = ? GROUP BY p.pipeline_id, p.name, p.status, p.created_at, p.rowid
        ORDER BY p.created_at, p.rowid
    """
    with workspace.reading() as con:
        return frame(con, query, [known_id(run_id)])
