"""FeatureRegistry: which runs there were, what they made, and from what.

A facade: each method is one call into the module of its noun. Methods may be called from several
threads and processes; each takes the database for one short lease, unless the caller keeps one
with :meth:`FeatureRegistry.session`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.store.content.objects import ContentStore
from mosaic_dagster.store.database.connection import Database, open_database
from mosaic_dagster.store.feature_registry import (
    announcements,
    csv_index,
    entries,
    lineage,
    profiles,
    results,
    run_entries,
    runs,
    selections,
)
from mosaic_dagster.store.feature_registry.records import (
    Dependency,
    EntryRow,
    Head,
    Outcome,
    Profile,
    ResultRow,
    RunRow,
    RunStatus,
    SourceRow,
    StoredResult,
)


class FeatureRegistry:
    """The registry in the schema ``features`` of a workspace's database.

    Parameters
    ----------
    database
        The database of the workspace.
    objects
        The objects of the workspace; when given, :meth:`commit` checks that they are there.
    """

    def __init__(self, database: Database, objects: ContentStore | None = None) -> None:
        self.database = database
        self.objects = objects

    def session(self) -> AbstractContextManager[None]:
        """Keep one lease over several calls; it is no transaction."""
        return self.database.session()

    # Runs

    def record_run_start(
        self,
        feature: str,
        run_id: str,
        version: str,
        params_hash: str,
        params_json: str | None = None,
        inputs_json: str | None = None,
    ) -> None:
        """Record a new attempt at a run as running; StoreError for a name with a slash."""
        row = RunRow(run_id, feature, version, params_hash, params_json, inputs_json)
        runs.start(self.database, [row])

    def start_runs(self, rows: Iterable[RunRow]) -> None:
        """Record new attempts as running, in one transaction."""
        runs.start(self.database, rows)

    def mark_finished(self, feature: str, run_id: str) -> None:
        """End the newest running attempt as finished; UnknownRunError when it never started."""
        runs.mark_finished(self.database, feature, run_id)

    def finish_runs(self, ended: Sequence[tuple[str, RunStatus]]) -> None:
        """End the newest running attempt of each (run id, status), in one transaction."""
        runs.finish(self.database, ended)

    def latest_run_id(self, feature: str) -> str:
        """Newest finished run, or else the newest; UnknownRunError (a ValueError) when none."""
        return runs.latest_run_id(self.database, feature)

    def list_runs(self, feature: str) -> pl.DataFrame:
        """List the runs of a feature, the latest first, one row each."""
        return runs.list_runs(self.database, feature)

    def list_features(self) -> pl.DataFrame:
        """Features that were run: feature, runs, latest_run_id."""
        return runs.list_features(self.database)

    def has_run(self, feature: str, run_id: str) -> bool:
        """Whether a feature ever started this run."""
        return runs.has_run(self.database, feature, run_id)

    def run_is_finished(self, feature: str, run_id: str) -> bool:
        """Whether some attempt at this run finished."""
        return runs.is_finished(self.database, feature, run_id)

    def run_declarations(self, run_ids: Iterable[str]) -> dict[str, tuple[str, str, str | None]]:
        """Feature, version and parameters (JSON text) of the run ids that are known."""
        return runs.declarations(self.database, run_ids)

    # Entries of runs

    def record_entry(
        self,
        feature: str,
        run_id: str,
        group: str,
        sequence: str,
        path: str | Path,
        n_rows: int = 0,
    ) -> None:
        """Record by hand that a run has a file for an entry."""
        row = (feature, run_id, group, sequence, path, n_rows)
        run_entries.record(self.database, [row])

    def record_entries(self, rows: Iterable[run_entries.EntryValues]) -> None:
        """Record (feature, run_id, group, sequence, path, n_rows) rows in one transaction."""
        run_entries.record(self.database, rows)

    def list_entries(self, feature: str, run_id: str | None = None) -> pl.DataFrame:
        """Entries with a result: group, sequence, path, n_rows, run_id, state, sha256 and more."""
        return run_entries.list_entries(self.database, feature, run_id)

    def entry_count(self, feature: str, run_id: str | None = None) -> int:
        """How many rows :meth:`list_entries` has."""
        return run_entries.entry_count(self.database, feature, run_id)

    def pending_entries(
        self, feature: str, run_id: str, all_entries: Iterable[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """Those (group, sequence) pairs that the run has no result for, sorted."""
        return run_entries.pending(self.database, feature, run_id, all_entries)

    def migrate_from_csv(self, features_root: Path) -> int:
        """Record what ``*/index.csv`` files hold and the tables do not; how many entries."""
        return csv_index.migrate_from_csv(self.database, Path(features_root))

    # Runs that runs were computed from

    def record_dependency(
        self, feature: str, run_id: str, upstream_feature: str, upstream_run_id: str
    ) -> None:
        """Record that a run reads another."""
        lineage.record(self.database, (feature, run_id), (upstream_feature, upstream_run_id))

    def get_dependencies(self, feature: str, run_id: str) -> list[tuple[str, str]]:
        """(feature, run id) of the runs that a run reads, sorted."""
        return lineage.upstream_of(self.database, (feature, run_id))

    def lineage(self, feature: str, run_id: str) -> dict[str, Any]:
        """All that a run was computed from, as {feature, run_id, upstream: [...]}."""
        return lineage.lineage(self.database, (feature, run_id))

    # Results and heads

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes in one transaction; ObjectMissingError, and nothing, without objects."""
        results.commit(self.database, self.objects, outcomes)

    def heads(self, pipeline: str) -> list[Head]:
        """Where each step of a pipeline stands for each entry, unordered."""
        return results.heads(self.database, pipeline)

    def head_table(self, pipeline: str) -> pl.DataFrame:
        """The same as a table with the columns of :class:`Head`."""
        return results.head_table(self.database, pipeline)

    def results(self, action_keys: Iterable[str]) -> dict[str, StoredResult]:
        """Results of those action keys that have one."""
        return results.results(self.database, action_keys)

    def stored_results(self) -> list[ResultRow]:
        """Every result that the pipeline stored, with the feature that made it."""
        return results.stored(self.database)

    def dependencies_of(self, action_keys: Iterable[str]) -> dict[str, tuple[Dependency, ...]]:
        """Return the inputs of those action keys that have any."""
        return results.dependencies_of(self.database, action_keys)

    def drop_heads(self, pipeline: str, steps: Iterable[str] | None = None) -> int:
        """Forget the heads of a pipeline, or of some of its steps; how many they were."""
        return results.drop_heads(self.database, pipeline, steps)

    def drop_heads_at(self, places: Iterable[tuple[str, str, str]]) -> int:
        """Forget the heads at (pipeline, step, key); how many they were."""
        return results.drop_heads_at(self.database, places)

    def drop_results(self, action_keys: Iterable[str]) -> int:
        """Forget results, their dependencies and profiles; how many results they were."""
        return results.drop_results(self.database, action_keys)

    def profiles(self, digests: Iterable[str]) -> pl.DataFrame:
        """What is in those objects, one row each, as far as it was recorded."""
        return profiles.get(self.database, digests)

    def put_profiles(self, measured: Mapping[str, Profile]) -> None:
        """Record what is in objects that are stored already."""
        profiles.put(self.database, measured)

    def live_objects(self) -> set[str]:
        """Digests of all objects that the registry names."""
        return results.live_objects(self.database)

    def pipelines(self) -> list[tuple[str, str, int]]:
        """List (pipeline, step, number of heads)."""
        return results.pipelines(self.database)

    # Entries of the dataset, selections, announcements

    def entries(self) -> list[EntryRow]:
        """Every entry, ordered by group and then sequence."""
        return entries.entries(self.database)

    def put_entries(self, rows: Iterable[EntryRow]) -> None:
        """Add entries, over those with the same keys."""
        entries.put_entries(self.database, rows)

    def drop_entries(self, keys: Iterable[str]) -> None:
        """Forget entries."""
        entries.drop_entries(self.database, keys)

    def sources(self) -> list[SourceRow]:
        """Every raw file of every entry, ordered by entry key and path."""
        return entries.sources(self.database)

    def put_sources(self, rows: Iterable[SourceRow]) -> None:
        """Add raw files as seen now, over those with the same path and entry."""
        entries.put_sources(self.database, rows)

    def drop_sources(self, places: Iterable[tuple[str, str, str]]) -> None:
        """Forget raw files, each given as (path, entry key, asset)."""
        entries.drop_sources(self.database, places)

    def put_selection(self, keys: Sequence[str]) -> str:
        """Store a list of entry keys and return its digest."""
        return selections.put(self.database, keys)

    def selection(self, digest: str) -> tuple[str, ...]:
        """Return the keys of a stored list; StoreError when there is none."""
        return selections.get(self.database, digest)

    def announced(self, instance: str) -> dict[tuple[str, str], str]:
        """Digest that a Dagster instance was last told, by (asset, entry key)."""
        return announcements.get(self.database, instance)

    def announce(self, instance: str, rows: Iterable[tuple[str, str, str]]) -> None:
        """Note (asset, entry key, digest) as told to a Dagster instance."""
        announcements.put(self.database, instance, rows)


def open_registry(features_root: Path, migrate_csv: bool = True) -> FeatureRegistry:
    """Registry of a folder, in its ``store.duckdb``.

    Parameters
    ----------
    features_root
        A workspace, or any folder with feature folders in it; made when missing.
    migrate_csv
        Also record what the ``*/index.csv`` files below it hold.

    Raises
    ------
    StoreError
        The database or an index file cannot be read.
    """
    root = Path(features_root)
    registry = FeatureRegistry(
        open_database(root / "store.duckdb"), ContentStore(root / "artifacts")
    )
    if migrate_csv:
        registry.migrate_from_csv(root)
    return registry
