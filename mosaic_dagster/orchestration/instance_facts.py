"""What is known about the Dagster instance of a project, for those who look after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from mosaic_dagster.orchestration.event_log import BatchSqliteEventLogStorage
from mosaic_dagster.orchestration.run_process import process_is_gone

_UNDER_WAY = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
_MOST = 1000


@dataclass(frozen=True)
class OpenRun:
    """A run that says it is under way.

    Attributes
    ----------
    run_id, job, started
        Which, of which job, and when it began (seconds since 1970) if it did.
    is_gone
        Whether its process is gone; None when nobody here can tell.
    """

    run_id: str
    job: str
    started: float | None
    is_gone: bool | None


@dataclass(frozen=True)
class InstanceFacts:
    """An instance as it is now.

    Attributes
    ----------
    event_log
        Name of the class that keeps events.
    in_batches
        Whether that is ours, which stores many events at once.
    runs, run_ids
        Number of runs, and the identifiers of the latest.
    last_started
        When the last run began.
    open_runs
        Runs that say they are under way.
    heartbeats
        Daemon -> when it was last heard of (seconds since 1970).
    running
        Sensors and schedules that are turned on.
    queued
        Number of runs that wait for a daemon.
    """

    event_log: str
    in_batches: bool
    runs: int
    run_ids: Sequence[str]
    last_started: datetime | None
    open_runs: Sequence[OpenRun]
    heartbeats: dict[str, float]
    running: Sequence[str]
    queued: int


def instance_facts() -> InstanceFacts:
    """Open the instance that the environment names, and look; nothing is written.

    Raises
    ------
    Exception
        Whatever keeps the instance from being opened, as Dagster says it.
    """
    with dg.DagsterInstance.get() as instance:
        records = instance.get_run_records(limit=_MOST)
        under_way = instance.get_run_records(RunsFilter(statuses=_UNDER_WAY), limit=_MOST)
        storage: Any = instance.event_log_storage
        started = [record.start_time for record in records if record.start_time]
        return InstanceFacts(
            event_log=type(storage).__name__,
            in_batches=isinstance(storage, BatchSqliteEventLogStorage),
            runs=instance.get_runs_count(),
            run_ids=[record.dagster_run.run_id for record in records],
            last_started=datetime.fromtimestamp(max(started)) if started else None,
            open_runs=[_open_run(instance, record) for record in under_way],
            heartbeats={k: beat.timestamp for k, beat in instance.get_daemon_heartbeats().items()},
            running=sorted(
                state.instigator_name
                for state in instance.all_instigator_state()
                if state.is_running
            ),
            queued=instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED])),
        )


def _open_run(instance: dg.DagsterInstance, record: dg.RunRecord) -> OpenRun:
    run = record.dagster_run
    gone = process_is_gone(instance, run)
    return OpenRun(run.run_id, run.job_name, record.start_time, gone)
