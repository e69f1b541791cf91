"""Forgetting records, and with them the files that nobody else needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mosaic_dagster.store.artifact_registry import manifests
from mosaic_dagster.store.artifact_registry.artifact_record import ArtifactRecord
from mosaic_dagster.store.artifact_registry.indexes import RecordIndex
from mosaic_dagster.store.artifact_registry.object_files import has_file
from mosaic_dagster.store.artifact_registry.orphans import release
from mosaic_dagster.store.workspace.store import WorkspaceStore


def undo_run(
    index: RecordIndex,
    store: WorkspaceStore,
    workspace: Path,
    before: Mapping[str, ArtifactRecord | None],
) -> int:
    """Make the records of a failed run what they were; see ``cleanup_failed_run``.

    Parameters
    ----------
    before
        What each id that the run registered was before it; None for a new one.
    """
    written = manifests.scan_manifests(workspace)
    failed = _forget(index, before)
    for record in before.values():
        if record is not None and has_file(store.objects, record):
            index.add(record)
    release(store, failed, [*written, *index])
    return len(failed)


def delete_pipeline(
    index: RecordIndex,
    store: WorkspaceStore,
    workspace: Path,
    dataset: str,
    pipeline_id: str,
    *,
    delete_files: bool,
) -> int:
    """Forget the records of a pipeline; see ``delete_pipeline_artifacts``."""
    victims = [record.artifact_id for record in index.of_pipeline(pipeline_id)]
    if not delete_files:
        return len(_forget(index, victims))
    kept = manifests.scan_manifests(workspace, except_dataset=dataset)
    own = manifests.scan_manifests(workspace, dataset=dataset)
    kept += [record for record in own if record.artifact_id not in set(victims)]
    gone = _forget(index, victims)
    release(store, gone, [*kept, *index])
    return len(gone)


def purge(
    index: RecordIndex, store: WorkspaceStore, workspace: Path, dataset: str
) -> tuple[int, int]:
    """Forget all records and manifests of a dataset; see ``purge_dataset_artifacts``."""
    kept = manifests.scan_manifests(workspace, except_dataset=dataset)
    victims = manifests.scan_manifests(workspace, dataset=dataset)
    victims += _forget(index, [record.artifact_id for record in index])
    removed = release(store, victims, kept)
    for path in manifests.manifest_paths(workspace, dataset):
        path.unlink(missing_ok=True)
    return removed


def _forget(index: RecordIndex, artifact_ids: Iterable[str]) -> list[ArtifactRecord]:
    removed = [index.remove(artifact_id) for artifact_id in artifact_ids]
    return [record for record in removed if record is not None]
