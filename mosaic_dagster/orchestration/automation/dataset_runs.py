"""Dagster runs about a dataset: which are under way, and which died."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from mosaic_dagster.orchestration.asset_keys import job_name
from mosaic_dagster.orchestration.jobs import REFRESH
from mosaic_dagster.orchestration.run_process import is_abandoned, process_is_gone
from mosaic_dagster.orchestration.tags import PARENT_TAG
from mosaic_dagster.pipeline import Study

UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def runs_under_way(instance: dg.DagsterInstance, study: Study) -> list[dg.DagsterRun]:
    """Runs about a dataset that have not ended and whose process is there, as far as is known."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(UNDER_WAY)))
    return [run for run in runs if is_about(run, study) and not process_is_gone(instance, run)]


def abandoned_runs(instance: dg.DagsterInstance, studies: Sequence[Study]) -> list[dg.DagsterRun]:
    """Runs of ours that count as under way although their process is gone."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(UNDER_WAY)))
    return [run for run in runs if is_ours(run, studies) and is_abandoned(run)]


def is_ours(run: dg.DagsterRun, studies: Sequence[Study]) -> bool:
    """Whether a run is about any of these datasets."""
    return any(is_about(run, study) for study in studies)


def is_about(run: dg.DagsterRun, study: Study) -> bool:
    """Whether a run may make anything of a dataset; a refresh may make anything."""
    name = study.dataset.name
    jobs = {REFRESH, job_name(name), *(job_name(name, p.name) for p in study.pipelines)}
    return run.job_name in jobs or any(key.path[0] == name for key in run.asset_selection or ())


def died(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a failed run ended without any step that failed: nobody was left to say so."""
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return False
    failures = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return not failures


def is_part_of_another(run: dg.DagsterRun) -> bool:
    """Whether a refresh started the run, which then stands for it."""
    return PARENT_TAG in run.tags
