"""Trained pipelines kept by name: what was learned, apart from the store that made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from mosaic_dagster.errors import LibraryNameUnknownError, StoreValueError, UnknownIdError
from mosaic_dagster.store.library.documents import document_bytes, now
from mosaic_dagster.store.library.folders import Shelf, write_document
from mosaic_dagster.store.library.names import folder_name
from mosaic_dagster.store.workspace.store import WorkspaceStore

Kind = Literal["filtered", "pipeline", "fullrun"]

_METADATA = "library_metadata.json"
_CONFIG = ("name", "dataset_name", "dataset_hash", "expanded_config", "generator_choices")
_METRICS = ("status", "metric", "best_val", "best_test", "duration_ms")


class Trained:
    """What is kept below ``trained/<kind>/<name>/``.

    Parameters
    ----------
    library
        The library's folder.
    open_store
        Opens the store of the same workspace.
    """

    def __init__(self, library: Path, open_store: Callable[[], WorkspaceStore]) -> None:
        self._library = library
        self._open_store = open_store

    def save_pipeline(
        self,
        pipeline_id: str,
        name: str,
        description: str,
        *,
        bundles: bool,
        overwrite: bool,
    ) -> Path:
        """Save a pipeline's configuration and metrics, and with ``bundles`` all its chains."""
        kind: Kind = "pipeline" if bundles else "filtered"
        shelf, folder = self._shelf(kind), folder_name(name)
        with self._open_store() as store:
            pipeline = store.get_pipeline(pipeline_id)
            if pipeline is None:
                msg = f"There is no pipeline {pipeline_id!r} in the store."
                raise UnknownIdError(msg, "See list_pipelines() of the store.")
            with shelf.building(folder, overwrite=overwrite) as new:
                with store.session():
                    width = _width(store.query_predictions(pipeline_id=pipeline_id))
                    if bundles:
                        _export_chains(store, [pipeline_id], new)
                _write(new / "pipeline.json", {key: pipeline.get(key) for key in _CONFIG})
                _write(new / "metrics.json", {key: pipeline.get(key) for key in _METRICS})
                _write(new / _METADATA, _metadata(folder, description, kind, pipeline_id, width))
        return shelf.path / folder

    def save_run(self, run_id: str, name: str, description: str, *, overwrite: bool) -> Path:
        """Save a run: its record, its predictions and the chains of all its pipelines."""
        shelf, folder = self._shelf("fullrun"), folder_name(name)
        with self._open_store() as store:
            if store.get_run(run_id) is None:
                msg = f"There is no run {run_id!r} in the store."
                raise UnknownIdError(msg, "See list_runs() of the store.")
            with shelf.building(folder, overwrite=overwrite) as new:
                with store.session():
                    width = _width(store.query_predictions(run_id=run_id))
                    store.export_run(run_id, new / "run.yaml")
                    store.export_predictions_parquet(new / "predictions.parquet", run_id=run_id)
                    pipelines = store.list_pipelines(run_id=run_id)["pipeline_id"]
                    _export_chains(store, pipelines, new)
                _write(new / _METADATA, _metadata(folder, description, "fullrun", run_id, width))
        return shelf.path / folder

    def find(self, kind: Kind) -> list[dict[str, Any]]:
        """Metadata of everything of a kind, by name; what is damaged has an ``error``."""
        shelf = self._shelf(kind)
        return [_listed(shelf, kind, name) for name in shelf.names()]

    def _shelf(self, kind: Kind) -> Shelf:
        return Shelf(self._library, self._library / "trained" / kind)


def _metadata(
    name: str, description: str, kind: Kind, source: str, n_features: int | None
) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "saved_at": now(),
        "type": kind,
        "source": source,
        "n_features": n_features,
    }


def _listed(shelf: Shelf, kind: Kind, name: str) -> dict[str, Any]:
    known = {"name": name, "type": kind}
    try:
        return {**shelf.read(name, _METADATA), **known}
    except (StoreValueError, LibraryNameUnknownError) as error:
        empty = {"description": "", "saved_at": None, "source": None, "n_features": None}
        return {**empty, **known, "error": str(error)}


def _export_chains(store: WorkspaceStore, pipeline_ids: Iterable[str], folder: Path) -> None:
    for pipeline_id in pipeline_ids:
        for chain_id in store.get_chains_for_pipeline(pipeline_id)["chain_id"]:
            store.export_chain(chain_id, folder / "chains" / f"{chain_id}.n4a")


def _width(predictions: pl.DataFrame) -> int | None:
    """Count of features that all predictions were made from; None when none or several say."""
    counts = predictions["n_features"].drop_nulls().unique()
    return int(counts[0]) if counts.len() == 1 else None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_document(path, document_bytes(content, path.name, missing_as_null=True))
