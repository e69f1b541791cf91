"""What the page of a run says at its end: what was made, found, failed, and where to look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]


@pytest.fixture
def project(project: Path) -> Path:
    """The project of the folder above, whose instance keeps what is logged as information."""
    config = project / "dagster.yaml"
    config.write_text(
        config.read_text().replace("python_log_level: ERROR", "python_log_level: INFO")
    )
    return project


def events_of(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[Any]:
    return [e.dagster_event for e in instance.all_logs(run_id, of_type=kind)]


def lines_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [e.user_message for e in instance.all_logs(run_id) if e.dagster_event is None]


def refresh_run(instance: dg.DagsterInstance) -> str:
    (record,) = instance.get_run_records(dg.RunsFilter(job_name="refresh"), limit=1)
    return record.dagster_run.run_id


def test_a_refresh_shows_its_table_and_its_runs(
    lab: Any, instance: dg.DagsterInstance, refresh: Any
) -> None:
    """4 tracks, 4 per step of 5 steps, 2 fits and a picture: 27 made, in a run that is linked."""
    done = refresh()
    (output,) = events_of(instance, refresh_run(instance), dg.DagsterEventType.STEP_OUTPUT)
    shown = output.step_output_data.metadata
    assert (shown["made"].value, shown["failed"].value) == (27, 0)
    assert shown["new recordings"].value == 4
    assert shown["run of toy"] == dg.MetadataValue.dagster_run(done.run.run_id)
    rows = {record.data["step"]: record.data for record in shown["steps"].records}
    assert rows["mean/model"]["made"] == 1
    assert rows["tracks"]["dataset"] == "toy"
    assert any("27 results made" in line for line in lines_of(instance, refresh_run(instance)))


def test_a_refresh_that_fails_shows_the_same(
    lab: Any, instance: dg.DagsterInstance, refresh: Any
) -> None:
    """A red run without a table would send people to read the log of another run."""
    lab.break_entry("shift", "s2")
    done = refresh()
    (event,) = events_of(instance, refresh_run(instance), dg.DagsterEventType.STEP_FAILURE)
    shown = event.step_failure_data.user_failure_data.metadata
    assert (shown["failed"].value, shown["blocked"].value) == (1, 3)
    assert shown["run of toy"].value == done.run.run_id
    assert shown["failures"].records[0].data["entry"] == "g/s2"


def test_a_refresh_with_nothing_to_do_says_so(
    lab: Any, instance: dg.DagsterInstance, refresh: Any
) -> None:
    """No run is linked, since there was none."""
    refresh()
    refresh()
    run = refresh_run(instance)
    (output,) = events_of(instance, run, dg.DagsterEventType.STEP_OUTPUT)
    shown = output.step_output_data.metadata
    assert shown["made"].value == 0
    assert not {"run of toy", "steps", "failures"} & set(shown)
    assert any("everything is up to date" in line for line in lines_of(instance, run))


def test_each_step_ends_with_a_line(lab: Any, instance: dg.DagsterInstance, refresh: Any) -> None:
    """The log of an inner run is read from its end: what came of each step, and of all."""
    lab.break_entry("shift", "s2")
    done = refresh()
    lines = lines_of(instance, done.run.run_id)
    (shift,) = [line for line in lines if line.startswith("toy/layered/shift: ")]
    assert shift.startswith("toy/layered/shift: done. 3 made, 1 failed, of 4. g/s2: ")
    assert "cannot do s2" in shift
    assert [line for line in lines if line.startswith("toy/layered/side: ")] == [
        "toy/layered/side: done. 4 made, of 4."
    ]
    assert any(line.startswith("toy/layered/report: ") and "1 failed" in line for line in lines)
    assert any(line.startswith("layered: Up to date: ") for line in lines)
