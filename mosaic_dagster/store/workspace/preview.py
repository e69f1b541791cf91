"""What deleting and collecting would do, and what the tables hold; nothing is changed.

The very statements that delete are run, in a transaction that is then taken back. So what is
said is what would happen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import duckdb

from mosaic_dagster.store.gc import live_digests
from mosaic_dagster.store.workspace import collection, deletion
from mosaic_dagster.store.workspace.opened import OpenWorkspace

_KINDS = {"run": "runs", "pipeline": "pipelines", "chain": "chains"}
_COUNTED = ("runs", "pipelines", "chains", "predictions")


@dataclass(frozen=True, order=True)
class LeavingFile:
    """A file below ``artifacts/`` that nothing would name any more.

    Attributes
    ----------
    path
        Relative to the artifacts.
    """

    sha256: str
    path: str
    bytes: int


@dataclass(frozen=True)
class Leaving:
    """What would go.

    Attributes
    ----------
    rows
        Rows of each table.
    artifacts
        Identifiers of artifacts.
    claims
        Open claims that would be dropped.
    files
        Files that would lose their last name, and old ones that have none.
    live, spared
        How many objects are named, and how many are not but too young to go.
    """

    rows: dict[str, int] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    claims: int = 0
    files: list[LeavingFile] = field(default_factory=list)
    live: int = 0
    spared: int = 0

    @property
    def bytes(self) -> int:
        """Size of the files in all."""
        return sum(file.bytes for file in self.files)


class Preview:
    """Answers about one workspace.

    Parameters
    ----------
    workspace
        The opened workspace.
    """

    def __init__(self, workspace: OpenWorkspace) -> None:
        self._open = workspace

    def identifiers(self) -> dict[str, str]:
        """Identifier -> 'run', 'pipeline' or 'chain'."""
        parts = [f"SELECT {kind}_id, '{kind}' FROM main.{table}" for kind, table in _KINDS.items()]
        with self._open.reading() as con:
            return dict(con.execute(" UNION ALL ".join(parts)).fetchall())

    def counts(self) -> dict[str, int]:
        """How many runs, pipelines, chains and predictions there are."""
        parts = [f"SELECT '{table}', count(*) FROM main.{table}" for table in _COUNTED]
        with self._open.reading() as con:
            found = dict(con.execute(" UNION ALL ".join(parts)).fetchall())
        return {table: found[table] for table in _COUNTED}

    def delete_run(self, run_id: str) -> Leaving:
        """What :meth:`WorkspaceStore.delete_run` would remove."""
        with _taken_back(self._open) as con:
            rows, artifacts = deletion.delete_rows_of_run(con, run_id)
            gone = collection.delete_unreferenced(con, artifacts)
            files = self._files(con, gone)
        return Leaving(rows, sorted(name for name, _, _ in gone), files=files)

    def gc_artifacts(
        self, *, stale_claims_after: float | None = None, orphan_grace: float
    ) -> Leaving:
        """What :meth:`WorkspaceStore.gc_artifacts` would remove."""
        collection.check_times(stale_claims_after, orphan_grace)
        with _taken_back(self._open) as con:
            claims = collection.drop_stale_claims(self._open, con, stale_claims_after)
            gone = collection.delete_unreferenced(con, None)
            live = live_digests(con)
            files = self._files(con, gone)
        leaving = {file.path for file in files}
        orphans = [
            LeavingFile(stored.digest, stored.path, stored.size)
            for stored in collection.old_orphans(self._open, live, orphan_grace)
            if stored.path not in leaving
        ]
        objects = list(self._open.objects.all())
        named = sum(stored.digest in live for stored in objects)
        files = sorted([*files, *orphans])
        names = sorted(name for name, _, _ in gone)
        spared = max(len(objects) - named - len(files), 0)
        return Leaving({}, names, claims, files, named, spared)

    def _files(
        self, con: duckdb.DuckDBPyConnection, gone: list[tuple[str, str, str]]
    ) -> list[LeavingFile]:
        """Files of deleted artifact rows that no table names any more."""
        live = live_digests(con)
        root = self._open.objects.root
        found = {(digest, path) for _, digest, path in gone if digest not in live}
        return sorted(
            LeavingFile(digest, path, (root / path).stat().st_size)
            for digest, path in found
            if (root / path).is_file()
        )


class _TakenBack(Exception):  # noqa: N818 - it ends a block, and is no error
    """Ends a transaction without keeping anything of it."""


@contextmanager
def _taken_back(workspace: OpenWorkspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """Transaction of which nothing is kept."""
    with suppress(_TakenBack), workspace.writing() as con:
        yield con
        raise _TakenBack
