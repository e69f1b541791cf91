"""What is known about a run or a pipeline, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from mosaic_dagster.cli.models.opening import Models
from mosaic_dagster.store import WorkspaceStore

_LOG = ("log_count", "step_count", "total_duration_ms", "warning_count", "error_count")


def run_facts(models: Models, run_id: str) -> dict[str, Any]:
    """State, origin, data, pipelines and log summary of a run."""
    store = models.store
    run = store.get_run(run_id) or {}
    listed = store.list_pipelines(run_id).reverse()
    log = store.get_run_log_summary(run_id)
    pipelines = listed.join(log, on="pipeline_id", how="left", maintain_order="left").select(
        pl.col("pipeline_id").alias("pipeline"), "name", "status", "dataset_name", "best_val",
        "best_test", "metric", "duration_ms", "log_count", "warning_count", "error_count", "error",
    )  # fmt: skip
    return {
        "run_id": run_id,
        "name": run["name"],
        "status": run["status"],
        "dagster_run_id": _dagster_run(run),
        "created": run["created_at"],
        "completed": run["completed_at"],
        "error": run["error"],
        "config": run["config"] or {},
        "summary": run["summary"] or {},
        "data": run["datasets"] or [],
        "pipelines": pipelines.to_dicts(),
    }


def pipeline_facts(models: Models, pipeline_id: str) -> dict[str, Any]:
    """State, scores, origin, data, chains and log summary of a pipeline."""
    store = models.store
    pipeline = store.get_pipeline(pipeline_id) or {}
    chains = store.get_chains_for_pipeline(pipeline_id).select(
        pl.col("chain_id").alias("chain"),
        pl.col("model_class").alias("model"), "preprocessings", "fold_strategy",
        pl.col("created_at").alias("created"),
    )  # fmt: skip
    origin, data = origin_of(store, pipeline)
    return {
        "pipeline_id": pipeline_id,
        "name": pipeline["name"],
        "status": pipeline["status"],
        "best_val": pipeline["best_val"],
        "best_test": pipeline["best_test"],
        "metric": pipeline["metric"],
        "duration_ms": pipeline["duration_ms"],
        "created": pipeline["created_at"],
        "completed": pipeline["completed_at"],
        "error": pipeline["error"],
        "choices": pipeline["generator_choices"] or {},
        "config": pipeline["expanded_config"] or {},
        "chains": chains.to_dicts(),
        "made_by": {key: value for key, value in origin.items() if key != "pipeline"},
        "data": data,
        "log": log_of(store, pipeline),
    }


def origin_of(
    store: WorkspaceStore, pipeline: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Who made a pipeline's chains, and the data that they were trained on."""
    run = store.get_run(pipeline["run_id"]) or {}
    origin = {
        "pipeline": pipeline["pipeline_id"],
        "pipeline_name": pipeline["name"],
        "run": pipeline["run_id"],
        "run_name": run.get("name"),
        "run_status": run.get("status"),
        "dagster_run_id": _dagster_run(run),
    }
    name = pipeline["dataset_name"]
    data = {"name": name, "version": pipeline["dataset_hash"]}
    for described in run.get("datasets") or []:
        if described.get("name") == name:
            data |= described
    return origin, data


def log_of(store: WorkspaceStore, pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of what a pipeline logged."""
    summary = store.get_run_log_summary(pipeline["run_id"])
    found = summary.filter(pl.col("pipeline_id") == pipeline["pipeline_id"]).select(_LOG)
    return found.row(0, named=True) if found.height else dict.fromkeys(_LOG, 0)


def _dagster_run(run: Mapping[str, Any]) -> str | None:
    config = run.get("config")
    return config.get("dagster_run_id") if isinstance(config, dict) else None
