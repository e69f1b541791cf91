"""What is said of an instance, from the facts about it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from mosaic_dagster.health import Finding
from mosaic_dagster.health.finding import looked_at
from mosaic_dagster.health.instance import check_instance

SETTINGS = {"storage": {"custom": {"config": {"base_dir": "runs"}}}}


@dataclass
class Facts:
    """As of a sound instance with one run."""

    event_log: str = "BatchSqliteEventLogStorage"
    in_batches: bool = True
    runs: int = 1
    run_ids: tuple[str, ...] = ("a",)
    last_started: datetime | None = None
    open_runs: tuple[SimpleNamespace, ...] = ()
    heartbeats: dict[str, float] = field(default_factory=dict)
    running: tuple[str, ...] = ()
    queued: int = 0


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Findings that are not ok about an instance with these facts."""

    def look(**facts: object) -> list[Finding]:
        (tmp_path / "runs" / "history" / "runs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / "history" / "runs.db").touch()
        (tmp_path / "runs" / "history" / "runs" / "a.db").touch()
        module = SimpleNamespace(instance_facts=lambda: Facts(**facts))  # type: ignore[arg-type]
        name = "mosaic_dagster.orchestration.instance_facts"
        monkeypatch.setitem(sys.modules, name, module)
        return [row for row in check_instance(tmp_path, SETTINGS) if row.state != "ok"]

    return look


def run(is_gone: bool | None) -> SimpleNamespace:
    return SimpleNamespace(run_id="0123456789", job="larvae", started=0.0, is_gone=is_gone)


def test_a_sound_instance(looked) -> None:  # type: ignore[no-untyped-def]
    assert looked(open_runs=(run(False),), heartbeats={"SENSOR": time.time()}) == []


def test_runs_that_hang(looked) -> None:  # type: ignore[no-untyped-def]
    """A dead one and one of another machine are told apart: only the first is surely over."""
    gone, unknown = looked(open_runs=(run(True), run(None)))
    assert "01234567 (larvae)" in gone.what
    assert "process is gone" in gone.what
    assert "not known here" in unknown.what


def test_sensors_without_a_daemon(looked) -> None:  # type: ignore[no-untyped-def]
    """Somebody turned a sensor on, and waits for it."""
    long_ago = time.time() - 3600
    (row,) = looked(running=("new_recordings",), heartbeats={"SENSOR": long_ago})
    assert "new_recordings" in row.what
    assert "dagster dev" in row.remedy
    assert looked(heartbeats={"SENSOR": long_ago}) == []


def test_a_run_of_tomorrow(looked) -> None:  # type: ignore[no-untyped-def]
    (row,) = looked(last_started=datetime.now() + timedelta(days=1))
    assert "future" in row.what


def test_an_instance_beside_the_one_in_use(looked, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """It was made by a command with other settings; people look for their runs there."""
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "runs.db").touch()
    (row,) = looked()
    assert "another instance" in row.what


def test_nothing_is_made_where_nothing_is(tmp_path: Path) -> None:
    """Opening would make the databases."""
    (row,) = check_instance(tmp_path, SETTINGS)
    assert (row.state, list(tmp_path.iterdir())) == ("ok", [])


def test_a_check_that_fails_is_a_finding() -> None:
    """One broken check must not hide what the others would find."""

    def broken() -> list[Finding]:
        raise ZeroDivisionError("by zero")

    def away() -> list[Finding]:
        raise FileNotFoundError(2, "No such file or directory", "x.csv")

    (first,), (second,) = looked_at("x", broken), looked_at("x", away)
    assert (first.state, second.what) == ("error", "x.csv: No such file or directory.")
    assert "ZeroDivisionError: by zero" in first.what
