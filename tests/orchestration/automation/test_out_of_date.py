"""The sensor that makes what became stale, evaluated alone and its requests run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]


@pytest.fixture
def sensor(daemon: Callable[..., Any], refresh: Any) -> Any:
    """The sensor of a lab in which everything is up to date."""
    assert refresh().success
    return daemon("toy_out_of_date")


def test_nothing_is_asked_for_while_everything_is_up_to_date(sensor: Any) -> None:
    assert sensor.look() == []
    assert "up to date" in sensor.told


def test_a_lost_object_is_made_again_and_nothing_else(lab: Any, toy: Any, sensor: Any) -> None:
    (head,) = [
        h for h in lab.dataset.registry.heads("layered") if (h.step, h.key) == ("side", "g/s1")
    ]
    toy.remove(lab.dataset.objects.path(head.output_sha256, "parquet"))
    (request,) = sensor.look()
    assert sensor.selected(request) == ["g/s1"]
    assert [key.path[-1] for key in request.asset_selection] == ["report", "side"]
    assert sensor.run(request).success
    assert lab.log.take() == ["toy-whole:s1"]
    assert sensor.look() == []


def test_a_parameter_makes_its_step_and_what_is_below(lab: Any, sensor: Any) -> None:
    lab.params["scaled"] = {"times": 3.0}
    computed = sensor.settle()
    assert computed == ["toy-scaled:fit:templates", *(f"toy-scaled:s{i}" for i in range(4))]
    assert sensor.look() == []


def test_early_cut_off_stops_several_steps_below(lab: Any, sensor: Any) -> None:
    """A note changes no byte of the step; two steps and the pictures below stay as they are."""
    lab.params["mean"] = {"note": "measured twice"}
    assert sensor.settle() == ["toy-mean:fit:s0+s1+s2+s3", *(f"toy-mean:s{i}" for i in range(4))]
    assert sensor.look() == []


def test_new_and_changed_files_are_left_to_the_other_sensor(lab: Any, sensor: Any) -> None:
    """It knows whether they are still written to; this one would read half a recording."""
    lab.record("s9", 90.0)
    lab.record("s1", 500.0)
    assert sensor.look() == []
    lab.params["side"] = {"source": "Y"}
    (request,) = sensor.look()
    assert sensor.selected(request) == [f"g/s{i}" for i in range(4)]
    sensor.run(request)
    assert lab.log.take() == [f"toy-whole:s{i}" for i in range(4)]


def test_a_failure_is_not_tried_again_until_somebody_asks(
    lab: Any, sensor: Any, refresh: Any
) -> None:
    lab.break_entry("side", "s2")
    lab.params["side"] = {"source": "Y"}
    computed = sensor.settle()
    assert computed == [f"toy-whole:s{i}" for i in range(4)]
    assert sensor.settle() == []
    lab.mend("side")
    assert sensor.settle() == []
    assert refresh().computed == ["toy-whole:s2"]


def test_a_run_that_is_under_way_is_waited_for(
    lab: Any, sensor: Any, instance: dg.DagsterInstance
) -> None:
    """Else both would make the same."""
    lab.params["side"] = {"source": "Y"}
    job = lab.definitions().resolve_job_def("toy")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert sensor.look() == []
    assert run.run_id[:8] in sensor.told
    instance.report_run_canceled(run)
    assert len(sensor.look()) == 1


def test_a_run_that_died_before_its_first_asset_keeps_nobody_waiting(
    lab: Any, sensor: Any, instance: dg.DagsterInstance
) -> None:
    """It names no process yet; Dagster's own log does."""
    lab.params["side"] = {"source": "Y"}
    job = lab.definitions().resolve_job_def("toy")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    instance.report_engine_event(
        "Executing steps in process", run, EngineEventData.in_process(ended.pid)
    )
    assert len(sensor.look()) == 1


def test_two_daemons_ask_for_one_run(lab: Any, sensor: Any, daemon: Callable[..., Any]) -> None:
    lab.params["side"] = {"source": "Y"}
    other = daemon("toy_out_of_date")
    other.cursor = sensor.cursor
    (one,), (two,) = sensor.look(), other.look()
    assert one.run_key == two.run_key


def test_a_run_that_died_is_begun_again_a_few_times_and_then_reported(
    lab: Any, sensor: Any
) -> None:
    lab.params["side"] = {"source": "Y"}
    keys = [request.run_key for _ in range(6) for request in sensor.look()]
    assert len(keys) == len(set(keys)) == 3
    assert "mosaic run" in sensor.told


def test_what_a_notebook_made_is_announced_without_computing(
    lab: Any, sensor: Any, events: Any
) -> None:
    lab.params["side"] = {"source": "Y"}
    lab.pipeline().run(lab.dataset, engine="sequential")
    lab.log.take()
    before = len(events("layered/side"))
    assert sensor.settle() == []
    assert len(events("layered/side")) == before + 4
