"""From what a dataset needs to a request for one run over exactly that."""

from __future__ import annotations

import time
from collections.abc import Mapping

import dagster as dg

from mosaic_dagster.orchestration.asset_keys import job_name
from mosaic_dagster.orchestration.automation.dataset_runs import runs_under_way
from mosaic_dagster.orchestration.automation.launches import Launches
from mosaic_dagster.orchestration.automation.settings import Automation
from mosaic_dagster.orchestration.partitions import register_entries
from mosaic_dagster.orchestration.refresh import run_tags
from mosaic_dagster.orchestration.requests import RefreshRequest
from mosaic_dagster.orchestration.run_session import instance_id
from mosaic_dagster.orchestration.tags import (
    ATTEMPT_TAG,
    RETRY_TAG,
    SENSOR_TAG,
    UNSETTLED_TAG,
)
from mosaic_dagster.orchestration.work import Work, needed_work
from mosaic_dagster.pipeline import DatasetRun, Study
from mosaic_dagster.pipeline.uncollected import uncollected


def run_request(
    study: Study,
    run: DatasetRun,
    instance: dg.DagsterInstance,
    work: Work,
    run_key: str,
    tags: Mapping[str, str],
) -> dg.RunRequest:
    """One run of the dataset's job over the assets and entries that need it."""
    register_entries(instance, study.dataset.name, run.tracks.keys)
    selecting = run_tags(study, run.dataset, instance, work, RefreshRequest())
    return dg.RunRequest(
        job_name=job_name(study.dataset.name),
        run_key=run_key,
        asset_selection=sorted(work.assets),
        tags={**selecting, RETRY_TAG: "false", **tags},
    )


def busy_with(instance: dg.DagsterInstance, study: Study) -> dg.SkipReason | None:
    """Why nothing is asked for now: a run is under way, which may be about to make the same."""
    active = runs_under_way(instance, study)
    if not active:
        return None
    told = ", ".join(run.run_id[:8] for run in active[:3])
    return dg.SkipReason(f"{study.dataset.name}: waits for the end of run {told}.")


@uncollected()
def next_request(
    sensor: str,
    study: Study,
    run: DatasetRun,
    instance: dg.DagsterInstance,
    launches: Launches,
    automation: Automation,
) -> tuple[Launches, dg.RunRequest | dg.SkipReason]:
    """What a sensor asks for now, while no run is under way, and what it has to remember."""
    work = needed_work(run, study, run.dataset.registry.announced(instance_id(instance)))
    name = study.dataset.name
    if not work.assets:
        return launches.nothing_to_do(), dg.SkipReason(f"{name}: everything is up to date.")
    launches, reason = launches.next(work.digest, time.time(), automation)
    if reason is not None:
        return launches, dg.SkipReason(f"{name}: {reason}")
    tags = {SENSOR_TAG: sensor, ATTEMPT_TAG: str(launches.attempts)}
    if run.selection.unsettled:
        held = sorted(map(str, run.selection.unsettled))
        tags[UNSETTLED_TAG] = run.dataset.registry.put_selection(held)
    return launches, run_request(study, run, instance, work, launches.run_key, tags)
