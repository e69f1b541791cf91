"""Artifacts that go when chains, claims or nothing at all name them no more, and their files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.store import StoredObject, WorkspaceStore, collect


@dataclass(frozen=True, order=True)
class LeavingFile:
    """A file below the artifacts that nothing will name.

    Attributes
    ----------
    path
        Relative to the artifacts.
    """

    sha256: str
    path: str
    bytes: int

    @classmethod
    def of(cls, stored: StoredObject) -> LeavingFile:
        """The file of an object."""
        name = f"{stored.digest[:2]}/{stored.digest}.{stored.ext}"
        return cls(stored.digest, name, stored.size)

    def is_in(self, dataset: Dataset) -> bool:
        """Whether the file is there."""
        return (dataset.objects.root / self.path).is_file()


def freed_files(dataset: Dataset, artifacts: pl.DataFrame, leaving: pl.Series) -> list[LeavingFile]:
    """Files that lose their last name with some of the artifacts.

    Parameters
    ----------
    dataset
        Its results may name the same files.
    artifacts
        All rows of the table.
    leaving
        For each row whether it goes.
    """
    staying = artifacts.filter(~leaving)["content_hash"]
    live = {*staying, *dataset.registry.live_objects()}
    columns = ("content_hash", "artifact_path", "size_bytes")
    files = {
        LeavingFile(sha256, path, size or 0)
        for sha256, path, size in artifacts.filter(leaving).select(columns).rows()
        if sha256 not in live
    }
    return sorted(file for file in files if file.is_in(dataset))


def stale_claims(dataset: Dataset, artifacts: pl.DataFrame, hours: float | None) -> pl.Series:
    """Open claims of each artifact that was neither saved nor registered for so many hours."""
    return pl.Series(list(_stale(dataset.objects.root, artifacts, hours)), dtype=pl.Int64)


def _stale(root: Path, artifacts: pl.DataFrame, hours: float | None) -> Iterator[int]:
    columns = artifacts.select("open_claims", "created_at", "artifact_path")
    for claims, created, path in columns.rows():
        is_old = hours is not None and claims and _is_old(root / path, created, hours)
        yield claims if is_old else 0


def _is_old(path: Path, created: datetime, hours: float) -> bool:
    """Saving an object again renews its file, registering one renews its row."""
    if created > datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours):
        return False
    try:
        return path.stat().st_mtime <= time.time() - hours * 3600
    except FileNotFoundError:
        return True


@dataclass(frozen=True)
class Sweep:
    """What goes: rows of artifacts, claims on them, and files; and how many files stay."""

    artifacts: list[str]
    claims: int
    removed: list[LeavingFile]
    live: int
    spared: int
    temporary: int

    @property
    def bytes(self) -> int:
        """Size of the files in all."""
        return sum(file.bytes for file in self.removed)

    def applied(self, dataset: Dataset, grace: timedelta) -> Sweep:
        """Remove the other files that nothing names, and say how all came out.

        What was wanted again meanwhile stays.
        """
        rest = collect(dataset.registry.database, dataset.objects, grace=grace, dry_run=False)
        gone = [file for file in self.removed if not file.is_in(dataset)]
        return Sweep(
            self.artifacts, self.claims, gone, rest.kept, rest.spared_by_grace, rest.temporary
        )

    def facts(self, dry_run: bool) -> dict[str, Any]:
        """What programs are told."""
        removed = [
            {"sha256": file.sha256, "ext": file.path.partition(".")[2], "bytes": file.bytes}
            for file in self.removed
        ]
        return {
            "dry_run": dry_run,
            "removed": removed,
            "bytes": self.bytes,
            "artifacts": self.artifacts,
            "stale_claims": self.claims,
            "live": self.live,
            "spared_by_grace": self.spared,
            "temporary": self.temporary,
        }


def plan_sweep(
    dataset: Dataset, store: WorkspaceStore, grace: timedelta, stale: float | None
) -> Sweep:
    """What gc would do: artifacts at count 0 go at once, files that nothing names when old."""
    orphans = collect(dataset.registry.database, dataset.objects, grace=grace)
    artifacts = store.list_artifacts()
    claims = stale_claims(dataset, artifacts, stale)
    leaving = artifacts["ref_count"] - claims <= 0
    files = freed_files(dataset, artifacts, leaving)
    return Sweep(
        artifacts.filter(leaving)["artifact_id"].to_list(), int(claims.sum()),
        [*files, *map(LeavingFile.of, orphans.removed)],
        orphans.kept - len(files), orphans.spared_by_grace, orphans.temporary,
    )  # fmt: skip
