"""Runs whose process is gone: without this they are under way for ever and everything waits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster.orchestration.run_process import note_process
from mosaic_dagster.store.workspace.process import this_process

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]


@pytest.fixture
def sensor(daemon: Callable[..., Any]) -> Any:
    made = daemon("interrupted_runs")
    made.look()
    return made


@pytest.fixture
def dead() -> str:
    """What a process leaves in the tags that was killed."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return json.dumps(this_process() | {"pid": process.pid})


def started(instance: dg.DagsterInstance, lab: Any, job: str, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(
        lab.definitions().resolve_job_def(job),
        status=dg.DagsterRunStatus.STARTED,
        tags={f"mosaic/{name}": value for name, value in tags.items()},
    )


def test_a_run_whose_process_is_gone_is_closed_and_begun_again(
    lab: Any, instance: dg.DagsterInstance, sensor: Any, dead: str
) -> None:
    run = started(instance, lab, "refresh", process=dead)
    (request,) = sensor.look()
    closed = instance.get_run_by_id(run.run_id)
    assert closed is not None
    assert closed.status is dg.DagsterRunStatus.FAILURE
    assert request.job_name == "refresh"
    assert request.tags["mosaic/restart_of"] == run.run_id
    assert sensor.run(request).success
    assert sensor.look() == []


def test_a_run_whose_process_works_is_left_alone(
    lab: Any, instance: dg.DagsterInstance, sensor: Any
) -> None:
    run = started(instance, lab, "refresh")
    note_process(instance, run)
    assert sensor.look() == []
    left = instance.get_run_by_id(run.run_id)
    assert left is not None
    assert left.status is dg.DagsterRunStatus.STARTED


def test_a_run_on_another_machine_is_left_alone(
    lab: Any, instance: dg.DagsterInstance, sensor: Any, dead: str
) -> None:
    elsewhere = json.dumps(json.loads(dead) | {"host": "another"})
    started(instance, lab, "refresh", process=elsewhere)
    assert sensor.look() == []
    assert sensor.told == "No run died."


def test_the_wait_grows_and_the_end_is_reported(
    lab: Any, instance: dg.DagsterInstance, daemon: Callable[..., Any], dead: str
) -> None:
    sensor = daemon("interrupted_runs", attempts=2)
    sensor.look()
    run = started(instance, lab, "toy", process=dead, attempt="2")
    assert sensor.look() == []
    assert "2 attempts died" in sensor.told
    told = [entry.message for entry in instance.all_logs(run.run_id)]
    assert any("not started again" in message for message in told)


def test_a_restart_waits_for_its_time(
    lab: Any, instance: dg.DagsterInstance, daemon: Callable[..., Any], dead: str
) -> None:
    sensor = daemon("interrupted_runs", first_wait_seconds=60.0)
    sensor.look()
    started(instance, lab, "refresh", process=dead)
    assert sensor.look() == []
    assert "started again in" in sensor.told


def test_the_parts_of_a_refresh_are_not_begun_on_their_own(
    lab: Any, instance: dg.DagsterInstance, sensor: Any, dead: str
) -> None:
    outer = started(instance, lab, "refresh", process=dead)
    started(instance, lab, "toy", process=dead, started_by=outer.run_id)
    (request,) = sensor.look()
    assert request.job_name == "refresh"


def test_what_another_sensor_asked_for_is_only_closed(
    lab: Any, instance: dg.DagsterInstance, sensor: Any, dead: str
) -> None:
    """That sensor looks again and asks for what is left; twice would be once too often."""
    run = started(instance, lab, "toy", process=dead, sensor="toy_out_of_date")
    assert sensor.look() == []
    closed = instance.get_run_by_id(run.run_id)
    assert closed is not None
    assert closed.status is dg.DagsterRunStatus.FAILURE


def test_entries_that_failed_are_no_death(lab: Any, refresh: Any, sensor: Any) -> None:
    """A recorded error is tried again when somebody asks, never by itself."""
    lab.break_entry("side", "s2")
    assert not refresh().success
    assert sensor.look() == []
    assert sensor.told == "No run died."


def test_old_failures_are_history_when_the_sensor_is_switched_on(
    lab: Any, instance: dg.DagsterInstance, daemon: Callable[..., Any]
) -> None:
    run = started(instance, lab, "refresh")
    instance.report_run_failed(run)
    assert daemon("interrupted_runs").look() == []
