"""`mosaic init` as it is typed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mosaic_dagster.cli.app import app
from mosaic_dagster.cli.init import Example
from mosaic_dagster.scaffold import EXAMPLES

Init = Callable[..., Result]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Types `mosaic init` in a folder that is no project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOSAIC_PROJECT", raising=False)

    def typed(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["init", *arguments])
        told = result.stdout + result.stderr
        assert result.exit_code == code, f"{told}\n{result.exception!r}"
        assert "Traceback" not in told
        return result

    return typed


def test_it_explains_itself(init: Init) -> None:
    told = init("--help").stdout
    assert "Example: mosaic init our_lab --example larvae" in told
    assert [example.value for example in Example] == list(EXAMPLES)


def test_an_empty_project_says_what_to_type_next(init: Init, tmp_path: Path) -> None:
    """Whoever has a folder of files must not have to look for the next command."""
    told = init("fly_lab", "--dataset", "flies", "--unit", "mm").stdout
    assert (tmp_path / "fly_lab" / "assets" / "flies.py").is_file()
    for line in ("cd fly_lab", 'pip install -e ".[dev]"', "mosaic ingest PATH", "mosaic run"):
        assert f"  {line}\n" in told
    assert "--fps 30 where the files do not tell" in told


def test_a_project_with_recordings_says_what_to_type_next(init: Init, tmp_path: Path) -> None:
    told = init("fly lab", "--name", "fly_lab", "--example", "larvae").stdout
    assert '  cd "fly lab"\n' in told
    assert "ingest" not in told
    assert len(list((tmp_path / "fly lab" / "recordings").rglob("*.csv"))) == 16


def test_here_needs_no_change_of_folder(init: Init, tmp_path: Path) -> None:
    """`mosaic init .` takes the name of the folder that one stands in."""
    told = init(".", "--name", "fly_lab").stdout
    assert "cd " not in told
    assert (tmp_path / "fly_lab" / "path_length.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["Fly-Lab"], "--name fly_lab"),
        (["lab", "--name", "json"], "Python or a project uses the word"),
        (["lab", "--dataset", "tracks"], "reserved"),
        (["lab", "--example", "mice"], "larvae"),
        (["lab", "--example", "larvae", "--fps", "30"], "has its own fps"),
        (["lab", "--fps", "0"], "frames per second"),
        ([], "DIR"),
    ],
)
def test_wrong_usage_is_status_2_and_writes_nothing(
    init: Init, tmp_path: Path, arguments: list[str], told: str
) -> None:
    assert told in " ".join(init(*arguments, code=2).stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_a_second_time_is_refused(init: Init, tmp_path: Path) -> None:
    """A project that people worked on must not be written over."""
    init("fly_lab")
    (tmp_path / "fly_lab" / "README.md").write_text("ours")
    told = init("fly_lab", code=1).stderr
    assert told.startswith("Error: ")
    assert "is not empty" in told
    assert (tmp_path / "fly_lab" / "README.md").read_text() == "ours"


@pytest.mark.slow
def test_it_needs_no_dagster(tmp_path: Path) -> None:
    """Dagster takes seconds to import, and a broken installation of it must not matter."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom mosaic_dagster.cli.app import app\n"
        "assert CliRunner().invoke(app, ['init', 'fly_lab']).exit_code == 0\n"
        "print('dagster' in sys.modules)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": root}, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"
