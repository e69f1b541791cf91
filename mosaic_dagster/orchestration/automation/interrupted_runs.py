"""The sensor that closes runs whose process is gone, and starts them again.

What such a run had made is in the store, so the next one continues where it stopped. Runs that a
sensor of ours asked for are closed only: their sensor looks again and asks for what is left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mosaic_dagster.orchestration.asset_keys import job_name
from mosaic_dagster.orchestration.automation.dataset_runs import (
    abandoned_runs,
    died,
    is_about,
    is_ours,
    is_part_of_another,
    runs_under_way,
)
from mosaic_dagster.orchestration.automation.settings import Automation
from mosaic_dagster.orchestration.jobs import REFRESH
from mosaic_dagster.orchestration.partitions import PARTITION_TAG
from mosaic_dagster.orchestration.tags import (
    ATTEMPT_TAG,
    DEFER_TAG,
    ENGINE_TAG,
    FORCE_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    RESTART_TAG,
    RETRY_TAG,
    SELECTION_TAG,
    SENSOR_TAG,
)
from mosaic_dagster.pipeline import Study

INTERRUPTED_RUNS = "interrupted_runs"

_LOOKED_AT = 50
"""Failed runs that a look goes back; more do not die between two looks."""

_KEPT_TAGS = (
    SELECTION_TAG, RANGE_START_TAG, RANGE_END_TAG, DEFER_TAG, FORCE_TAG, ENGINE_TAG, RETRY_TAG,
)  # fmt: skip
"""What a run's tags say about what it makes."""


@dataclass
class Memory:
    """What the sensor remembers between two looks.

    Attributes
    ----------
    seen
        Failed runs that were looked at.
    waiting
        Runs that died, and when that was found, in seconds of the clock.
    """

    seen: list[str] = field(default_factory=list)
    waiting: dict[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, cursor: str | None) -> Memory | None:
        """What a cursor holds; None at the first look."""
        return cls(**json.loads(cursor)) if cursor else None

    def __str__(self) -> str:
        return json.dumps(vars(self))


def look(
    context: dg.SensorEvaluationContext, studies: Sequence[Study], automation: Automation
) -> dg.SensorResult | dg.SkipReason:
    """Close runs whose process is gone; ask again for those whose time has come."""
    instance = context.instance
    closed = _close(instance, studies)
    failed = [
        run
        for run in instance.get_runs(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=_LOOKED_AT
        )
        if is_ours(run, studies)
    ]
    memory = Memory.parse(context.cursor)
    if memory is None:
        # Failures from before the sensor was switched on are history.
        memory = Memory(seen=[run.run_id for run in failed if run.run_id not in closed])
    now = time.time()
    for run in failed:
        if run.run_id not in memory.seen and died(instance, run) and _stands_for_itself(run):
            memory.waiting[run.run_id] = now
    memory.seen = [run.run_id for run in failed]
    requests, told = _ask(instance, studies, memory, automation, now)
    told = [f"Closed {len(closed)} runs whose process is gone.", *told] if closed else told
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=str(memory))
    context.update_cursor(str(memory))
    return dg.SkipReason(" ".join(told) or "No run died.")


def _close(instance: dg.DagsterInstance, studies: Sequence[Study]) -> set[str]:
    closed = set()
    for run in abandoned_runs(instance, studies):
        instance.report_run_failed(
            run, "The process of this run is gone. What it had made is kept; the rest is made next."
        )
        closed.add(run.run_id)
    return closed


def _stands_for_itself(run: dg.DagsterRun) -> bool:
    return SENSOR_TAG not in run.tags and not is_part_of_another(run)


def _ask(
    instance: dg.DagsterInstance,
    studies: Sequence[Study],
    memory: Memory,
    automation: Automation,
    now: float,
) -> tuple[list[dg.RunRequest], list[str]]:
    """Requests for the runs whose wait is over, and a word about each other; memory changes."""
    requests, told = [], []
    for run_id, found in list(memory.waiting.items()):
        run = instance.get_run_by_id(run_id)
        if run is None:
            del memory.waiting[run_id]
            continue
        attempt = int(run.tags.get(ATTEMPT_TAG, "1")) + 1
        if attempt > automation.attempts:
            del memory.waiting[run_id]
            told.append(_give_up(instance, run, attempt - 1))
        elif found > now:
            memory.waiting[run_id] = now
        elif now - found < automation.wait_before(attempt):
            seconds = round(automation.wait_before(attempt) - (now - found))
            told.append(f"Run {run_id[:8]} died and is started again in {seconds} s.")
        elif any(runs_under_way(instance, study) for study in studies if is_about(run, study)):
            told.append(f"Run {run_id[:8]} died and is started again when no other run is on.")
        else:
            del memory.waiting[run_id]
            requests.append(_again(run, studies, attempt))
    return requests, told


def _give_up(instance: dg.DagsterInstance, run: dg.DagsterRun, attempts: int) -> str:
    told = (
        f"Run {run.run_id[:8]} is not started again: {attempts} attempts died. "
        "`mosaic doctor` looks for the reason, `mosaic run` tries again."
    )
    instance.report_engine_event(told, run)
    return told


def _again(run: dg.DagsterRun, studies: Sequence[Study], attempt: int) -> dg.RunRequest:
    """The same run once more."""
    tags = {tag: run.tags[tag] for tag in _KEPT_TAGS if tag in run.tags}
    tags |= {ATTEMPT_TAG: str(attempt), RESTART_TAG: run.run_id, SENSOR_TAG: INTERRUPTED_RUNS}
    return dg.RunRequest(
        run_key=f"{run.run_id}-{attempt}",
        tags=tags,
        **_what(run, studies),
    )


def _what(run: dg.DagsterRun, studies: Sequence[Study]) -> dict[str, Any]:
    if run.job_name == REFRESH:
        return {"job_name": REFRESH, "run_config": run.run_config}
    study = next(study for study in studies if is_about(run, study))
    job = run.job_name
    if job.startswith("__"):
        # The UI's own job over assets; ours over the dataset has the same ones.
        job = job_name(study.dataset.name)
    return {
        "job_name": job,
        "asset_selection": sorted(run.asset_selection) if run.asset_selection else None,
        "partition_key": run.tags.get(PARTITION_TAG),
    }
