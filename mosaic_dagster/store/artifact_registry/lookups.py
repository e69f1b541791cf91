"""The questions that a registry and a loader answer about records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mosaic_dagster.store.artifact_registry import manifests
from mosaic_dagster.store.artifact_registry.artifact_record import ArtifactRecord
from mosaic_dagster.store.artifact_registry.indexes import RecordIndex
from mosaic_dagster.store.artifact_registry.operator_chain import OperatorChain


class RecordLookups:
    """Records of one dataset in one workspace.

    Parameters
    ----------
    workspace
        Folder of the workspace.
    dataset
        Name of the dataset.
    pipeline_id
        Pipeline preferred where a chain names none.
    """

    def __init__(self, workspace: Path | str, dataset: str, pipeline_id: str = "") -> None:
        self.workspace = Path(workspace).resolve()
        self.dataset = dataset
        self.pipeline_id = pipeline_id
        self._index = RecordIndex()

    def __len__(self) -> int:
        return len(self._index)

    def resolve(self, artifact_id: str) -> ArtifactRecord | None:
        """Record of an id, or None."""
        return self._index.get(artifact_id)

    def resolve_by_hash(self, content_hash: str) -> ArtifactRecord | None:
        """First record with these bytes, or None; the hash may lack its ``sha256:``."""
        return next(iter(self._index.of_hash(content_hash)), None)

    def get_by_chain(
        self, chain: OperatorChain | str, fold_id: int | None = None
    ) -> ArtifactRecord | None:
        """Record made by exactly this chain, or None.

        Without a fold it is what all folds share, else the first fold.
        """
        return self._index.of_chain(chain, fold_id, self.pipeline_id)

    def get_chain_prefix(
        self,
        prefix: OperatorChain | str,
        branch_path: Sequence[int] | None = None,
        source_index: int | None = None,
    ) -> list[ArtifactRecord]:
        """Records whose chain begins with these whole nodes.

        A branch or a source leaves in what lies before all branches or serves all sources.
        """
        return self._index.below_prefix(prefix, branch_path, source_index)

    def get_artifacts_for_step(
        self,
        pipeline_id: str,
        step_index: int,
        branch_path: Sequence[int] | None = None,
        fold_id: int | None = None,
    ) -> list[ArtifactRecord]:
        """Records of one step of a pipeline, on exactly this branch and fold where given."""
        return self._index.at_step(pipeline_id, step_index, branch_path, fold_id)

    def get_fold_models(
        self, pipeline_id: str, step_index: int, branch_path: Sequence[int] | None = None
    ) -> list[ArtifactRecord]:
        """Models and meta-models of one step that were fitted on a fold, by fold."""
        return self._index.fold_models(pipeline_id, step_index, branch_path)

    def get_all_records(self) -> list[ArtifactRecord]:
        """All records, in the order in which they came."""
        return list(self._index)

    def get_dependencies(self, artifact_id: str) -> list[str]:
        """Ids of what an artifact needs directly; empty for an unknown one."""
        return self._index.graph.get_dependencies(artifact_id)

    def resolve_dependencies(self, artifact_id: str) -> list[ArtifactRecord]:
        """Records of everything that an artifact needs, what is needed first.

        Raises
        ------
        UnknownIdError
            The artifact, or one that it needs, has no record here.
        StoreValueError
            The needs form a circle or are nested too deeply.
        """
        return self._index.needed_by(artifact_id)

    def export_to_manifest(self) -> dict[str, Any]:
        """All records as ``{"schema_version": "3.0", "items": [...]}``."""
        return manifests.to_manifest(self._index)

    def import_from_manifest(self, manifest: manifests.Manifest) -> int:
        """Add the records of a manifest, or of a bare list of its items; says how many.

        Raises
        ------
        StoreValueError
            It is no manifest of this version, or an id belongs to another chain here. Nothing is
            added then.
        """
        return self._index.add_all(manifests.records_of(manifest))

    def load_manifests(self) -> int:
        """Add the records of all manifests of the dataset, the newest of each id; says how many.

        Raises
        ------
        StoreValueError
            As for :meth:`import_from_manifest`, or a file cannot be read.
        """
        records = manifests.scan_manifests(self.workspace, dataset=self.dataset)
        return self._index.add_all(sorted(records, key=lambda record: record.created_at))
