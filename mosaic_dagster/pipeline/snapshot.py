"""What the registry and the objects on disk say, read in one lease."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mosaic_dagster.dataset import Dataset
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

    def present(self, results: Iterable[StoredResult]) -> set[str]:
        """Digests of those results whose object is in the store with the right size."""
        return self.dataset.objects.present(
            (result.output_sha256, result.ext, result.bytes)
            for result in results
            if result.output_sha256 is not None
        )

    def state_members(self, digest: str) -> dict[str, str]:
        """File name to digest of a fitted state."""
        members: dict[str, str] = json.loads(self.dataset.objects.get(digest, "json"))
        return members
