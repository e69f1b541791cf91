"""``mosaic run``: through Dagster, with a selection, and what its status means."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEY = "dish01/larva_007"

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


def steps_of(table: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["step"]: row for row in table}


@pytest.mark.slow
def test_the_first_run_tells_what_it_made(
    ran: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """Progress on one channel, results on the other, and nothing of Dagster's log on either."""
    project, done = ran
    assert "tracks: 4 made" in done.stderr
    assert "crawling/clusters/model: 1 made" in done.stderr
    assert "trajectories.png" in done.stdout
    assert "RUN_START" not in done.stdout + done.stderr
    assert sorted(path.name for path in project.iterdir()) == [
        "assets", "dagster.yaml", "recordings", "resources", "workspace.yaml", "workspaces",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_second_run_makes_nothing(project: Path, type_in: Typed) -> None:
    done = type_in(project, "run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["succeeded"]
    assert sum(row["made"] for row in told["steps"]) == 0
    assert told["entries"] == []


@pytest.mark.slow
def test_a_bad_recording_fails_the_run_and_nothing_else(
    project: Path, type_in: Typed, mosaic: Any
) -> None:
    """A wrong file among four: the others stay as they are, the status is 1, the file is named."""
    file = project / "recordings" / "larvae" / f"{KEY}.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:-1], lines[-2]]))
    done = type_in(project, "run", "--json")
    assert done.returncode == 1
    assert "larva_007.csv" in done.stderr
    assert "mosaic status" in done.stderr
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)
    assert not told["succeeded"]
    failed = [row for row in told["entries"] if row["state"] == "failed"]
    assert [(row["step"], row["entry"]) for row in failed] == [("tracks", KEY)]
    blocked = {row["entry"] for row in told["entries"] if row["state"] == "blocked"}
    assert blocked == {KEY}
    assert "larva_007.csv" in mosaic(project, "why", "smooth", "--entry", KEY).stdout


@pytest.mark.slow
def test_a_step_comes_with_what_it_needs_and_nothing_else(new: Path, type_in: Typed) -> None:
    """heading needs smooth; posture does too, but was not asked for, nor was the other dish."""
    done = type_in(
        new, "run", "crawling", "--step", "heading", "--group", "dish01",
        "--engine", "sequential", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {step: row["made"] for step, row in steps_of(told["steps"]).items()} == {
        "tracks": 2, "smooth": 2, "heading": 2,
    }  # fmt: skip


@pytest.mark.slow
def test_forcing_makes_a_step_and_all_below_anew(project: Path, type_in: Typed) -> None:
    """Below the clusters lie their entries, the summary and the pictures."""
    done = type_in(project, "run", "--force-from", "clusters", "--json")
    assert done.returncode == 0, done.stderr
    made = {row["step"]: row["made"] for row in json.loads(done.stdout)["steps"] if row["made"]}
    assert made == {"clusters/model": 1, "clusters": 4, "summary": 4, "pictures": 1}


def test_a_plan_says_what_and_why(project: Path, mosaic: Any, edit: Callable[[Path], Path]) -> None:
    """One recording changed; what lies below is an upper bound, as its bytes may stay."""
    assert "Everything is up to date" in mosaic(project, "run", "--dry-run").stdout
    edit(project)
    steps = steps_of(mosaic.json(project, "run", "--dry-run"))
    assert (steps["tracks"]["n_to_compute"], steps["tracks"]["reasons"]) == (
        1,
        "source changed (1)",
    )
    assert (steps["smooth"]["n_to_compute"], steps["smooth"]["upper_bound"]) == (1, True)
    assert steps["clusters"]["fit"]
    assert "source changed" in mosaic(project, "run", "--dry-run").stdout


def test_a_plan_follows_the_selection(new: Path, mosaic: Any) -> None:
    """One entry of four; smooth is needed by heading, posture is not."""
    arguments = ("run", "--dry-run", "--step", "crawling/heading", "--entry", KEY)
    steps = steps_of(mosaic.json(new, *arguments))
    assert {name: row["n_to_compute"] for name, row in steps.items()} == {
        "tracks": 1, "smooth": 1, "heading": 1,
    }  # fmt: skip


def test_a_forced_plan(made: Path, mosaic: Any) -> None:
    steps = steps_of(mosaic.json(made, "run", "--dry-run", "--force-from", "summary"))
    assert {name for name, row in steps.items() if row["n_to_compute"]} == {"summary"}


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["crawlin"], "Did you mean 'crawling'", 2),
        (["--step", "cluster"], "Did you mean 'clusters'", 2),
        (["--force-from", "smoth"], "Did you mean 'smooth'", 2),
        (["--group", "dish1"], "dish01", 1),
        (["--entry", "dish01/larva_7"], KEY, 1),
        (["--dataset", "larva"], "Did you mean 'larvae'", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_names_are_told_before_anything_runs(
    made: Path, mosaic: Any, arguments: list[str], told: str, code: int
) -> None:
    """Inside Dagster they would be a stack of tracebacks."""
    assert told in mosaic(made, "run", *arguments, code=code).stderr


def test_tracks_are_no_step_to_ask_for(made: Path, mosaic: Any) -> None:
    assert "Every run reads the tracks" in mosaic(made, "run", "--step", "tracks", code=2).stderr


@pytest.mark.slow
def test_broken_resources_are_told_with_their_place(project: Path, type_in: Typed) -> None:
    (project / "resources" / "local.py").write_text("LOCAL = {}\n")
    done = type_in(project, "run")
    assert done.returncode == 1
    assert "has no workspace" in done.stderr
    assert "Traceback" not in done.stderr
