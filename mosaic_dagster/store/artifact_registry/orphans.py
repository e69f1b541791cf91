"""Which files nobody refers to, and how files go without taking those of others with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from mosaic_dagster.errors import StateError
from mosaic_dagster.store.artifact_registry.artifact_record import ArtifactRecord
from mosaic_dagster.store.artifact_registry.object_files import has_file
from mosaic_dagster.store.artifact_registry.registration import ensure_row
from mosaic_dagster.store.content.objects import StoredObject
from mosaic_dagster.store.content.sweep import GRACE, sweep
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.journal.fold import claimed
from mosaic_dagster.store.gc import live_digests
from mosaic_dagster.store.workspace.opened import DATABASE
from mosaic_dagster.store.workspace.store import WorkspaceStore


def orphans(
    store: WorkspaceStore, kept: Iterable[ArtifactRecord], *, ask_tables: bool = True
) -> list[StoredObject]:
    """Objects that neither a record in ``kept`` nor, if asked, any table names, by file name."""
    named = {record.digest for record in kept}
    if ask_tables:
        with _leased(store) as (con, _):
            named |= live_digests(con)
    found = (stored for stored in store.objects.all() if stored.digest not in named)
    return sorted(found, key=lambda stored: stored.path)


def delete_orphans(
    store: WorkspaceStore,
    kept: Iterable[ArtifactRecord],
    *,
    dry_run: bool = True,
    grace: timedelta = GRACE,
) -> tuple[list[str], int]:
    """Remove the files of :func:`orphans`, or only say which would go.

    Parameters
    ----------
    kept
        Records whose files stay. A file that any table of the workspace names stays always.
    grace
        Age up to which a file stays: it may belong to work that has not named it yet.

    Returns
    -------
    tuple
        Names below ``artifacts/``, and their bytes in all.

    Notes
    -----
    The lease is kept from reading the tables to the last removal, so that no row can come to
    name a file that is about to go.
    """
    named = {record.digest for record in kept}
    with _leased(store) as (con, journals):
        live = named | live_digests(con)
        report = sweep(store.objects, live, grace, dry_run, lambda: claimed(con, journals))
    return sorted(stored.path for stored in report.removed), report.bytes


def release(
    store: WorkspaceStore, victims: Iterable[ArtifactRecord], kept: Iterable[ArtifactRecord]
) -> tuple[int, int]:
    """Drop the rows of records, and the files that nothing else needs.

    Parameters
    ----------
    victims
        Records that are forgotten.
    kept
        Records of this and other registries that stay. Where one has the id of a victim, it gets
        the row back; where one shares a file with a victim, the file stays.

    Returns
    -------
    tuple of int
        Files removed, and their bytes.
    """
    kept_by_id = {record.artifact_id: record for record in kept}
    sharing = {record.digest: record for record in kept_by_id.values()}
    files = size = 0
    with store.session():
        hashes = row_hashes(store)
        for victim in {record.artifact_id: record for record in victims}.values():
            sharer = sharing.get(victim.digest)
            if hashes.get(victim.artifact_id) != victim.digest or (
                sharer is not None and not _protected(store, sharer, victim, hashes)
            ):
                continue
            # What a chain of the store names stays, with its row.
            with suppress(StateError):
                if store.release_artifact(victim.artifact_id):
                    files, size = files + 1, size + victim.size_bytes
                heir = kept_by_id.get(victim.artifact_id)
                if heir is not None and has_file(store.objects, heir):
                    ensure_row(store, heir)
    return files, size


def row_hashes(store: WorkspaceStore) -> dict[str, str]:
    """Content hash of each row of the artifacts table, by id."""
    table = store.list_artifacts()
    return dict(zip(table["artifact_id"], table["content_hash"], strict=True))


def statistics(
    store: WorkspaceStore,
    dataset: str,
    records: Sequence[ArtifactRecord],
    orphaned: Sequence[StoredObject],
) -> dict[str, Any]:
    """Figures about some records and the files of their workspace.

    Parameters
    ----------
    dataset
        Dataset of the records.
    records
        Records of one registry.
    orphaned
        What :func:`orphans` found.

    Returns
    -------
    dict
        ``total_artifacts``, ``unique_files``, ``total_size_bytes`` (sum over records),
        ``deduplication_ratio`` (1 - unique / total, 0 without records), ``by_type``,
        ``orphaned_count``, ``orphaned_size_bytes``, ``disk_usage_bytes``, ``disk_file_count``
        (of the whole workspace: files are shared between datasets), ``dataset``.
    """
    total, unique = len(records), len({record.path for record in records})
    on_disk = store.objects.stats()
    by_type: dict[str, int] = {}
    for record in records:
        by_type[record.artifact_type.value] = by_type.get(record.artifact_type.value, 0) + 1
    return {
        "dataset": dataset,
        "total_artifacts": total,
        "unique_files": unique,
        "total_size_bytes": sum(record.size_bytes for record in records),
        "deduplication_ratio": 1 - unique / total if total else 0.0,
        "by_type": dict(sorted(by_type.items())),
        "orphaned_count": len(orphaned),
        "orphaned_size_bytes": sum(stored.size for stored in orphaned),
        "disk_usage_bytes": on_disk.bytes,
        "disk_file_count": on_disk.objects,
    }


def _protected(
    store: WorkspaceStore, sharer: ArtifactRecord, victim: ArtifactRecord, hashes: dict[str, str]
) -> bool:
    """Whether the file of a victim outlives its row, since one of the sharer names it too."""
    if sharer.artifact_id == victim.artifact_id:
        return False
    if sharer.artifact_id not in hashes:
        ensure_row(store, sharer)
        hashes[sharer.artifact_id] = sharer.digest
    return hashes[sharer.artifact_id] == sharer.digest


@contextmanager
def _leased(store: WorkspaceStore) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """Connection of the store, and the folder of its journals."""
    database = Database(store.workspace_path / DATABASE, read_only=True)
    with store.session(), database.lease() as con:
        yield con, database.journal_folder
