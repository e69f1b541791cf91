"""A small project, made once, and ways to type commands in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mosaic_dagster.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
ROWS = 200
PER_DISH = 2


def copy_project(target: Path) -> Path:
    """Two recordings of each dish, cut to their first rows, with the code that declares them."""
    for name in ("assets", "resources"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    (target / "assets" / "__init__.py").write_text(
        '"""One dataset alone."""\n\nfrom assets.larvae import LARVAE\n\nSTUDIES = (LARVAE,)\n'
    )
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, target / name)
    for dish in ("dish01", "dish02"):
        folder = target / "recordings" / "larvae" / dish
        folder.mkdir(parents=True)
        for source in sorted((ROOT / "recordings" / "larvae" / dish).glob("*.csv"))[:PER_DISH]:
            lines = source.read_text().splitlines(keepends=True)
            (folder / source.name).write_text("".join(lines[: ROWS + 1]))
    return target


def typed(folder: Path, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Type a command in a folder, in a process of its own."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("DAGSTER_HOME", "MOSAIC_PROJECT")
    }
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, "-m", "mosaic_dagster.cli.app", *arguments],
        cwd=folder, env=environment, text=True, capture_output=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A project and its first ``mosaic run``; not to be changed."""
    project = copy_project(tmp_path_factory.mktemp("ran"))
    done = typed(project, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return project, done


@pytest.fixture(scope="session")
def made(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    """A project in which everything is up to date; not to be changed."""
    return ran[0]


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "project"))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A project in which nothing has run."""
    return copy_project(tmp_path / "new")


class Mosaic:
    """Runs commands in this process."""

    def __init__(self) -> None:
        self.runner = CliRunner()

    def __call__(self, folder: Path, *arguments: str, code: int = 0) -> Any:
        result = self.runner.invoke(app, ["--project", str(folder), *arguments])
        told = result.stdout + result.stderr
        assert result.exit_code == code, f"{told}\n{result.exception!r}"
        assert "Traceback" not in told
        return result

    def json(self, folder: Path, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(folder, *arguments, "--json", code=code).stdout)


@pytest.fixture
def mosaic(monkeypatch: pytest.MonkeyPatch) -> Mosaic:
    monkeypatch.delenv("MOSAIC_PROJECT", raising=False)
    return Mosaic()


@pytest.fixture
def edit() -> Callable[[Path], Path]:
    """Changes one number in one recording and gives its path."""

    def change(project: Path) -> Path:
        file = sorted((project / "recordings" / "larvae" / "dish01").glob("*.csv"))[0]
        lines = file.read_text().splitlines(keepends=True)
        first, _, rest = lines[5].partition(",")
        value, _, others = rest.partition(",")
        lines[5] = f"{first},{float(value) + 1:.2f},{others}"
        file.write_text("".join(lines))
        return file

    return change


@pytest.fixture
def type_in() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Types a command in a folder, in a process of its own."""
    return typed
