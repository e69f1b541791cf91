"""What the Automation page of the UI shows."""

from __future__ import annotations

import os
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster.orchestration import Automation

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]


@pytest.mark.parametrize("running", [True, False])
def test_each_sensor_and_schedule_says_what_it_does_and_whether_it_runs(
    lab: Any, running: bool
) -> None:
    automation = Automation(sensors=running, schedules=running)
    repository = lab.definitions(automation=automation).get_repository_def()
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    assert set(sensors) == {"toy_new_recordings", "toy_out_of_date", "interrupted_runs"}
    assert set(schedules) == {"nightly_refresh", "weekly_store_upkeep"}
    for sensor in sensors.values():
        assert sensor.description
        assert (sensor.default_status is dg.DefaultSensorStatus.RUNNING) is running
    for schedule in schedules.values():
        assert schedule.description
        assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) is running


def test_the_nightly_schedule_brings_everything_up_to_date(
    lab: Any, instance: dg.DagsterInstance
) -> None:
    repository = lab.definitions().get_repository_def()
    schedule = repository.get_schedule_def("nightly_refresh")
    with dg.build_schedule_context(instance=instance) as context:
        tick = schedule.evaluate_tick(context)
    (request,) = tick.run_requests or []
    job = repository.get_job(schedule.job_name)
    assert job.execute_in_process(
        instance=instance, run_config=request.run_config, tags=request.tags
    ).success
    assert len(lab.log.take()) == 5 * 4 + 2


@pytest.mark.parametrize("removes", [True, False])
def test_the_weekly_check_removes_only_where_a_lab_wants_it(
    lab: Any, refresh: Any, instance: dg.DagsterInstance, removes: bool
) -> None:
    refresh()
    stray = lab.dataset.objects.put(b"nothing names this", "bin")
    path = lab.dataset.objects.path(stray.digest, "bin")
    os.utime(path, (10**9, 10**9))
    automation = Automation(collect_garbage=removes)
    repository = lab.definitions(automation=automation).get_repository_def()
    schedule = repository.get_schedule_def("weekly_store_upkeep")
    with dg.build_schedule_context(instance=instance) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or []
    repository.get_job("store_upkeep").execute_in_process(
        instance=instance, run_config=request.run_config, raise_on_error=False
    )
    assert path.exists() is not removes
