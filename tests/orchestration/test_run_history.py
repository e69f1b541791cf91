"""What the instance remembers of runs, and who started them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration.instance_facts import instance_facts
from mosaic_dagster.orchestration.run_history import find_run, list_runs
from mosaic_dagster.orchestration.tags import PARENT_TAG, SENSOR_TAG

pytestmark = [pytest.mark.dagster, pytest.mark.slow]

FIRST = "aaaa0000-0000-4000-8000-000000000001"
SECOND = "aaaa0000-0000-4000-8000-000000000002"


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.op
def failing() -> None:
    """Fail."""
    raise dg.Failure("The disk went away.", allow_retries=False)


@dg.job
def larvae() -> None:
    nothing()


@dg.job
def broken() -> None:
    failing()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance of Dagster's own kind, with two runs that never began."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as made:
        for run_id, tags in (
            (FIRST, {SENSOR_TAG: "new_recordings"}),
            (SECOND, {PARENT_TAG: FIRST}),
        ):
            made.create_run_for_job(
                larvae, run_id=run_id, tags=tags, status=DagsterRunStatus.STARTED
            )
        yield made


def test_who_started_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People ask first who did that; the nearest starter counts."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as made:
        for tags in (
            {},
            {SENSOR_TAG: "new_recordings"},
            {"dagster/schedule_name": "weekly"},
            {"dagster/backfill": "bkfl"},
            {PARENT_TAG: FIRST, SENSOR_TAG: "new_recordings"},
        ):
            made.create_run_for_job(larvae, tags=tags)
        told = [run.started_by for run in list_runs(5)]
    assert told == [
        "refresh aaaa0000", "backfill bkfl", "schedule weekly", "sensor new_recordings", "user",
    ]  # fmt: skip


def test_a_beginning_is_enough_when_it_is_unique(instance: dg.DagsterInstance) -> None:
    assert find_run(FIRST).run.run_id == FIRST
    with pytest.raises(ProjectError, match=r"2 runs begin with 'aaaa'.*Write more of it"):
        find_run("aaaa")
    with pytest.raises(ProjectError, match=r"no run 'bbbb'.*executions list"):
        find_run("bbbb")
    (child,) = find_run(FIRST).children
    assert child.run.run_id == SECOND


def test_a_run_whose_process_nobody_knows_is_not_called_dead(instance: dg.DagsterInstance) -> None:
    """It may be on another machine, and somebody would start it a second time."""
    assert [run.status for run in list_runs(5)] == ["running", "running"]
    facts = instance_facts()
    assert [run.is_gone for run in facts.open_runs] == [None, None]
    assert (facts.runs, facts.in_batches) == (2, False)


def test_an_ended_run_has_times_and_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as made:
        broken.execute_in_process(instance=made, raise_on_error=False)
    (run,) = list_runs(5, "failed")
    assert run.seconds is not None
    assert list_runs(5, "succeeded") == []
    assert find_run(run.run_id).failures == [("failing", "", "The disk went away.")]
