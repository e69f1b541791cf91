"""What the registry and the objects on disk say, read in one lease."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.errors import StoreError
from mosaic_dagster.pipeline.identity import STATE_EXT, member_ext
from mosaic_dagster.store import Dependency, Head, StoredResult

Declaration = tuple[str, str, str | None]
"""Feature, version and parameters (canonical JSON) of a run id."""

FEW = 256
"""Objects that are looked at one by one; for more, the 256 folders of the store are listed."""


@dataclass
class Snapshot:
    """The heads of some pipelines at one moment, and look-ups made later on demand.

    Attributes
    ----------
    dataset
        The dataset.
    tables
        ``tables[pipeline][step]``: what is recorded, with the columns of
        :class:`~mosaic_dagster.store.Head`; the key ``""`` is the fitted state.
    declarations
        What each run id among the heads stood for.
    """

    dataset: Dataset
    tables: dict[str, dict[str, pl.DataFrame]]
    declarations: dict[str, Declaration]
    _heads: dict[tuple[str, str], dict[str, Head]] = field(default_factory=dict)
    _members: dict[str, dict[str, str]] = field(default_factory=dict)
    _names: set[str] | None = None

    @classmethod
    def take(cls, dataset: Dataset, pipelines: Iterable[str]) -> Snapshot:
        """Read the heads of the pipelines."""
        registry = dataset.registry
        tables: dict[str, dict[str, pl.DataFrame]] = {}
        run_ids: set[str] = set()
        with registry.session():
            for pipeline in pipelines:
                table = registry.head_table(pipeline)
                run_ids.update(table["run_id"].unique().to_list())
                by_step = table.partition_by("step", as_dict=True) if table.height else {}
                tables[pipeline] = {str(step): part for (step,), part in by_step.items()}
            declarations = registry.run_declarations(sorted(run_ids)) if run_ids else {}
        return cls(dataset, tables, dict(declarations))

    def steps(self, pipeline: str) -> set[str]:
        """Steps of a pipeline that something is recorded for."""
        return set(self.tables.get(pipeline, {}))

    def of_step(self, pipeline: str, step: str) -> dict[str, Head]:
        """Heads of one step by key."""
        if (pipeline, step) not in self._heads:
            table = self.tables.get(pipeline, {}).get(step)
            columns = [] if table is None else [column.to_list() for column in table]
            heads = map(Head._make, zip(*columns, strict=True))
            self._heads[pipeline, step] = {head.key: head for head in heads}
        return self._heads[pipeline, step]

    def table_of(self, pipeline: str, step: str, keys: Sequence[str]) -> pl.DataFrame | None:
        """What is recorded for those of some entries of a step that have a record, in order."""
        table = self.tables.get(pipeline, {}).get(step)
        if table is None:
            return None
        names = table["key"].to_list()
        if names == list(keys):
            return table
        place = {key: row for row, key in enumerate(names)}
        rows = [place[key] for key in keys if key in place]
        return table[rows] if rows else None

    def find_results(self, action_keys: Sequence[str]) -> dict[str, StoredResult]:
        """Results stored under these keys, whichever run made them."""
        return self.dataset.registry.results(action_keys) if action_keys else {}

    def find_inputs(self, action_keys: Sequence[str]) -> dict[str, tuple[Dependency, ...]]:
        """What the results under these keys were made from."""
        return self.dataset.registry.dependencies_of(action_keys) if action_keys else {}

    def present(self, results: Iterable[StoredResult]) -> set[str]:
        """Digests of what is in the store, given results.

        A fitted state, or what a callback returned, is there when every file of it is. Of few
        objects the size counts, too; of many, which are looked for by listing the folders, only
        whether they are there.
        """
        return self.present_objects((r.output_sha256, r.ext, r.bytes) for r in results)

    def present_objects(self, objects: Iterable[tuple[str | None, str, int | None]]) -> set[str]:
        """The same, given digest, extension and size of each object."""
        asked = [(digest, ext, size) for digest, ext, size in objects if digest is not None]
        there = self._there(asked)
        states = [digest for digest, ext, _ in asked if ext == STATE_EXT and digest in there]
        return there.difference(digest for digest in states if not self._is_whole(digest))

    def look_again(self) -> None:
        """Forget which objects were there, since more may be made or removed by now."""
        self._names = None

    def _there(self, asked: list[tuple[str, str, int | None]]) -> set[str]:
        objects = self.dataset.objects
        if len(asked) <= FEW:
            return objects.present(asked)
        if self._names is None:
            self._names = objects.names()
        names = self._names
        found = {digest for digest, ext, _ in asked if f"{digest}.{ext}" in names}
        if len(found) < len(asked):
            # What was stored since the listing is there, too.
            found |= objects.present(item for item in asked if item[0] not in found)
        return found

    def _is_whole(self, state: str) -> bool:
        objects = self.dataset.objects
        try:
            members = self.state_members(state)
        except StoreError:
            return False
        found = objects.present((sha, member_ext(name), None) for name, sha in members.items())
        return found >= set(members.values())

    def state_members(self, digest: str) -> dict[str, str]:
        """File name to digest of a fitted state."""
        if digest not in self._members:
            self._members[digest] = json.loads(self.dataset.objects.get(digest, STATE_EXT))
        return self._members[digest]
