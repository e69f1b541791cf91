"""The best prediction of a dataset as files: its values, its configuration, its scores."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.content.file_names import LONGEST_FILE_NAME, safe_file_name
from mosaic_dagster.store.workspace import pipelines, queries, ranking
from mosaic_dagster.store.workspace.opened import OpenWorkspace

_SUMMARY = ("model_name", "pipeline_id", "prediction_id", "val_score", "test_score")


def best_predictions(
    workspace: OpenWorkspace,
    dataset_name: str,
    output_dir: str | Path,
    metric: str,
    ascending: bool | None,
) -> Path | None:
    """Do the work of :meth:`WorkspaceStore.export_best_predictions`."""
    with workspace.session():
        best = ranking.top(workspace, 1, metric, ascending, "val", dataset_name, None)
        if best.is_empty():
            return None
        row = best.row(0, named=True)
        found = queries.get(workspace, row["prediction_id"], load_arrays=True) or {}
        pipeline = pipelines.get(workspace, row["pipeline_id"]) or {}
    summary = {
        "dataset": dataset_name,
        **{name: row[name] for name in _SUMMARY},
        "exported_at": datetime.now(UTC).isoformat(),
    }
    folder = Path(output_dir) / _own_name(dataset_name, "dataset")
    stem = _own_name(row["model_name"], "model")
    values = _values(found, row["prediction_id"]).write_csv().encode()
    durable.replace_file(folder / f"{stem}_pipeline.json", _json(pipeline["expanded_config"]))
    durable.replace_file(folder / f"{stem}_summary.json", _json(summary))
    return durable.replace_file(folder / f"{stem}_predictions.csv", values)


def _own_name(name: str, default: str) -> str:
    """Safe file name that no other name has: one that had to change ends in a hash of itself."""
    safe = safe_file_name(name, default)
    if safe == name:
        return safe
    ending = f"_{digest_bytes(name.encode())[:8]}"
    return safe[: LONGEST_FILE_NAME - len(ending)] + ending


def _values(found: dict[str, Any], prediction_id: str) -> pl.DataFrame:
    schema = {"y_true": pl.Float64, "y_pred": pl.Float64}
    columns = {name: found[name] for name in schema}
    if any(values is not None and values.size != len(values) for values in columns.values()):
        msg = f"Prediction {prediction_id!r} has several values per sample."
        raise StoreValueError(msg, "Read its arrays with get_prediction(..., load_arrays=True).")
    length = max((len(values) for values in columns.values() if values is not None), default=0)
    filled = {n: [None] * length if v is None else v.reshape(-1) for n, v in columns.items()}
    return pl.DataFrame(filled, schema=schema)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
