"""Runs that the Dagster instance remembers: what was asked for, what was made, how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration.jobs import REFRESH
from mosaic_dagster.orchestration.run_errors import failure_text
from mosaic_dagster.orchestration.run_process import process_is_gone
from mosaic_dagster.orchestration.tags import (
    PARENT_TAG,
    RESTART_TAG,
    SENSOR_TAG,
)

_STARTERS: Final = {
    PARENT_TAG: "refresh",
    RESTART_TAG: "restart of",
    "dagster/parent_run_id": "retry of",
    SENSOR_TAG: "sensor",
    "dagster/sensor_name": "sensor",
    "dagster/schedule_name": "schedule",
    "dagster/backfill": "backfill",
}
"""Run tag -> what it says about who started the run; the first that is there counts."""

_OF_RUNS: Final = frozenset({PARENT_TAG, RESTART_TAG, "dagster/parent_run_id"})
"""Those whose value is the identifier of a run."""

_OUR_TAGS: Final = "mosaic/"
_STATUS: Final = {
    DagsterRunStatus.SUCCESS: "succeeded",
    DagsterRunStatus.FAILURE: "failed",
    DagsterRunStatus.CANCELED: "canceled",
    DagsterRunStatus.QUEUED: "queued",
}
RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"

_COUNTS: Final = (
    "entries", "entries_made", "entries_fresh", "entries_adopted", "entries_failed",
    "entries_blocked",
)  # fmt: skip
_TELLING: Final = {
    DagsterEventType.HANDLED_OUTPUT,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.RUN_FAILURE,
}
SHORT_ID: Final = 8
"""How much of a run's identifier people see; it is nearly always unique."""


@dataclass(frozen=True)
class RunSummary:
    """One run.

    Attributes
    ----------
    run_id, job, status
        Which run of which job; succeeded, failed, canceled, queued, running, or interrupted (it
        has not ended, and its process is gone).
    started_by
        A person (``user``), or what else, with its name.
    parent
        The run of ``refresh`` that started it; empty for others.
    started, ended
        UTC without a zone; None as long as it has not.
    """

    run_id: str
    job: str
    status: str
    started_by: str
    parent: str
    started: datetime | None
    ended: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        if self.started is None or self.ended is None:
            return None
        return round((self.ended - self.started).total_seconds(), 1)


@dataclass(frozen=True)
class StepCounts:
    """What a run did in one asset: number of entries by outcome, and seconds of computing."""

    asset: str
    entries: int
    made: int
    fresh: int
    adopted: int
    failed: int
    blocked: int
    computing_seconds: float


@dataclass(frozen=True)
class RunDetails:
    """A run with what it did.

    Attributes
    ----------
    run
        The run.
    tags
        What it was asked for, as far as tags say it.
    steps
        Counts of every asset that it drew, in that order.
    failures
        Asset, entry (empty for a step as a whole) and message.
    children
        Runs that it started, with the same.
    """

    run: RunSummary
    tags: Mapping[str, str]
    steps: Sequence[StepCounts] = ()
    failures: Sequence[tuple[str, str, str]] = ()
    children: Sequence[RunDetails] = field(default_factory=tuple)


def list_runs(limit: int, status: str | None = None) -> list[RunSummary]:
    """The latest runs of the instance that the environment names, newest first.

    Parameters
    ----------
    limit
        How many.
    status
        Only runs that stand so; None lists all.

    Raises
    ------
    ProjectError
        The instance cannot be opened.
    """
    filters = None if status is None else RunsFilter(statuses=_statuses(status))
    with _opened() as instance:
        records = instance.get_run_records(filters, limit=limit)
        runs = [_summary(instance, record) for record in records]
    return [run for run in runs if status in (None, run.status)]


def find_run(text: str) -> RunDetails:
    """One run with what it did.

    Parameters
    ----------
    text
        Its identifier, or the beginning of it.

    Raises
    ------
    ProjectError
        No run, or more than one, begins so; or the instance cannot be opened.
    """
    with _opened() as instance:
        return _details(instance, _record(instance, text))


def _opened() -> dg.DagsterInstance:
    try:
        return dg.DagsterInstance.get()
    except dg.DagsterError as error:
        msg = f"The Dagster instance cannot be opened: {error}"
        raise ProjectError(msg, "`mosaic doctor` says what is wrong.") from error


def _record(instance: dg.DagsterInstance, text: str) -> dg.RunRecord:
    exact = instance.get_run_record_by_id(text)
    if exact is not None:
        return exact
    runs = {run.run_id: run for run in instance.get_runs()}
    found = [run_id for run_id in runs if text and run_id.startswith(text)]
    if len(found) != 1:
        raise _unknown(text, found, list(runs))
    record = instance.get_run_record_by_id(found[0])
    assert record is not None
    return record


def _unknown(text: str, found: Sequence[str], known: Sequence[str]) -> ProjectError:
    if found:
        named = ", ".join(run_id[: len(text) + 4] for run_id in found[:5])
        return ProjectError(f"{len(found)} runs begin with {text!r}: {named}.", "Write more of it.")
    near = nearest(text, [*known, *(run_id[:SHORT_ID] for run_id in known)])
    remedy = f"{near} `mosaic executions list` lists the runs.".strip()
    return ProjectError(f"There is no run {text!r}.", remedy)


def _summary(instance: dg.DagsterInstance, record: dg.RunRecord) -> RunSummary:
    run = record.dagster_run
    status = _STATUS.get(run.status, RUNNING)
    if status == RUNNING and process_is_gone(instance, run):
        status = INTERRUPTED
    return RunSummary(
        run_id=run.run_id,
        job=run.job_name,
        status=status,
        started_by=_starter(run),
        parent=run.tags.get(PARENT_TAG, ""),
        started=_time(record.start_time),
        ended=_time(record.end_time),
    )


def _starter(run: dg.DagsterRun) -> str:
    for tag, what in _STARTERS.items():
        if tag in run.tags:
            name = run.tags[tag]
            return f"{what} {name[:SHORT_ID] if tag in _OF_RUNS else name}"
    if run.remote_job_origin is not None:
        return "user interface"
    return "command line" if run.job_name == REFRESH else "user"


def _details(instance: dg.DagsterInstance, record: dg.RunRecord) -> RunDetails:
    run = record.dagster_run
    told = {k: v for k, v in run.tags.items() if k.startswith(_OUR_TAGS)}
    steps: dict[str, StepCounts] = {}
    failures: dict[tuple[str, str], str] = {}
    for entry in instance.all_logs(run.run_id, of_type=_TELLING):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_failure or event.is_job_failure:
            failures.update(_step_failure(event, failures))
            continue
        metadata = _metadata(event)
        if "entries_made" in metadata:
            asset = (event.step_key or "").replace("__", "/")
            steps[asset] = _counts(asset, metadata)
            failures.update(_entry_failures(asset, metadata))
    children = instance.get_run_records(RunsFilter(tags={PARENT_TAG: run.run_id}), ascending=True)
    return RunDetails(
        _summary(instance, record), told, list(steps.values()),
        [(asset, key, why) for (asset, key), why in failures.items()],
        [_details(instance, child) for child in children],
    )  # fmt: skip


def _metadata(event: dg.DagsterEvent) -> Mapping[str, Any]:
    data: Any = event.event_specific_data
    if event.event_type is DagsterEventType.ASSET_MATERIALIZATION:
        data = data.materialization
    return {name: value.value for name, value in data.metadata.items()}


def _counts(asset: str, metadata: Mapping[str, Any]) -> StepCounts:
    entries, *others = (int(metadata.get(name) or 0) for name in _COUNTS)
    made, fresh, adopted, failed, blocked = others
    seconds = float(metadata.get("computing_seconds") or 0)
    return StepCounts(asset, entries, made, fresh, adopted, failed, blocked, seconds)


def _entry_failures(asset: str, metadata: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    failed = metadata.get("failures")
    if not isinstance(failed, dict):
        return {}
    return {(asset, str(key)): str(why) for key, why in failed.items()}


def _step_failure(
    event: dg.DagsterEvent, known: Mapping[tuple[str, str], str]
) -> Iterator[tuple[tuple[str, str], str]]:
    if event.is_job_failure and known:
        return  # the failed steps are told already
    text = failure_text(event)
    if text:
        yield ((event.step_key or "").replace("__", "/"), ""), text


def _statuses(status: str) -> list[DagsterRunStatus]:
    stored = RUNNING if status == INTERRUPTED else status
    return [known for known in DagsterRunStatus if _STATUS.get(known, RUNNING) == stored]


def _time(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
