"""The rows that training leaves in the workspace store: a run, a pipeline per configuration.

Feature steps leave none. The run's row is begun when its first training step is recorded, and
ends with the run; rows of a run whose process died are failed by the next one that trains.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.pipeline.identity import member_ext
from mosaic_dagster.pipeline.training import KeptArtifact, Trained, by_configuration, read_trained
from mosaic_dagster.store import Outcome, StoredObject, TrainedChain, WorkspaceStore
from mosaic_dagster.store.chains import higher_is_better
from mosaic_dagster.store.trained_chain import save_trained_chain
from mosaic_dagster.store.workspace.process import PROCESS, fail_abandoned_runs, this_process

_MEMBER = "member:"


class StoreRun:
    """One run of training steps on a dataset, as the workspace store remembers it.

    Parameters
    ----------
    dataset
        The dataset.
    name
        What the run is called.
    facts
        What else is known of the run, such as the identifier of a Dagster run.

    Attributes
    ----------
    run_id
        Its row, while it runs.
    recorded
        The pipelines that it recorded.
    errors
        What went wrong so far; with any, the run ends as failed.
    """

    def __init__(self, dataset: Dataset, name: str, facts: Mapping[str, Any] | None = None) -> None:
        self.dataset = dataset
        self.name = name
        self.facts = dict(facts or {})
        self.run_id: str | None = None
        self.recorded: list[str] = []
        self.errors: list[str] = []

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Commit the outcomes of a training step, and what they hold to the workspace store.

        All of it happens or nothing: a result without its chains is never seen.
        """
        with self._store() as store, store.session():
            run_id = self._begun(store)
            for outcome in outcomes:
                trained = self._trained(outcome)
                with self.dataset.registry.database.transaction():
                    self.dataset.registry.commit([outcome])
                    if outcome.state == "failed":
                        self._record_failure(store, run_id, outcome)
                    elif trained is not None and not _is_recorded(store, outcome):
                        self._record(store, run_id, outcome, trained)

    def end(self, error: str | None = None) -> None:
        """End the run's row, if there is one: completed, or failed with the errors there were."""
        run_id, self.run_id = self.run_id, None
        if run_id is None:
            return
        atexit.unregister(self._end_at_exit)
        errors = [*self.errors, *([error] if error is not None else ())]
        with self._store() as store:
            if errors:
                store.fail_run(run_id, "\n".join(dict.fromkeys(errors)))
            else:
                store.complete_run(run_id, {"pipelines": self.recorded})

    def _end_at_exit(self) -> None:
        self.end("The process ended before its run did.")

    def _store(self) -> WorkspaceStore:
        return WorkspaceStore(self.dataset.path)

    def _begun(self, store: WorkspaceStore) -> str:
        if self.run_id is None:
            fail_abandoned_runs(store)
            config = {**self.facts, PROCESS: this_process()}
            facts = {"name": self.dataset.name, "path": self.dataset.path.as_posix()}
            self.run_id = store.begin_run(self.name, config, [facts])
            atexit.register(self._end_at_exit)
        return self.run_id

    def _trained(self, outcome: Outcome) -> Trained | None:
        members = {
            item.role.removeprefix(_MEMBER): item.sha256
            for item in outcome.inputs
            if item.role.startswith(_MEMBER)
        }
        objects = self.dataset.objects
        return read_trained(
            {name: objects.path(sha, member_ext(name)) for name, sha in members.items()}
        )

    def _begin_pipeline(
        self, store: WorkspaceStore, run_id: str, outcome: Outcome, config: Mapping[str, Any]
    ) -> str:
        made_from = [i.sha256 for i in outcome.inputs if not i.role.startswith(_MEMBER)]
        expanded = {
            "step": f"{outcome.pipeline}/{outcome.step}",
            "run_id": outcome.run_id,
            "action_key": outcome.action_key,
            "result": outcome.output_sha256,
            "configuration": dict(config),
            "inputs": len(made_from),
            **{k: v for k, v in self.facts.items() if k == "dagster_run_id"},
        }
        pipeline_id = store.begin_pipeline(
            run_id, f"{outcome.pipeline}/{outcome.step}", expanded, None, self.dataset.name,
            outcome.action_key,
        )  # fmt: skip
        self.recorded.append(pipeline_id)
        return pipeline_id

    def _record(
        self, store: WorkspaceStore, run_id: str, outcome: Outcome, trained: Trained
    ) -> None:
        ids = {name: _registered(store, kept) for name, kept in trained.artifacts.items()}
        for config, chains in by_configuration(trained.chains):
            pipeline_id = self._begin_pipeline(store, run_id, outcome, config)
            for chain in chains:
                save_trained_chain(store, pipeline_id, self.dataset.name, chain, ids)
            best = best_scores(chains)
            store.complete_pipeline(pipeline_id, *best, int(outcome.seconds * 1000))

    def _record_failure(self, store: WorkspaceStore, run_id: str, outcome: Outcome) -> None:
        pipeline_id = self._begin_pipeline(store, run_id, outcome, {})
        store.fail_pipeline(pipeline_id, outcome.error or "failed")


def best_scores(chains: Sequence[TrainedChain]) -> tuple[float | None, float | None, str | None]:
    """Best validation and test score among predictions, and the metric of the first of them.

    A metric whose direction is not known has no best score.
    """
    rows = [row for chain in chains for row in chain.predictions]
    metrics = list(dict.fromkeys(str(row["metric"]) for row in rows))
    direction = higher_is_better(metrics[0]) if len(metrics) == 1 else None
    metric = metrics[0] if len(metrics) == 1 else None
    if direction is None:
        return None, None, metric
    choose = max if direction else min
    val = [row["val_score"] for row in rows if row.get("val_score") is not None]
    test = [row["test_score"] for row in rows if row.get("test_score") is not None]
    return choose(val, default=None), choose(test, default=None), metric


def _is_recorded(store: WorkspaceStore, outcome: Outcome) -> bool:
    """Whether these very models are remembered already: two runs may have trained at once."""
    rows = store.list_pipelines(dataset_name=None)
    same = rows.filter(
        (pl.col("dataset_hash") == outcome.action_key) & (pl.col("status") == "completed")
    )
    configs = (json.loads(text) for text in same["expanded_config"])
    return any(config.get("result") == outcome.output_sha256 for config in configs)


def _registered(store: WorkspaceStore, kept: KeptArtifact) -> str:
    """Identifier of an object that lies in the store already."""
    path = StoredObject(kept.sha256, member_ext(kept.file), kept.size).path
    return store.register_existing_artifact(
        f"art_{kept.sha256}", path, kept.sha256, kept.operator_class, kept.artifact_type,
        kept.format, kept.size,
    )  # fmt: skip
