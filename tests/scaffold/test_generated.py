"""What `mosaic init` writes works: its tests, its checks, and every command of its README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mosaic_dagster.scaffold import NewProject, write_project

ROOT = Path(__file__).resolve().parents[2]
EMPTY = NewProject("zoo_lab", dataset="flies", fps=10.0, unit="mm")
WITH_LARVAE = NewProject("fly_lab", example="larvae")

ELSEWHERE = {
    'pip install -e ".[dev]"': "tests/wheel/check_wheel.py",
    "dagster dev": "tests/project/test_docs.py",
    "mosaic run": "tests/wheel/check_wheel.py",
    "mosaic models top": "tests/project/test_docs.py",
}
"""Commands of the README that are not run here, and the test that runs them."""

WALK = ["frame,x_x,x_y", *(f"{f},{3 * f},{4 * f}" for f in range(40))]
"""Steps of (3, 4) at 10 frames per second."""


def typed(command: str, project: Path) -> str:
    """Type a command line in a project; what it printed."""
    dropped = ("DAGSTER_HOME", "MOSAIC_PROJECT", "MOSAIC_EVENTS")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "MYPY_CACHE_DIR": str(project.parents[1] / "mypy"),
        "COLUMNS": "120",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=project, env=environment, text=True,
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"$ {command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def readme_commands(project: Path) -> list[str]:
    text = (project / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^\$ (.*)$", text, re.M)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("empty") / "zoo_lab"
    write_project(project, EMPTY)
    return project


@pytest.fixture(scope="module")
def with_larvae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("larvae") / "fly_lab"
    write_project(project, WITH_LARVAE)
    return project


@pytest.mark.slow
@pytest.mark.dagster
@pytest.mark.xdist_group("generated")
def test_the_commands_of_an_empty_project(empty: Path) -> None:
    """From `mosaic ingest` to its own tests, in the order of its README."""
    recordings = empty.parent / "files"
    recordings.mkdir()
    (recordings / "walk.csv").write_text("\n".join(WALK))
    assert "missing" in typed("mosaic status", empty)
    for command in readme_commands(empty):
        if command not in (*ELSEWHERE, "mypy"):  # it checks the same code in the other project
            typed(command.replace("PATH", "../files"), empty)
    assert "walk" in typed("mosaic status --json", empty)


@pytest.mark.slow
@pytest.mark.dagster
@pytest.mark.xdist_group("generated")
def test_the_commands_of_a_project_with_recordings(with_larvae: Path) -> None:
    """Its tests run its pipeline on two recordings; a run over all is tried with the wheel."""
    for command in readme_commands(with_larvae):
        if command not in ELSEWHERE:
            typed(command, with_larvae)


@pytest.mark.slow
@pytest.mark.dagster
@pytest.mark.xdist_group("generated")
def test_a_run_ends_in_a_summary_with_the_own_feature(empty: Path) -> None:
    """`mosaic run` in the new project, through Dagster: the first thing that people see."""
    recordings = empty.parent / "more"
    recordings.mkdir()
    (recordings / "straight.csv").write_text("\n".join(WALK))
    typed("mosaic ingest ../more", empty)
    told = typed("mosaic run movement", empty)
    assert "workspaces/flies/exports/flies_movement/movement.csv" in told
    made = (empty / "workspaces/flies/exports/flies_movement/movement.csv").read_text()
    (row,) = (line for line in made.splitlines() if "/straight," in line)
    speed, length = map(float, row.split(",")[-2:])
    assert (speed, length) == pytest.approx((50.0, 195.0))  # 39 steps of 5 mm


def test_generated_code_is_formatted(empty: Path, with_larvae: Path) -> None:
    """The first commit of a lab should not be one of formatting."""
    for project in (empty, with_larvae):
        typed("ruff format --check --no-cache .", project)


def test_the_readme_leaves_only_known_commands_out(empty: Path, with_larvae: Path) -> None:
    """A command that no test runs may not work."""
    shown = {*readme_commands(empty), *readme_commands(with_larvae)}
    assert set(ELSEWHERE) <= shown
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())
