"""``mosaic doctor``: what is broken on purpose is found, and the other checks still run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from mosaic_dagster.store import Database

pytestmark = pytest.mark.dagster

DATABASE = Path("workspaces") / "larvae" / "store.duckdb"


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture
def doctor(mosaic: Any) -> Callable[..., list[dict[str, str]]]:
    """Findings that are not ok; `mosaic doctor` exits with 1 exactly when there is an error."""

    def look(folder: Path, errors: bool = False) -> list[dict[str, str]]:
        found = mosaic.json(folder, "doctor", code=1 if errors else 0)
        assert any(row["state"] == "error" for row in found) == errors
        bad = [row for row in found if row["state"] != "ok"]
        assert all(row["remedy"] for row in bad)
        return bad

    return look


Doctor = Callable[..., list[dict[str, str]]]


def about(found: list[dict[str, str]], text: str) -> dict[str, str]:
    """The one finding that says something."""
    (row,) = [row for row in found if text in row["what"]]
    return row


def snapshot(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        # Python's own files, and those by which processes take turns.
        passing = {"__pycache__", "dagster"} & {*parts} or path.suffix in (".lock", ".holder")
        if path.is_file() and not passing:
            yield str(path), path.read_bytes()


@pytest.mark.slow
def test_a_sound_project_is_in_order_and_stays_as_it_is(project: Path, doctor: Doctor) -> None:
    """A doctor that cries wolf is not listened to; one that changes things is not called."""
    shutil.copy(Path(__file__).parents[2] / ".env", project / ".env")
    before = dict(snapshot(project))
    assert doctor(project) == []
    assert dict(snapshot(project)) == before


def test_text_tells_signs_and_remedies(new: Path, mosaic: Any) -> None:
    text = mosaic(new, "doctor").stdout
    assert "python\n  ok" in text
    assert "WARNING  There is no .env" in text
    assert text.splitlines()[-1].startswith("0 errors, 1 warnings")


def test_code_that_cannot_be_imported_is_found_and_the_rest_goes_on(
    project: Path, doctor: Doctor, mosaic: Any
) -> None:
    """The usual trouble: somebody saved half an edit. The data are still looked at."""
    (project / "assets" / "larvae.py").write_text("1 / 0\n")
    row = about(doctor(project, errors=True), "division by zero")
    assert "larvae.py, line 1" in row["what"]
    told = mosaic.json(project, "doctor", code=1)
    assert any("The database can be read: 4 recordings" in row["what"] for row in told)
    assert any("The instance can be opened" in row["what"] for row in told)


def test_settings_that_cannot_be_read(project: Path, doctor: Doctor) -> None:
    (project / "dagster.yaml").write_text("storage: [\n")
    found = doctor(project, errors=True)
    assert about(found, "dagster.yaml cannot be read: while parsing")["state"] == "error"
    assert about(found, "was not looked at")["state"] == "warning"


def test_telemetry_and_a_folder_that_moves_with_the_user(project: Path, doctor: Doctor) -> None:
    """Events would go to another instance from each folder that a command is typed in."""
    settings = yaml.safe_load((project / "dagster.yaml").read_text())
    settings["telemetry"] = {"enabled": True}
    settings["storage"] = {"sqlite": {"base_dir": "workspaces/dagster"}}
    (project / "dagster.yaml").write_text(yaml.safe_dump(settings))
    found = doctor(project)
    assert "enabled: false" in about(found, "telemetry is on")["remedy"]
    assert "whole path" in about(found, "relative to wherever")["remedy"]


def test_a_home_elsewhere_is_told(
    project: Path, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs would be missing from the user interface, and nobody would know why."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    row = about(doctor(project), "DAGSTER_HOME is")
    assert str(project) in row["remedy"]


def test_an_instance_that_cannot_be_opened(project: Path, doctor: Doctor) -> None:
    text = (project / "dagster.yaml").read_text()
    (project / "dagster.yaml").write_text(text.replace("MosaicSqliteStorage", "NoSuch"))
    assert "dagster.yaml" in about(doctor(project, errors=True), "NoSuch")["remedy"]


@pytest.mark.slow
def test_dagster_that_cannot_be_imported(
    project: Path, type_in: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A half-done installation: this is what the doctor is called for."""
    (project / "dagster.py").write_text('raise ImportError("half installed")\n')
    done = type_in(project, "doctor")
    assert done.returncode == 1
    assert "Dagster cannot be imported: ImportError: half installed" in done.stdout
    assert "The database can be read" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_locked_database_says_who_holds_it(project: Path, doctor: Doctor) -> None:
    held = (
        "from mosaic_dagster.store import Database; from pathlib import Path; import sys, time\n"
        f"with Database(Path({str(project / DATABASE)!r})).lease():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        row = about(doctor(project), "is in use by process")
        holder.communicate("")
    assert str(holder.pid) in row["what"]


def test_a_newer_database_is_left_alone(project: Path, doctor: Doctor) -> None:
    with duckdb.connect(str(project / DATABASE)) as con:
        con.execute("UPDATE features.meta SET schema_version = 99")
    row = about(doctor(project, errors=True), "version 99")
    assert "Update mosaic-dagster" in row["remedy"]


def test_lost_objects_and_times_in_the_future(project: Path, doctor: Doctor) -> None:
    """One table is deleted; results of a machine whose clock ran ahead are named, not judged."""
    with Database(project / DATABASE).transaction() as con:
        con.execute("UPDATE features.results SET created_at = created_at + ?", [timedelta(days=9)])
    victim = next((project / "workspaces" / "larvae" / "artifacts").rglob("*.parquet"))
    victim.unlink()
    found = doctor(project, errors=True)
    row = about(found, "1 stored objects are missing")
    assert victim.stem[:12] in row["what"]
    assert "mosaic store verify" in row["remedy"]
    assert about(found, "dated in the future")["state"] == "warning"


@pytest.mark.slow
def test_recordings_that_are_not_there(project: Path, doctor: Doctor) -> None:
    """A disk that is not mounted takes all files away at once."""
    (project / "recordings" / "larvae").rename(project / "recordings" / "away")
    assert "recordings/larvae" in about(doctor(project), "recordings/larvae")["what"]


def test_a_dataset_without_a_workspace_in_dagster(project: Path, doctor: Doctor) -> None:
    code = project / "resources" / "local.py"
    code.write_text(code.read_text().replace("workspaces/larvae", "elsewhere/larvae"))
    row = about(doctor(project, errors=True), "Dagster keeps the dataset 'larvae'")
    assert "workspaces/larvae/store.duckdb" in row["remedy"]


def test_outside_of_a_project_the_installation_is_checked(tmp_path: Path, mosaic: Any) -> None:
    found = mosaic.json(tmp_path, "doctor", code=1)
    assert {row["about"] for row in found} >= {"python", "packages", "project"}
    assert found[-1]["state"] == "error"
