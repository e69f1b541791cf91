"""What a person wants to see of trained models: their objects, their scores, where they lie."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.orchestration.previews import frame_table
from mosaic_dagster.pipeline.store_run import best_scores
from mosaic_dagster.pipeline.trained_results import mean_scores
from mosaic_dagster.pipeline.training import Trained
from mosaic_dagster.store import WorkspaceStore

_MOST_ROWS = 50


def models_preview(trained: Trained, dataset: Dataset, action_key: str) -> dict[str, Any]:
    """Metadata of the models of a training step: their artifacts, and their rows in the store."""
    artifacts = pl.DataFrame(
        [
            {"name": name, "class": kept.operator_class.rpartition(".")[2], "format": kept.format,
             "bytes": kept.size, "artifact_id": f"art_{kept.sha256}"}
            for name, kept in trained.artifacts.items()
        ],
        schema={"name": pl.String, "class": pl.String, "format": pl.String, "bytes": pl.Int64,
                "artifact_id": pl.String},
    )  # fmt: skip
    metadata: dict[str, Any] = {
        "models": len(trained.chains),
        "artifacts": frame_table(artifacts.head(_MOST_ROWS)),
        "artifact_bytes": int(artifacts["bytes"].sum()),
    }
    return metadata | _rows_in_store(dataset, action_key)


def scores_preview(trained: Trained) -> dict[str, Any]:
    """Metadata of the predictions of a training step: the best scores, and all by model."""
    scores = trained.scores()
    best_val, best_test, metric = best_scores(trained.chains)
    numbers = {"best_val_score": best_val, "best_test_score": best_test, "metric": metric}
    table = mean_scores(trained)
    return {
        "predictions": scores.height,
        "scores": frame_table(table.head(_MOST_ROWS)),
        **{name: value for name, value in numbers.items() if value is not None},
    }


def _rows_in_store(dataset: Dataset, action_key: str) -> dict[str, Any]:
    """Identifiers of the run and the pipelines that these models were saved under."""
    with WorkspaceStore(dataset.path) as store:
        rows = store.list_pipelines(dataset_name=dataset.name)
    rows = rows.filter((pl.col("dataset_hash") == action_key) & (pl.col("status") == "completed"))
    if rows.is_empty():
        return {"store": "These models are no longer in the workspace store."}
    run_id = rows["run_id"][0]
    pipelines = rows.filter(pl.col("run_id") == run_id)["pipeline_id"].to_list()
    return {
        "store_run": run_id,
        "store_pipelines": dg.MetadataValue.json(pipelines),
        "see": dg.MetadataValue.md(f"`mosaic models show {run_id}`"),
    }
