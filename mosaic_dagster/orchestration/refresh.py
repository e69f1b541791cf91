"""Bring a dataset up to date: find what is new, plan, run the job over exactly what needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mosaic_dagster.dataset import Dataset, Scope
from mosaic_dagster.errors import ProjectError, UnknownStepError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.orchestration.asset_keys import model_key, report_key, step_key, tracks_key
from mosaic_dagster.orchestration.partitions import range_tags, register_entries
from mosaic_dagster.orchestration.run_session import forced_steps, instance_id
from mosaic_dagster.orchestration.tags import (
    DEFER_TAG,
    ENGINE_TAG,
    FORCE_TAG,
    PARENT_TAG,
    SELECTION_TAG,
)
from mosaic_dagster.pipeline import DatasetRun, Engine, Pipeline, Selection, Study
from mosaic_dagster.pipeline.callbacks import export_folder, restore_exports
from mosaic_dagster.pipeline.results import StepResult
from mosaic_dagster.pipeline.staleness import MODEL, Evaluation
from mosaic_dagster.pipeline.status import DONE, EntryStatus


@dataclass(frozen=True)
class RefreshRequest:
    """What a refresh is asked for; empty means everything.

    Attributes
    ----------
    datasets, pipelines
        Names of datasets and pipelines.
    steps
        Steps (``step`` or ``pipeline/step``) that are made, with everything they need.
    groups, entries
        Groups, and entry keys, to which partitioned steps are limited.
    force_from
        A step that is made anew with everything below it.
    engine
        Where entries are computed, if not as configured.
    """

    datasets: Sequence[str] = ()
    pipelines: Sequence[str] = ()
    steps: Sequence[str] = ()
    groups: Sequence[str] = ()
    entries: Sequence[str] = ()
    force_from: str | None = None
    engine: str | None = None


@dataclass
class Work:
    """What a dataset needs: assets, and the entries over which they run."""

    assets: set[dg.AssetKey] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)


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
    """

    dataset: Dataset
    new_entries: list[str]
    asked: dict[str, int]
    run_id: str | None = None
    succeeded: bool = True
    problems: dict[str, str] = field(default_factory=dict)
    vanished: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

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
    keys = chosen_keys(study, dataset, pipelines, request)
    forced = forced_steps(pipelines, request.force_from)
    selection = Selection(steps=steps, keys=keys, forced=forced)
    run = DatasetRun(dataset, pipelines, Engine("sequential"), selection)
    new = run.tracks.register()
    register_entries(instance, study.dataset.name, run.tracks.keys)
    work = needed_work(run, study, dataset.registry.announced(instance_id(instance)))
    result = RefreshResult(
        dataset, new, work.counts, problems=lasting_problems(run), vanished=run.tracks.vanished
    )
    if work.assets:
        tags = run_tags(study, dataset, instance, work, request) | {PARENT_TAG: parent_run}
        done = run_job(work.assets, tags)
        result.run_id, result.succeeded = done.run_id, done.success
    result.pictures = existing_exports(dataset, pipelines)
    return result


def chosen_pipelines(study: Study, request: RefreshRequest) -> list[Pipeline]:
    """The study's pipelines that are asked for."""
    if not request.pipelines:
        return list(study.pipelines)
    return [pipeline for pipeline in study.pipelines if pipeline.name in request.pipelines]


def is_asked(study: Study, request: RefreshRequest) -> bool:
    """Whether a request is about a study."""
    named = not request.datasets or study.dataset.name in request.datasets
    has_one = any(pipeline.name in request.pipelines for pipeline in study.pipelines)
    return named and (not request.pipelines or has_one)


def check_pipelines(studies: Sequence[Study], names: Sequence[str]) -> None:
    """Refuse a pipeline that no study has.

    Raises
    ------
    ProjectError
        Names the pipelines there are.
    """
    known = {pipeline.name for study in studies for pipeline in study.pipelines}
    for name in names:
        if name not in known:
            msg = f"There is no pipeline {name!r}."
            raise ProjectError(msg, f"The pipelines are: {', '.join(sorted(known)) or 'none'}.")


def asked_steps(
    pipelines: Sequence[Pipeline], steps: Sequence[str]
) -> dict[str, set[str]] | None:
    """The steps asked for with everything they need, by pipeline; None when all are.

    Raises
    ------
    UnknownStepError
        No pipeline has a step of this name.
    """
    if not steps:
        return None
    asked: dict[str, set[str]] = {pipeline.name: set() for pipeline in pipelines}
    for name in steps:
        wanted, _, step = name.rpartition("/")
        owners = [p for p in pipelines if wanted in ("", p.name) and step in p.dag()]
        if not owners:
            known = ", ".join(f"{p.name}/{s}" for p in pipelines for s in p.dag())
            msg = f"There is no step {name!r}."
            raise UnknownStepError(msg, f"The steps are: {known}.")
        for pipeline in owners:
            asked[pipeline.name] |= pipeline.graph().above([step])
    return asked


def chosen_keys(
    study: Study, dataset: Dataset, pipelines: Sequence[Pipeline], request: RefreshRequest
) -> frozenset[str] | None:
    """Keys of the entries asked for; None when all are.

    Raises
    ------
    ScopeError
        A group or an entry is not known; the nearest are named.
    """
    if not request.groups and not request.entries:
        return None
    known = {EntryKey.parse(key) for key in DatasetRun(dataset, []).tracks.keys}
    scope = Scope(groups=request.groups or None, entries=request.entries or None)
    return frozenset(str(key) for key in scope.select(known))


def needed_work(
    run: DatasetRun, study: Study, announced: dict[tuple[str, str], str]
) -> Work:
    """Assets and entries that are out of date, or that the instance has not been told of."""
    work = Work()
    name = study.dataset.name
    key = tracks_key(name)
    tracks = {k: run.tracks.statuses[k] for k in run.track_keys()}
    _add(work, key, "tracks", tracks, announced)
    for pipeline, evaluation in run.evaluations.items():
        touched = False
        for step in run.steps_of(evaluation.bound):
            bound = evaluation.bound.steps[step]
            if bound.is_fitted or bound.is_callback:
                model = (model_key if bound.is_fitted else step_key)(name, pipeline, step)
                label = f"{pipeline}/{step}" + ("/model" if bound.is_fitted else "")
                always = bound.is_callback and getattr(bound.step, "always", False)
                unit = {MODEL: evaluation.model(step)}
                touched |= _add(work, model, label, unit, announced, always=always)
            if not bound.is_callback:
                asset = step_key(name, pipeline, step)
                entries = {k: evaluation.entries(step)[k] for k in run.keys_of(pipeline, step)}
                touched |= _add(work, asset, f"{pipeline}/{step}", entries, announced)
        if touched:
            work.assets.add(report_key(name, pipeline))
    if work.assets and not work.keys:
        work.keys.update(run.track_keys()[:1])
    return work


def _add(
    work: Work,
    asset: dg.AssetKey,
    label: str,
    units: dict[str, EntryStatus],
    announced: dict[tuple[str, str], str],
    *,
    always: bool = False,
) -> bool:
    text = asset.to_user_string()
    needy = [k for k, s in units.items() if always or _needs(s, announced.get((text, k)))]
    if not needy:
        return False
    work.assets.add(asset)
    work.keys.update(key for key in needy if key != MODEL)
    work.counts[label] = len(needy)
    return True


def _needs(status: EntryStatus, told: str | None) -> bool:
    if status.state in DONE:
        assert status.result is not None
        return status.needs_adoption or told != status.result.output_sha256
    # What is blocked waits for what blocks it, which is counted where it failed.
    return status.state != "blocked"


def lasting_problems(run: DatasetRun) -> dict[str, str]:
    """Files that cannot be used, and entries whose tracks can never be made."""
    problems = dict(run.tracks.refused)
    for key, status in run.tracks.statuses.items():
        if status.state == "blocked":
            problems[key] = status.reason
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
        for result in _callback_results(evaluation):
            restore_exports(dataset, name, result.artifacts())
        folder = export_folder(dataset, name)
        if folder.is_dir():
            found += [str(path) for path in sorted(folder.iterdir()) if path.is_file()]
    return found


def _callback_results(evaluation: Evaluation) -> list[StepResult]:
    return [
        StepResult.of(evaluation, name)
        for name, step in evaluation.bound.steps.items()
        if step.is_callback and evaluation.model(name).state in DONE
    ]
