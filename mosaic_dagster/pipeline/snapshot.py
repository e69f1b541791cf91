"""What the registry and the objects on disk say, read in one lease."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.errors import StoreError
from mosaic_dagster.pipeline.identity import STATE_EXT, member_ext
from mosaic_dagster.store import Dependency, Head, StoredResult

Declaration = tuple[str, str, str | None]
"""Feature, version and parameters (canonical JSON) of a run id."""


@dataclass
class Snapshot:
    """The heads of some pipelines at one moment, and look-ups made later on demand.

    Attributes
    ----------
    dataset
        The dataset.
    heads
        ``heads[pipeline][step][key]``; the key ``""`` is the fitted state.
    declarations
        What each run id among the heads stood for.
    """

    dataset: Dataset
    heads: dict[str, dict[str, dict[str, Head]]]
    declarations: dict[str, Declaration]
    _members: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def take(cls, dataset: Dataset, pipelines: Iterable[str]) -> Snapshot:
        """Read the heads of the pipelines."""
        heads: dict[str, dict[str, dict[str, Head]]] = {}
        registry = dataset.registry
        with registry.session():
            for pipeline in pipelines:
                by_step: dict[str, dict[str, Head]] = {}
                for head in registry.heads(pipeline):
                    by_step.setdefault(head.step, {})[head.key] = head
                heads[pipeline] = by_step
            run_ids = {
                head.run_id
                for by_step in heads.values()
                for by_key in by_step.values()
                for head in by_key.values()
            }
            declarations = registry.run_declarations(sorted(run_ids)) if run_ids else {}
        return cls(dataset, heads, dict(declarations))

    def of_step(self, pipeline: str, step: str) -> dict[str, Head]:
        """Heads of one step by key."""
        return self.heads.get(pipeline, {}).get(step, {})

    def find_results(self, action_keys: Sequence[str]) -> dict[str, StoredResult]:
        """Results stored under these keys, whichever run made them."""
        return self.dataset.registry.results(action_keys) if action_keys else {}

    def find_inputs(self, action_keys: Sequence[str]) -> dict[str, tuple[Dependency, ...]]:
        """What the results under these keys were made from."""
        return self.dataset.registry.dependencies_of(action_keys) if action_keys else {}

    def present(self, results: Iterable[tuple[str, StoredResult]]) -> set[str]:
        """Digests of what is in the store with the right size, given (key, result) pairs.

        A fitted state, or what a callback returned, is there when every file of it is.
        """
        made = [(key, result) for key, result in results if result.output_sha256 is not None]
        digests = self.dataset.objects.present(
            (str(result.output_sha256), result.ext, result.bytes) for _, result in made
        )
        states = {str(result.output_sha256) for _, result in made if result.ext == STATE_EXT}
        return digests - {digest for digest in states & digests if not self._is_whole(digest)}

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
