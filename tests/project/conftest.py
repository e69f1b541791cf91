"""What the tests about the project as a whole share: its root and a refreshed copy of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN_TO_A_LAB = ("assets", "resources", "recordings", "dagster.yaml", "workspace.yaml", ".env")
SET_BY_OTHERS = ("DAGSTER_HOME", "MOSAIC_PROJECT", "MOSAIC_EVENTS", "PYTHONPATH")

Shell = Callable[[str, Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shell() -> Shell:
    """Runs one command line as a user would type it in ``cwd``, in this Python environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in SET_BY_OTHERS and not name.startswith("PYTEST")
    }
    scripts = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([scripts, environment.get("PATH", "")])
    environment["COLUMNS"] = "120"

    def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=cwd,
            env=environment,
            text=True,
            capture_output=True,
            timeout=400,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def refreshed(tmp_path_factory: pytest.TempPathFactory, root: Path, shell: Shell) -> Path:
    """A copy of this repository's code location after its first refresh; not to be changed."""
    project = tmp_path_factory.mktemp("refreshed")
    copy_project(root, project)
    done = shell("dagster job execute -d . -m assets.definitions -j refresh", project)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return project


@pytest.fixture
def project(tmp_path: Path, refreshed: Path) -> Path:
    """A refreshed project that the test may change."""
    shutil.copytree(refreshed, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def copy_project(source: Path, target: Path) -> None:
    """Copy what belongs to a lab's project, without what runs left behind."""
    for name in OWN_TO_A_LAB:
        if (source / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source / name, target / name, ignore=ignored)
        elif (source / name).is_file():
            shutil.copy(source / name, target / name)
    _make_small(target)


def _make_small(project: Path) -> None:
    """Let the pairs take seconds: fewer recordings, templates and clusters."""
    code = project / "assets" / "social.py"
    declared = 'map_behavior("mapping", default_class=0)'
    small = declared[:-1] + ", n_templates=200, per_class=60, k=(10,), cuts=(5,), n_folds=2)"
    text = code.read_text()
    assert declared in text
    code.write_text(text.replace(declared, small.replace("n_folds", "perplexity=20.0, n_folds")))
    (project / "recordings" / "social" / "session2.json").unlink()
