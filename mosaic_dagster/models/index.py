"""The index of trained models: rows among the runs of the workspace store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.store import WorkspaceStore
from mosaic_dagster.store.workspace.process import PROCESS, fail_abandoned_runs, this_process

LONGEST_NOTE = 500
"""Signs of a note that are kept."""

_KIND = "trained_model"
_STATUS = {"completed": "success"}

SCHEMA: Mapping[str, Any] = {
    "run_id": pl.String,
    "model": pl.String,
    "version": pl.String,
    "config_path": pl.String,
    "config_hash": pl.String,
    "metrics_path": pl.String,
    "status": pl.String,
    "notes": pl.String,
    "started_at": pl.Datetime("us"),
    "finished_at": pl.Datetime("us"),
}
"""Columns of what :func:`list_models` gives."""


@dataclass(frozen=True)
class ModelRun:
    """One training, as the index knows it before it ends.

    Attributes
    ----------
    model, version, run_id
        Which model, and the identity of this training.
    config_path, metrics_path
        Files, relative to the workspace.
    config_hash
        sha256 of the canonical JSON of the configuration.
    """

    model: str
    version: str
    run_id: str
    config_path: str
    config_hash: str
    metrics_path: str


def begin(dataset: Dataset, run: ModelRun) -> str:
    """Begin a row, after rows of processes that are gone were failed; its identifier."""
    with WorkspaceStore(dataset.path) as store, store.session():
        fail_abandoned_runs(store)
        facts = {
            "kind": _KIND,
            "model": run.model,
            "version": run.version,
            "run_id": run.run_id,
            "config_path": run.config_path,
            "config_hash": run.config_hash,
            "metrics_path": run.metrics_path,
            PROCESS: this_process(),
        }
        where = {"name": dataset.name, "path": dataset.path.as_posix()}
        return store.begin_run(f"models/{run.model}", facts, [where])


def complete(
    dataset: Dataset, row: str, metrics: Mapping[str, Any] | None, notes: str = ""
) -> None:
    """End a row as a success."""
    with WorkspaceStore(dataset.path) as store:
        store.complete_run(row, {"metrics": metrics, "notes": notes[:LONGEST_NOTE]})


def fail(dataset: Dataset, row: str, error: str) -> None:
    """End a row as failed."""
    with WorkspaceStore(dataset.path) as store:
        store.fail_run(row, error[:LONGEST_NOTE])


def list_models(dataset: Dataset) -> pl.DataFrame:
    """Every training of a model in a workspace, the newest first.

    Trainings of this machine whose process is gone are ended as failed first.

    Returns
    -------
    polars.DataFrame
        ``run_id``, ``model``, ``version``, ``config_path``, ``config_hash``, ``metrics_path``,
        ``status`` (``success``, ``failed`` or ``running``), ``notes`` (what went wrong, or what
        is worth knowing; at most 500 signs), ``started_at`` and ``finished_at`` (UTC; null while
        it runs). A model that was trained twice under one identity has two rows.
    """
    with WorkspaceStore(dataset.path) as store, store.session():
        fail_abandoned_runs(store)
        runs = store.list_runs(limit=None)
    rows = []
    for run in runs.iter_rows(named=True):
        facts = json.loads(run["config"]) if run["config"] else None
        if not isinstance(facts, dict) or facts.get("kind") != _KIND:
            continue
        summary = json.loads(run["summary"]) if run["summary"] else {}
        rows.append(
            {
                **{name: facts[name] for name in ("run_id", "model", "version", "config_hash")},
                "config_path": (dataset.path / facts["config_path"]).as_posix(),
                "metrics_path": (dataset.path / facts["metrics_path"]).as_posix(),
                "status": _STATUS.get(run["status"], run["status"]),
                "notes": run["error"] or summary.get("notes") or "",
                "started_at": run["created_at"],
                "finished_at": run["completed_at"],
            }
        )
    return pl.DataFrame(rows, schema=dict(SCHEMA))


def latest(dataset: Dataset, model: str, run_id: str) -> dict[str, Any] | None:
    """The newest row of a training, or None."""
    rows = list_models(dataset).filter((pl.col("model") == model) & (pl.col("run_id") == run_id))
    return rows.row(0, named=True) if rows.height else None
