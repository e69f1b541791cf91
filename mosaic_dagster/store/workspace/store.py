"""WorkspaceStore: the memory of modelling work in one workspace.

A facade: each method is one call into the module of its noun. Methods may be called from several
threads and processes; each takes the database for one short lease, unless the caller keeps one
with :meth:`WorkspaceStore.session`. What a method has returned is on the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from mosaic_dagster.store.content.objects import ContentStore
from mosaic_dagster.store.content.sweep import GRACE
from mosaic_dagster.store.workspace import (
    artifacts,
    best_export,
    chains,
    collection,
    deletion,
    exports,
    logs,
    pipelines,
    predictions,
    queries,
    ranking,
    replay,
    runs,
    verification,
)
from mosaic_dagster.store.workspace.opened import Access, OpenWorkspace
from mosaic_dagster.store.workspace.preview import Preview

Frame = pl.DataFrame
Array = np.ndarray[Any, Any]
Record = dict[str, Any]


class WorkspaceStore:
    """Runs, pipelines, chains, predictions, artifacts and logs of one workspace.

    Parameters
    ----------
    workspace_path
        Folder of the workspace; it, its database and ``artifacts/`` are made when missing.
    read_only
        Never create anything, and refuse every method that writes.
    lock_timeout
        Seconds to wait for other processes before StoreLockedError.
    access
        'shared' holds the database inside each call only, 'exclusive' from open to close.
    allow_pickle
        Whether :meth:`load_artifact` may read formats that run code (joblib, pickle).

    Raises
    ------
    StoreError
        The file is no database of ours, or of a newer version; it is left untouched.
    StoreLockedError
        Another process held it for longer than the timeout.

    Notes
    -----
    An identifier that is not known raises UnknownIdError (a KeyError) in a method that acts, and
    gives None or an empty frame in one that looks up. After :meth:`close` every method raises
    StoreClosedError, in a forked child StoreError.
    """

    def __init__(
        self,
        workspace_path: str | Path,
        *,
        read_only: bool = False,
        lock_timeout: float = 30.0,
        access: Access = "shared",
        allow_pickle: bool = True,
    ) -> None:
        self._open = OpenWorkspace(
            Path(workspace_path), read_only=read_only, lock_timeout=lock_timeout, access=access,
            allow_pickle=allow_pickle,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Rows that were journalled are brought into the tables by whoever comes next.
        with suppress(Exception):
            self._open.abandon()

    @property
    def workspace_path(self) -> Path:
        """Folder of the workspace, absolute."""
        return self._open.path

    @property
    def allow_pickle(self) -> bool:
        """Whether objects may be loaded from formats that run code."""
        return self._open.allow_pickle

    @property
    def objects(self) -> ContentStore:
        """The files below ``artifacts/``."""
        return self._open.objects

    @property
    def preview(self) -> Preview:
        """What deleting and collecting would do, and what the tables hold."""
        return Preview(self._open)

    def close(self) -> None:
        """Let go of the database; a second call does nothing."""
        self._open.close()

    def session(self) -> AbstractContextManager[None]:
        """Keep the database over several calls, also of several threads; it is no transaction."""
        return self._open.session()

    # Runs and pipelines

    def begin_run(self, name: str, config: Any, datasets: Sequence[Mapping[str, Any]]) -> str:
        """Begin a run over datasets, each a mapping with at least 'name'; its identifier."""
        return runs.begin(self._open, name, config, datasets)

    def complete_run(self, run_id: str, summary: Any) -> None:
        """End a run as completed; StateError when it failed, nothing when it is completed."""
        runs.complete(self._open, run_id, summary)

    def fail_run(self, run_id: str, error: str) -> None:
        """End a run as failed, and its running pipelines with it as by :meth:`fail_pipeline`."""
        runs.fail(self._open, run_id, error)

    def get_run(self, run_id: str) -> Record | None:
        """Every column of a run, JSON decoded."""
        return runs.get(self._open, run_id)

    def list_runs(
        self, status: str | None = None, dataset: str | None = None, limit: int | None = 100,
        offset: int = 0,
    ) -> Frame:  # fmt: skip
        """Runs, the newest first; ``dataset`` is the exact name of one of its datasets."""
        return runs.list_runs(self._open, status, dataset, limit, offset)

    def delete_run(self, run_id: str, delete_artifacts: bool = True) -> int:
        """Delete a run and all it made in one transaction; rows deleted, 0 when unknown.

        References to artifacts are given back in any case; without ``delete_artifacts`` those at
        zero wait for :meth:`gc_artifacts`.
        """
        return deletion.delete_run(self._open, run_id, delete_artifacts)

    def begin_pipeline(
        self, run_id: str, name: str, expanded_config: Any, generator_choices: Any,
        dataset_name: str, dataset_hash: str | None,
    ) -> str:  # fmt: skip
        """Begin a pipeline of a running run; its identifier."""
        return pipelines.begin(
            self._open, run_id, name, expanded_config, generator_choices, dataset_name,
            dataset_hash,
        )  # fmt: skip

    def complete_pipeline(
        self, pipeline_id: str, best_val: float | None, best_test: float | None,
        metric: str | None, duration_ms: int | None,
    ) -> None:  # fmt: skip
        """End a pipeline as completed; scores that are not finite become null."""
        pipelines.complete(self._open, pipeline_id, best_val, best_test, metric, duration_ms)

    def fail_pipeline(self, pipeline_id: str, error: str, *, keep_logs: bool = False) -> None:
        """End a pipeline as failed and take back its chains, predictions and logs."""
        pipelines.fail(self._open, pipeline_id, error, keep_logs)

    def get_pipeline(self, pipeline_id: str) -> Record | None:
        """Every column of a pipeline, JSON decoded."""
        return pipelines.get(self._open, pipeline_id)

    def list_pipelines(self, run_id: str | None = None, dataset_name: str | None = None) -> Frame:
        """Pipelines, the newest first."""
        return pipelines.list_pipelines(self._open, run_id, dataset_name)

    # Chains

    def save_chain(
        self, pipeline_id: str, steps: Sequence[Mapping[str, Any]], model_step_idx: int,
        model_class: str, preprocessings: str, fold_strategy: str,
        fold_artifacts: Mapping[str, str] | None, shared_artifacts: Mapping[str, Any] | None,
        branch_path: Sequence[int] | None = None, source_index: int | None = None, *,
        fold_weights: Mapping[str, float] | None = None,
    ) -> str:  # fmt: skip
        """Save the steps that lead to one model; artifacts must be there already.

        Steps are descriptors in order: step_idx, operator_class, params, artifact_id, stateless,
        optionally role. Models come by fold, ``{"fold_0": id}`` or ``{"all": id}``; what was
        fitted once for all folds by step, ``{"0": [id]}``, with ``{step: {source: [ids]}}`` under
        ``_source_map``.
        """
        self._open.check_writable()
        checked = chains.checked(
            steps, model_step_idx, fold_strategy, fold_artifacts, shared_artifacts, branch_path,
            source_index, fold_weights,
        )  # fmt: skip
        return chains.save(self._open, pipeline_id, checked, model_class, preprocessings)

    def get_chain(self, chain_id: str) -> Record | None:
        """Every column of a chain, JSON decoded."""
        return chains.get(self._open, chain_id)

    def get_chains_for_pipeline(self, pipeline_id: str) -> Frame:
        """Chains of a pipeline, the oldest first."""
        return chains.of_pipeline(self._open, pipeline_id)

    def replay_chain(self, chain_id: str, X: Any, wavelengths: Any = None) -> Array:
        """Predict with a chain: shape (n,), or (n, k) for several outputs.

        ``X`` is samples by features, never changed; a mapping of source to matrix where a chain
        has several sources. ReplayError when the chain has no model, or a step that cannot be
        built.
        """
        return replay.replay_chain(self._open, chain_id, X, wavelengths)

    # Artifacts

    def save_artifact(
        self, obj: Any, operator_class: str = "", artifact_type: str = "model",
        format: str = "auto",
    ) -> str:  # fmt: skip
        """Store a fitted object; its identifier is ``art_`` and the hash of its bytes."""
        return artifacts.save(self._open, obj, operator_class, artifact_type, format)

    def load_artifact(self, artifact_id: str) -> Any:
        """Return the object of an artifact, checked against its hash before it is read."""
        return artifacts.load(self._open, artifact_id)

    def get_artifact_path(self, artifact_id: str) -> Path:
        """Absolute path of an artifact's file."""
        return artifacts.file_of(self._open, artifact_id)

    def register_existing_artifact(
        self, artifact_id: str, path: str | Path, content_hash: str, operator_class: str,
        artifact_type: str, format: str, size_bytes: int, *, replace: bool = False,
    ) -> str:  # fmt: skip
        """Name a file below ``artifacts/`` by an identifier of one's own, with an open claim.

        With ``replace`` an identifier that no live chain names may come to name other content.
        """
        return artifacts.register(
            self._open, artifact_id, path, content_hash, operator_class, artifact_type, format,
            size_bytes, replace,
        )  # fmt: skip

    def list_artifacts(self) -> Frame:
        """All artifacts, with reference counts and open claims."""
        return artifacts.listed(self._open)

    def release_artifact(self, artifact_id: str) -> bool:
        """Drop an artifact that no chain names; whether a file went with it."""
        return artifacts.release(self._open, artifact_id)

    def gc_artifacts(
        self, *, stale_claims_after: float | None = None,
        orphan_grace: float = GRACE.total_seconds(),
    ) -> int:  # fmt: skip
        """Remove artifacts at count 0 and orphan files older than a grace in seconds; files gone.

        With ``stale_claims_after`` claims of saves older than so many seconds are dropped first.
        """
        return collection.gc_artifacts(self._open, stale_claims_after, orphan_grace)

    def verify(self, *, hashes: bool = False, repair: bool = False) -> dict[str, list[Any]]:
        """Compare rows, files, counts and journals; lists of what is wrong, by kind.

        ``hashes`` reads every file; ``repair`` recounts and deletes dangling rows, never a file.
        """
        return verification.verify(self._open, hashes, repair)

    def vacuum(self) -> None:
        """Give the space of deleted rows back to the disk."""
        self._open.compact()

    # Predictions

    def save_prediction(
        self, pipeline_id: str, chain_id: str | None, dataset_name: str, model_name: str,
        model_class: str, fold_id: str, partition: str, val_score: float | None,
        test_score: float | None, train_score: float | None, metric: str, task_type: str,
        n_samples: int | None, n_features: int | None, scores: Any, best_params: Any,
        branch_id: int | None, branch_name: str | None, exclusion_count: int | None,
        exclusion_rate: float | None, preprocessings: str = "", prediction_id: str | None = None,
        *, arrays: Mapping[str, Any] | None = None,
    ) -> str:  # fmt: skip
        """Save one prediction, with its arrays in the same transaction when they are given."""
        given = dict(locals())
        del given["self"]
        return predictions.save(self._open, given)

    def save_predictions(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Save many at once, each as for :meth:`save_prediction`: all or none."""
        return predictions.save_many(self._open, rows)

    def save_prediction_arrays(
        self, prediction_id: str, y_true: Any, y_pred: Any, y_proba: Any = None,
        sample_indices: Any = None, weights: Any = None,
    ) -> None:  # fmt: skip
        """Save the arrays of a prediction that has none; equal lengths along the first axis."""
        given = {"y_true": y_true, "y_pred": y_pred, "y_proba": y_proba,
                 "sample_indices": sample_indices, "weights": weights}  # fmt: skip
        predictions.save_arrays(self._open, prediction_id, given)

    def get_prediction(self, prediction_id: str, load_arrays: bool = False) -> Record | None:
        """Every column of a prediction, JSON decoded, and its arrays in their shapes or None."""
        return queries.get(self._open, prediction_id, load_arrays)

    def delete_prediction(self, prediction_id: str) -> bool:
        """Delete a prediction and its arrays; whether it was there."""
        return deletion.delete_prediction(self._open, prediction_id)

    def query_predictions(
        self, dataset_name: str | None = None, model_class: str | None = None,
        partition: str | None = None, fold_id: str | None = None, branch_id: int | None = None,
        pipeline_id: str | None = None, run_id: str | None = None, limit: int | None = None,
        offset: int | None = None,
    ) -> Frame:  # fmt: skip
        """Predictions, the newest first; only ``model_class`` takes a pattern, with ``%``."""
        filters = {"dataset_name": dataset_name, "model_class": model_class,
                   "partition": partition, "fold_id": fold_id, "branch_id": branch_id,
                   "pipeline_id": pipeline_id, "run_id": run_id}  # fmt: skip
        return queries.query(self._open, filters, limit, offset)

    def top_predictions(
        self, n: int, metric: str = "val_score", ascending: bool | None = None,
        partition: str | None = "val", dataset_name: str | None = None,
        group_by: str | Sequence[str] | None = None,
    ) -> Frame:  # fmt: skip
        """Return the best *n* by a score column, per group when one is given.

        Without ``ascending`` the direction is that of the metric the rows name; StoreValueError
        when they name several directions or an unknown metric.
        """
        return ranking.top(self._open, n, metric, ascending, partition, dataset_name, group_by)

    # Exports

    def export_chain(
        self, chain_id: str, output_path: str | Path, format: str = "n4a", *,
        artifact_format: str = "auto",
    ) -> Path:  # fmt: skip
        """Write a chain as a bundle (``.n4a``) or as a script (``.n4a.py``)."""
        return exports.chain(self._open, chain_id, output_path, format, artifact_format)

    def import_bundle(self, path: str | Path, pipeline_id: str, *, trusted: bool = False) -> str:
        """Store a bundle's chain under a pipeline; its bytes are copied, never loaded."""
        return exports.import_chain(self._open, path, pipeline_id, trusted)

    def export_pipeline_config(self, pipeline_id: str, output_path: str | Path) -> Path:
        """Write the expanded configuration of a pipeline as ``.json``."""
        return exports.pipeline_config(self._open, pipeline_id, output_path)

    def export_run(self, run_id: str, output_path: str | Path) -> Path:
        """Write a run with its pipelines and chains as ``.yaml``."""
        return exports.run(self._open, run_id, output_path)

    def export_predictions_parquet(self, output_path: str | Path, **filters: Any) -> Path:
        """Write what :meth:`query_predictions` returns for the filters as ``.parquet``."""
        return exports.predictions_parquet(self._open, output_path, filters)

    def export_best_predictions(
        self, dataset_name: str, output_dir: str | Path, metric: str = "val_score",
        ascending: bool | None = None,
    ) -> Path | None:  # fmt: skip
        """Write the best prediction of a dataset; the path of its table, None without any."""
        return best_export.best_predictions(self._open, dataset_name, output_dir, metric, ascending)

    # Logs

    def log_step(
        self, pipeline_id: str, step_idx: int, operator_class: str | None, event: str,
        duration_ms: int | None = None, message: str | None = None, details: Any = None,
        level: str = "info",
    ) -> None:  # fmt: skip
        """Log 'start', 'end', 'skip', 'warning', 'error' or another event of a step."""
        logs.log_step(
            self._open, pipeline_id, step_idx, operator_class, event, duration_ms, message,
            details, level,
        )  # fmt: skip

    def get_pipeline_log(self, pipeline_id: str) -> Frame:
        """Log of a pipeline, by step, time and order of writing."""
        return logs.of_pipeline(self._open, pipeline_id)

    def get_run_log_summary(self, run_id: str) -> Frame:
        """One row per pipeline of a run: counts of entries, steps, warnings, errors, duration."""
        return logs.summary_of_run(self._open, run_id)
