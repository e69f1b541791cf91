"""Bring a dataset up to date: find what is new, plan, run the job over exactly what needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.orchestration.partitions import forget_entries, range_tags, register_entries
from mosaic_dagster.orchestration.requests import (
    RefreshRequest,
    asked_steps,
    chosen_keys,
    chosen_pipelines,
    forced_steps,
)
from mosaic_dagster.orchestration.run_errors import unexpected_errors
from mosaic_dagster.orchestration.run_session import instance_id
from mosaic_dagster.orchestration.tags import (
    DEFER_TAG,
    ENGINE_TAG,
    FORCE_TAG,
    PARENT_TAG,
    SELECTION_TAG,
)
from mosaic_dagster.orchestration.work import Work, needed_work
from mosaic_dagster.pipeline import DatasetRun, Engine, Pipeline, Selection, Study
from mosaic_dagster.pipeline.callbacks import export_folder, restore_exports
from mosaic_dagster.pipeline.ingested import ABSENT, UNSETTLED
from mosaic_dagster.pipeline.status import DONE


@dataclass
class RefreshResult:
    """What became of one dataset.

    Attributes
    ----------
    new_entries
        Entries registered now.
    asked
        Number of (step, entry) pairs that needed something, by step.
    run_id, succeeded
        The inner Dagster run, if one was needed.
    problems
        What is wrong with sources or entries that no run can mend.
    vanished
        Source files that are gone, each with its new name where that is known.
    absent
        Folders of sources that are not there, and what to do.
    errors
        What stopped the run or a step of it, apart from entries that failed.
    """

    dataset: Dataset
    new_entries: list[str]
    asked: dict[str, int]
    run_id: str | None = None
    succeeded: bool = True
    problems: dict[str, str] = field(default_factory=dict)
    vanished: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    recordings: int = 0
    pictures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing failed and nothing is left undone."""
        return self.succeeded and not self.problems


JobRunner = Callable[[set[dg.AssetKey], dict[str, str]], Any]
"""Runs the dataset's asset job over some assets with some tags; gives Dagster's result."""


def refresh_dataset(
    study: Study,
    dataset: Dataset,
    instance: dg.DagsterInstance,
    run_job: JobRunner,
    request: RefreshRequest,
    parent_run: str,
) -> RefreshResult:
    """Register new entries, plan, and run the dataset's job where something needs it."""
    pipelines = chosen_pipelines(study, request)
    steps = asked_steps(pipelines, request.steps)
    keys = chosen_keys(dataset, request)
    forced = forced_steps(pipelines, request.force_from)
    selection = Selection(steps=steps, keys=keys, forced=forced)
    run = DatasetRun(dataset, pipelines, Engine("sequential"), selection)
    new = run.tracks.register()
    register_entries(instance, study.dataset.name, run.tracks.keys)
    forget_entries(instance, study.dataset.name, run.tracks.keys)
    work = needed_work(run, study, dataset.registry.announced(instance_id(instance)))
    result = RefreshResult(
        dataset, new, work.counts, problems=lasting_problems(run),
        vanished=[path for state in run.ingested.values() for path in state.told_vanished],
        absent=[told for state in run.ingested.values() for told in state.absent],
        recordings=len(run.tracks.keys),
    )  # fmt: skip
    if work.assets:
        tags = run_tags(study, dataset, instance, work, request) | {PARENT_TAG: parent_run}
        done = run_job(work.assets, tags)
        result.run_id, result.succeeded = done.run_id, done.success
        result.errors = unexpected_errors(done)
    result.pictures = existing_exports(dataset, pipelines)
    return result


def lasting_problems(run: DatasetRun) -> dict[str, str]:
    """Files that cannot be used, and entries whose tracks or labels can never be made."""
    problems: dict[str, str] = {}
    for state in run.ingested.values():
        problems |= state.refused
        blocked = {k: s.reason for k, s in state.statuses.items() if s.state == "blocked"}
        away = [key for key, reason in blocked.items() if reason == ABSENT]
        if away:
            problems[state.asset] = f"{len(away)} recordings cannot be read: {ABSENT}."
        for key, reason in blocked.items():
            if reason not in (ABSENT, UNSETTLED):
                problems[key if state is run.tracks else f"{state.asset} {key}"] = reason
    return problems


def run_tags(
    study: Study,
    dataset: Dataset,
    instance: dg.DagsterInstance,
    work: Work,
    request: RefreshRequest,
) -> dict[str, str]:
    """Tags of an asset job's run over exactly the keys that need it."""
    keys = sorted(work.keys, key=lambda key: EntryKey.parse(key))
    tags = {
        **range_tags(instance, study.dataset.name, keys),
        SELECTION_TAG: dataset.registry.put_selection(keys),
        DEFER_TAG: "true",
    }
    if request.force_from is not None:
        tags[FORCE_TAG] = request.force_from
    if request.engine is not None:
        tags[ENGINE_TAG] = request.engine
    return tags


def existing_exports(dataset: Dataset, pipelines: Sequence[Pipeline]) -> list[str]:
    """Files that callbacks exported, written again from the store where they are gone."""
    run = DatasetRun(dataset, pipelines)
    found: list[str] = []
    for name, evaluation in run.evaluations.items():
        for step in evaluation.bound.steps.values():
            if step.is_callback:
                units = evaluation.units(step.name)
                done = [key for key, status in units.items() if status.state in DONE]
                restore_exports(dataset, evaluation, step, done)
        folder = export_folder(dataset, name)
        found += [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    return found
