"""The registry of one dataset's artifacts: which path of operators made each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.artifact_registry import manifests, orphans, removal, stacking
from mosaic_dagster.store.artifact_registry.artifact_record import (
    ArtifactRecord,
    ArtifactType,
    MetaModelConfig,
)
from mosaic_dagster.store.artifact_registry.lookups import RecordLookups
from mosaic_dagster.store.artifact_registry.object_files import load_object
from mosaic_dagster.store.artifact_registry.operator_chain import OperatorChain
from mosaic_dagster.store.artifact_registry.registration import (
    described,
    draft_from_chain,
    draft_from_id,
    store_object,
)
from mosaic_dagster.store.content.sweep import GRACE
from mosaic_dagster.store.workspace.store import WorkspaceStore


class ArtifactRegistry(RecordLookups):
    """Fitted objects of one dataset, found by the path of operators that made them.

    Files lie in the workspace's ``artifacts/``, shared by all datasets. Each registered object
    has a row in the store at once; records live in memory and travel as manifests.

    Parameters
    ----------
    workspace
        Folder of the workspace.
    dataset
        Name of the dataset.
    store
        Store of the workspace; None opens one, which :meth:`close` closes.
    pipeline_id
        Pipeline of chains that name none.
    """

    def __init__(
        self,
        workspace: Path | str,
        dataset: str,
        store: WorkspaceStore | None = None,
        pipeline_id: str = "",
    ) -> None:
        super().__init__(workspace, dataset, pipeline_id)
        self.store = WorkspaceStore(self.workspace) if store is None else store
        self._owns_store = store is None
        # What each id registered in this run was before; None when no run is open.
        self._before: dict[str, ArtifactRecord | None] | None = None

    def __enter__(self) -> ArtifactRegistry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store if this registry opened it."""
        if self._owns_store:
            self.store.close()

    def register_with_chain(
        self,
        obj: Any,
        chain: OperatorChain | str,
        artifact_type: ArtifactType | str,
        step_index: int,
        branch_path: Sequence[int] | None = None,
        source_index: int | None = None,
        fold_id: int | None = None,
        substep_index: int | None = None,
        depends_on: Sequence[str] | None = None,
        params: Mapping[str, Any] | None = None,
        meta_config: MetaModelConfig | None = None,
        format_hint: str | None = None,
        custom_name: str | None = None,
        pipeline_id: str | None = None,
    ) -> ArtifactRecord:
        """Store an object under the chain that made it.

        Parameters
        ----------
        obj
            A fitted object.
        chain
            Chain or path that ends with the operator of the object.
        artifact_type, params, custom_name
            What it is for, its parameters, and a name of the user's own.
        step_index
            Step that made it, counted from 1.
        branch_path, source_index, substep_index
            Its place; what is None comes from the last operator of the chain.
        fold_id
            Fold that it was fitted on; None when all folds share it.
        depends_on
            Ids of what it needs; None for the models of ``meta_config``.
        meta_config
            For meta-models: the models below and the columns of their predictions.
        format_hint
            Format of the bytes; None lets the object decide.
        pipeline_id
            Pipeline; None for the chain's, else the registry's.

        Raises
        ------
        StoreValueError
            The object cannot be serialised, the id belongs to another chain, or a model below
            is missing or on a foreign branch. Nothing is stored then.
        StateError
            The id has other content, which a chain of the store still names.
        """
        named = chain.pipeline_id if isinstance(chain, OperatorChain) else ""
        draft = draft_from_chain(
            chain,
            step_index,
            branch_path=branch_path,
            source_index=source_index,
            fold_id=fold_id,
            substep_index=substep_index,
            pipeline_id=(named or self.pipeline_id) if pipeline_id is None else pipeline_id,
        )
        draft = described(
            draft,
            artifact_type=artifact_type,
            depends_on=depends_on,
            params=params,
            meta_config=meta_config,
            custom_name=custom_name,
        )
        return self._register(obj, draft, format_hint)

    def register(
        self,
        obj: Any,
        artifact_id: str,
        artifact_type: ArtifactType | str,
        depends_on: Sequence[str] | None = None,
        params: Mapping[str, Any] | None = None,
        meta_config: MetaModelConfig | None = None,
        format_hint: str | None = None,
        custom_name: str | None = None,
        chain_path: OperatorChain | str = "",
        source_index: int | None = None,
    ) -> ArtifactRecord:
        """Store an object under a ready id.

        Pipeline and fold come from the id, step, branch and substep from the last operator of
        ``chain_path``; the rest is as in :meth:`register_with_chain`.
        """
        draft = draft_from_id(artifact_id, chain_path, source_index)
        draft = described(
            draft,
            artifact_type=artifact_type,
            depends_on=depends_on,
            params=params,
            meta_config=meta_config,
            custom_name=custom_name,
        )
        return self._register(obj, draft, format_hint)

    def register_meta_model(
        self,
        obj: Any,
        artifact_id: str,
        source_model_ids: Sequence[str],
        feature_columns: Sequence[str] | None = None,
        params: Mapping[str, Any] | None = None,
        format_hint: str | None = None,
        *,
        chain_path: OperatorChain | str = "",
    ) -> ArtifactRecord:
        """Store a model that reads the predictions of others.

        Parameters
        ----------
        source_model_ids
            Ids of the models below, in the order of their columns.
        feature_columns
            Names of the columns; ``<Class>_pred``, made unique, when None.
        chain_path
            Its chain; the branch of the last operator is the meta-model's, none after a merge.

        Raises
        ------
        StoreValueError
            As in :meth:`register_with_chain`; the message names the models at fault.
        """
        branch = draft_from_id(artifact_id, chain_path).branch_path
        sources = stacking.check_sources(self._index, artifact_id, source_model_ids, branch)
        return self.register(
            obj,
            artifact_id,
            ArtifactType.META_MODEL,
            params=params,
            meta_config=stacking.stacked(sources, feature_columns),
            format_hint=format_hint,
            chain_path=chain_path,
        )

    def load_artifact(self, record: ArtifactRecord) -> Any:
        """Object of a record; its bytes are checked before anything is made of them.

        Raises
        ------
        ObjectMissingError
            The file has gone.
        ArtifactCorruptError
            The bytes do not have the recorded hash.
        UntrustedArtifactError
            The format runs code, and the store was opened with ``allow_pickle=False``.
        """
        return load_object(self.store.objects, record, trusted=self.store.allow_pickle)

    def start_run(self) -> None:
        """Remember from here on what is registered, in case the run fails."""
        self._before = {}

    def end_run(self) -> None:
        """Keep what was registered since :meth:`start_run`."""
        self._before = None

    def cleanup_failed_run(self) -> int:
        """Forget what was registered since :meth:`start_run`, and remove what nobody else needs.

        An id that the run registered anew is again what it was before, if that file is there.

        Returns
        -------
        int
            Records forgotten.
        """
        before, self._before = self._before or {}, None
        return removal.undo_run(self._index, self.store, self.workspace, before)

    def find_orphaned_artifacts(self, scan_all_manifests: bool = True) -> list[str]:
        """Files below ``artifacts/`` that nothing refers to, sorted.

        Parameters
        ----------
        scan_all_manifests
            Count the manifests of all datasets and the tables of the workspace as references;
            without it only the records of this registry.

        Raises
        ------
        StoreValueError
            A manifest cannot be read, so what it refers to is not known.
        """
        found = orphans.orphans(
            self.store, self._references(scan_all_manifests), ask_tables=scan_all_manifests
        )
        return [stored.path for stored in found]

    def delete_orphaned_artifacts(
        self,
        dry_run: bool = True,
        scan_all_manifests: bool = True,
        *,
        grace: timedelta = GRACE,
    ) -> tuple[list[str], int]:
        """Remove orphaned files older than ``grace``, or only say which would go.

        A file that a table of the workspace names stays, also without ``scan_all_manifests``.

        Returns
        -------
        tuple
            Names below ``artifacts/``, and their bytes in all.
        """
        kept = self._references(scan_all_manifests)
        return orphans.delete_orphans(self.store, kept, dry_run=dry_run, grace=grace)

    def delete_pipeline_artifacts(self, pipeline_id: str, delete_files: bool = False) -> int:
        """Forget the records of a pipeline, and with ``delete_files`` what nobody else needs.

        Returns
        -------
        int
            Records forgotten.
        """
        return removal.delete_pipeline(
            self._index,
            self.store,
            self.workspace,
            self.dataset,
            pipeline_id,
            delete_files=delete_files,
        )

    def purge_dataset_artifacts(self, confirm: bool = False) -> tuple[int, int]:
        """Forget all records and manifests of the dataset, and the files that only it needs.

        Returns
        -------
        tuple of int
            Files removed, and their bytes.

        Raises
        ------
        StoreValueError
            Without ``confirm``, or when a manifest cannot be read. Nothing is removed then.
        """
        if not confirm:
            msg = f"All artifacts of the dataset {self.dataset!r} would be removed."
            raise StoreValueError(msg, "Pass confirm=True if that is meant.")
        return removal.purge(self._index, self.store, self.workspace, self.dataset)

    def get_stats(self, scan_all_manifests: bool = True) -> dict[str, Any]:
        """Figures about the records and the files; see :func:`orphans.statistics`."""
        found = orphans.orphans(
            self.store, self._references(scan_all_manifests), ask_tables=scan_all_manifests
        )
        return orphans.statistics(self.store, self.dataset, list(self._index), found)

    def save_manifest(self, path: Path | str | None = None) -> Path:
        """Write all records to a file.

        Parameters
        ----------
        path
            The file; None for ``library/manifests/<dataset>/<pipeline or all>.yaml``, where
            every registry of the workspace finds it.
        """
        if path is None:
            name = self.pipeline_id or "all"
            path = manifests.manifest_path(self.workspace, self.dataset, name)
        return manifests.write_manifest(Path(path), self._index)

    def _register(self, obj: Any, draft: ArtifactRecord, format_hint: str | None) -> ArtifactRecord:
        self._index.check(draft)
        if draft.meta_config is not None:
            sources = draft.meta_config.source_ids()
            stacking.check_sources(self._index, draft.artifact_id, sources, draft.branch_path)
        record = store_object(self.store, obj, draft, format_hint)
        if self._before is not None:
            self._before.setdefault(record.artifact_id, self._index.get(record.artifact_id))
        self._index.add(record)
        return record

    def _references(self, scan_all_manifests: bool) -> list[ArtifactRecord]:
        outside = manifests.scan_manifests(self.workspace) if scan_all_manifests else []
        return [*outside, *self._index]
