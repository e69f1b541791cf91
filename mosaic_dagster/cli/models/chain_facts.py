"""What is known about a chain, as plain values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from mosaic_dagster.cli.models.opening import Models
from mosaic_dagster.cli.models.run_facts import log_of, origin_of
from mosaic_dagster.store.chains import SOURCE_MAP

_SCORES = ("fold_id", "partition", "val_score", "test_score", "train_score", "metric", "n_samples")


def chain_facts(models: Models, chain_id: str) -> dict[str, Any]:
    """Model, steps, folds, scores, fitted objects, origin, data and log of a chain."""
    store = models.store
    chain = store.get_chain(chain_id) or {}
    pipeline = store.get_pipeline(chain["pipeline_id"]) or {}
    predictions = store.query_predictions(pipeline_id=chain["pipeline_id"])
    own = predictions.filter(pl.col("chain_id") == chain_id).sort("fold_id", "partition")
    origin, data = origin_of(store, pipeline)
    return {
        "chain_id": chain_id,
        "model": chain["model_class"],
        "preprocessings": chain["preprocessings"],
        "fold_strategy": chain["fold_strategy"],
        "branch_path": chain["branch_path"],
        "source_index": chain["source_index"],
        "created": chain["created_at"],
        "steps": [_step(step) for step in chain["steps"]],
        "folds": _folds(chain),
        "scores": own.select(_SCORES).rename({"fold_id": "fold"}).to_dicts(),
        "artifacts": list(_artifacts(models, chain)),
        "made_by": origin,
        "data": data,
        "log": log_of(store, pipeline),
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "step": step["step_idx"],
        "role": step.get("role") or "transform",
        "operator": step.get("operator_class"),
        "params": step.get("params") or {},
        "stateless": bool(step.get("stateless")),
    }


def _folds(chain: Mapping[str, Any]) -> list[dict[str, Any]]:
    weights = chain["fold_weights"] or {}
    return [
        {"fold": fold, "weight": weights.get(fold), "artifact": artifact_id}
        for fold, artifact_id in (chain["fold_artifacts"] or {}).items()
    ]


def _artifacts(models: Models, chain: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each fitted object once, with every place of the chain that names it."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for artifact_id, place in _named(chain):
        if place not in places[artifact_id]:
            places[artifact_id].append(place)
    rows = models.store.list_artifacts().filter(pl.col("artifact_id").is_in(list(places)))
    known = {row["artifact_id"]: row for row in rows.iter_rows(named=True)}
    for artifact_id, used in places.items():
        row = known.get(artifact_id, {})
        path = row.get("artifact_path")
        yield {
            "artifact": artifact_id,
            "used_in": used,
            "operator": row.get("operator_class"),
            "type": row.get("artifact_type"),
            "format": row.get("format"),
            "bytes": row.get("size_bytes"),
            "file_is_there": path is not None and (models.store.objects.root / path).is_file(),
        }


def _named(chain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shared = dict(chain["shared_artifacts"] or {})
    by_source = shared.pop(SOURCE_MAP, None) or {}
    for step, sources in by_source.items():
        for source, ids in sources.items():
            yield from ((name, f"step {step} source {source}") for name in ids)
    for step, ids in shared.items():
        yield from ((name, f"step {step}") for name in ids if step not in by_source)
    for step in chain["steps"]:
        listed = step.get("artifact_ids") or [step.get("artifact_id")]
        index = str(step["step_idx"])
        yield from ((name, f"step {index}") for name in listed if name and index not in by_source)
    for fold, name in (chain["fold_artifacts"] or {}).items():
        if name:
            yield name, fold
