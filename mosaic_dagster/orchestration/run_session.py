"""What the steps of one Dagster run share: one evaluation of the dataset, kept up to date.

Steps of a run usually live in one process (the in-process executor), so that each sees what the
ones above it made without reading the database again. Under another executor each process has a
session of its own, read from the registry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import dagster as dg

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.errors import ScopeError
from mosaic_dagster.orchestration.asset_keys import (
    ingested_key,
    model_key,
    report_key,
    step_key,
)
from mosaic_dagster.orchestration.partitions import keys_of_run
from mosaic_dagster.orchestration.requests import forced_steps
from mosaic_dagster.orchestration.run_process import note_process
from mosaic_dagster.orchestration.tags import (
    FORCE_TAG,
    RETRY_TAG,
    SELECTION_TAG,
    UNSETTLED_TAG,
)
from mosaic_dagster.pipeline import DatasetRun, Engine, Selection, Study
from mosaic_dagster.pipeline.status import MODEL

_KEPT = 4
_NOTHING_SHOWN = ""
"""In the place of a digest, which no result has."""


@dataclass
class RunSession:
    """A run over a dataset, with what Dagster knows about it.

    Attributes
    ----------
    study, dataset
        What is run.
    run
        The run of the steps.
    instance_id
        Names the Dagster instance in the table of announcements.
    by_selection
        Whether the run names its entries by a selection (refresh, sensor), so that only what is
        new to Dagster is announced; else all that was asked for is.
    selected
        Asset keys of the Dagster run; None means all.
    renewed
        Fitted states (asset keys as text) that this run announced with another digest.
    """

    study: Study
    dataset: Dataset
    run: DatasetRun
    instance_id: str
    by_selection: bool
    selected: frozenset[dg.AssetKey] | None
    to_announce: list[tuple[str, str, str]] = field(default_factory=list)
    renewed: set[str] = field(default_factory=set)

    @cached_property
    def announced(self) -> dict[tuple[str, str], str]:
        """Digest last announced, by asset and entry."""
        return dict(self.dataset.registry.announced(self.instance_id))

    def is_news(self, asset: str, key: str, digest: str) -> bool:
        """Whether the instance has not been told of this result."""
        return self.announced.get((asset, key)) != digest

    def note_announced(self, asset: str, results: Sequence[tuple[str, str]]) -> None:
        """Remember (entry, digest) pairs as announced, to be written with :meth:`flush`."""
        for key, digest in results:
            if key == MODEL and self.announced.get((asset, key)) != digest:
                self.renewed.add(asset)
            self.announced[asset, key] = digest
            self.to_announce.append((asset, key, digest))

    def note_stopped(self, asset: str, keys: Sequence[str]) -> None:
        """Remember that these show as failed now, whatever was announced of them before.

        When an edit is undone their old results are up to date again, and are announced anew.
        """
        self.note_announced(asset, [(key, _NOTHING_SHOWN) for key in keys])
        self.flush()

    def flush(self) -> None:
        """Write what was announced to the registry."""
        if self.to_announce:
            self.dataset.registry.announce(self.instance_id, self.to_announce)
            self.to_announce.clear()

    def reports(self, pipeline: str) -> bool:
        """Whether the run makes the report of a pipeline (of any, for the tracks)."""
        names = [pipeline] if pipeline else [p.name for p in self.study.pipelines]
        keys = {report_key(self.study.dataset.name, name) for name in names}
        return bool(keys) and (self.selected is None or not keys.isdisjoint(self.selected))


_sessions: OrderedDict[tuple[str, str], RunSession] = OrderedDict()


def session_of(
    context: dg.AssetExecutionContext, study: Study, dataset: Dataset, engine: Engine
) -> RunSession:
    """The session of the running Dagster run for a dataset."""
    run_key = (context.run.run_id, str(dataset.path))
    if run_key not in _sessions:
        note_process(context.instance, context.run)
        _sessions[run_key] = _open(context, study, dataset, engine)
        while len(_sessions) > _KEPT:
            _sessions.popitem(last=False)
    return _sessions[run_key]


def close_session(run_id: str) -> None:
    """Forget the sessions of a run that has ended."""
    for key in [key for key in _sessions if key[0] == run_id]:
        del _sessions[key]


def instance_id(instance: dg.DagsterInstance) -> str:
    """A name for a Dagster instance that stays when its folder moves."""
    # Every storage on a database has such an id; another is known by where it is.
    find = getattr(instance.run_storage, "get_run_storage_id", None)
    return str(find()) if find is not None else instance.root_directory


def _open(
    context: dg.AssetExecutionContext, study: Study, dataset: Dataset, engine: Engine
) -> RunSession:
    tags = context.run.tags
    # A run of a whole job names no assets, or an empty set of them.
    selected = frozenset(
        context.run.asset_selection or context.job_def.asset_layer.executable_asset_keys
    )
    by_selection = SELECTION_TAG in tags
    keys: Sequence[str] | None
    if by_selection:
        keys = dataset.registry.selection(tags[SELECTION_TAG])
    else:
        keys = keys_of_run(context.instance, study.dataset.name, tags)
    selection = Selection(
        steps=steps_in(study, selected),
        keys=None if keys is None else frozenset(keys),
        ingested=[
            name for name in study.ingested() if ingested_key(study.dataset.name, name) in selected
        ],
        forced=forced_steps(study.pipelines, tags.get(FORCE_TAG)),
        retries=tags.get(RETRY_TAG) != "false",
        unsettled=_unsettled(dataset, tags),
    )
    facts = {"dagster_run_id": context.run.run_id, "dagster_job": context.run.job_name}
    run = DatasetRun(dataset, study.pipelines, engine, selection, facts)
    if keys and set(keys).isdisjoint(run.tracks.keys):
        msg = f"Dataset {study.dataset.name!r} has no entry {', '.join(keys[:5])}."
        raise ScopeError(msg, "`mosaic status` counts the entries; `refresh` registers new ones.")
    return RunSession(study, dataset, run, instance_id(context.instance), by_selection, selected)


def _unsettled(dataset: Dataset, tags: Mapping[str, str]) -> frozenset[Path]:
    if UNSETTLED_TAG not in tags:
        return frozenset()
    return frozenset(map(Path, dataset.registry.selection(tags[UNSETTLED_TAG])))


def steps_in(study: Study, selected: AbstractSet[dg.AssetKey]) -> Mapping[str, list[str]]:
    """Steps of each pipeline of which a selection of assets makes anything."""
    name = study.dataset.name
    return {
        pipeline.name: [
            step.name
            for step in pipeline.steps
            if step_key(name, pipeline.name, step.name) in selected
            or model_key(name, pipeline.name, step.name) in selected
        ]
        for pipeline in study.pipelines
    }


def find_session(run_id: str) -> RunSession | None:
    """The session of a run that ended in this process, if there is one."""
    return next((session for key, session in _sessions.items() if key[0] == run_id), None)
