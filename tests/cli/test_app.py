"""The command as a whole: help, version, wrong usage, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import mosaic_dagster
from mosaic_dagster.cli.app import app

COMMANDS = (
    ["ingest"], ["run"], ["status"], ["why"], ["show"], ["clean"],
    ["store", "stats"], ["store", "verify"], ["store", "gc"],
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    """Without an example people have to guess; without --json programs have to parse text."""
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Example: mosaic " + " ".join(command) in result.stdout
    assert "--json" in result.stdout


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.stdout.strip() == f"mosaic {mosaic_dagster.__version__}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["stauts"], ["why"], ["status", "--jsn"], ["run", "--engine", "magic"],
        ["store", "gc", "--grace", "-1"], ["ingest", "x", "--param", "fps"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    """A script tells a typing error from a failed run by the status."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_outside_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOSAIC_PROJECT", raising=False)
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: No project was found")
    assert "--project" in result.stderr


def test_the_project_may_be_named_in_three_ways(new: Path, mosaic: Any) -> None:
    """Before the command, behind it, and in the environment."""
    runner = CliRunner()
    assert mosaic(new, "store", "stats").exit_code == 0
    assert runner.invoke(app, ["store", "stats", "--project", str(new)]).exit_code == 0
    env = {"MOSAIC_PROJECT": str(new)}
    assert runner.invoke(app, ["store", "stats"], env=env).exit_code == 0


@pytest.mark.slow
def test_looking_needs_no_dagster(new: Path) -> None:
    """Dagster takes seconds to import; `mosaic status` would be as slow."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom mosaic_dagster.cli.app import app\n"
        "for words in (['status'], ['clean'], ['run', '--dry-run'], ['store', 'verify']):\n"
        "    assert CliRunner().invoke(app, words).exit_code == 0, words\n"
        "print('dagster' in sys.modules)\n"
    )
    root = str(Path(mosaic_dagster.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=new, env={"PYTHONPATH": root, "HOME": str(new)},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "False", done.stderr


def test_a_file_in_the_way_is_no_traceback(project: Path, mosaic: Any) -> None:
    """A folder where the picture should go: the path is named."""
    key = "dish01/larva_007"
    result = mosaic(project, "show", "smooth", "--entry", key, "--plot", str(project), code=1)
    assert str(project) in result.stderr
