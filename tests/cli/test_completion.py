"""What the shell offers at Tab, asked for as the shell does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mosaic_dagster
from mosaic_dagster.cli.app import app

ROOT = str(Path(mosaic_dagster.__file__).parents[1])


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, made: Path):  # type: ignore[no-untyped-def]
    """What bash would offer behind a line, typed in a project."""

    def ask(line: str, folder: Path = made) -> list[str]:
        monkeypatch.chdir(folder)
        words = line.split(" ")
        environment = {
            "_MOSAIC_COMPLETE": "complete_bash", "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }  # fmt: skip
        done = CliRunner().invoke(app, [], prog_name="mosaic", env=environment)
        assert done.stderr == ""
        return done.stdout.split()

    return ask


def test_commands_and_options_are_offered(offered) -> None:  # type: ignore[no-untyped-def]
    assert offered("mosaic st") == ["status", "store"]
    assert offered("mosaic executions ") == ["list", "show"]
    assert offered("mosaic store verify --rep") == ["--repair"]


@pytest.mark.slow
def test_names_of_the_project_are_offered(offered) -> None:  # type: ignore[no-untyped-def]
    """Two recordings of each dish; nobody wants to type dish01/larva_007 out."""
    assert offered("mosaic run cr") == ["crawling"]
    assert offered("mosaic status --dataset ") == ["larvae"]
    assert offered("mosaic run --step clus") == ["clusters"]
    assert offered("mosaic why t") == ["tracks", "templates"]
    entries = offered("mosaic show smooth --entry dish01/")
    assert len(entries) == 2
    assert "dish01/larva_007" in entries
    assert offered("mosaic run --group ") == ["dish01", "dish02"]
    assert offered("mosaic run --dataset nothing --group ") == []


def test_a_broken_project_offers_nothing_and_says_nothing(
    offered, new: Path, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    """An error message would land in the middle of the line that is typed."""
    assert offered("mosaic run ", tmp_path) == []
    (new / "assets" / "__init__.py").write_text("print('noise')\nraise SystemExit('stop')\n")
    assert offered("mosaic run ", new) == []
    assert offered("mosaic run --group ", new) == []


@pytest.mark.slow
def test_the_shell_asks_the_installed_command(made: Path) -> None:
    """zsh asks in another way; Dagster, which takes seconds to import, is not touched."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('dagster' in sys.modules, file=sys.stderr))\n"
        "from mosaic_dagster.cli.app import main\nmain()\n"
    )
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": ROOT, "HOME": str(made),
        "_MOSAIC_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "mosaic run --group dish",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=made, env=environment, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert '"dish01"' in done.stdout
    assert '"dish02"' in done.stdout
    assert done.stderr.strip() == "False"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_command_as_it_is_called(
    shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script for another name, such as `python -m`, would never be asked."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = subprocess.run(
        [sys.executable, "-m", "mosaic_dagster.cli.app", "--show-completion", shell],
        env=os.environ | {"PYTHONPATH": ROOT}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "_MOSAIC_COMPLETE" in done.stdout
    assert "mosaic" in done.stdout
