"""``mosaic ingest``: which files are read, what is refused, and what is written down."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mosaic_dagster.cli.app import app

HEADER = "frame,head_x,head_y,neck_x,neck_y,mid_x,mid_y,hind_x,hind_y,tail_x,tail_y\n"
ROW = "0,0,0,1,1,2,2,3,3,4,4\n1,,,,,,,,,,\n2,1,1,2,2,3,3,4,4,5,5\n"


def rules_of(project: Path) -> list[dict[str, Any]]:
    manifest = yaml.safe_load((project / "workspaces/larvae/dataset.yaml").read_text())
    return [rule for rule in manifest["sources"] if not rule["declared"]]


@pytest.fixture
def more(new: Path) -> Path:
    """A folder with one good recording, of which one row of three has no point."""
    folder = new / "recordings" / "more" / "dish 03"
    folder.mkdir(parents=True)
    (folder / "larva.1.csv").write_text(HEADER + ROW)
    return folder.parent


def test_a_dry_run_writes_nothing(new: Path, more: Path, mosaic: Any) -> None:
    (row,) = mosaic.json(new, "ingest", str(more), "--dry-run")
    assert (row["entry"], row["state"], row["rows"]) == ("dish%2003/larva%2E1", "would read", 2)
    assert "1 empty rows dropped" in row["remark"]
    assert not (new / "workspaces").exists()
    assert "nothing was written" in mosaic(new, "ingest", str(more), "--dry-run").stdout


def test_a_dry_run_leaves_a_workspace_as_it_was(project: Path, mosaic: Any) -> None:
    """The database and the manifest keep their bytes."""
    workspace = project / "workspaces" / "larvae"
    names = ("dataset.yaml", "store.duckdb")
    before = [(workspace / name).read_bytes() for name in names]
    rows = mosaic.json(project, "ingest", str(project / "recordings" / "larvae"), "--dry-run")
    assert [row["state"] for row in rows] == ["unchanged"] * 4
    assert [(workspace / name).read_bytes() for name in names] == before


def test_reading_records_the_rule_and_tells_repairs(new: Path, more: Path, mosaic: Any) -> None:
    """Three rows, one of them empty: two are kept. The path is that within the project."""
    arguments = ("ingest", str(more), "--format", "keypoint_csv", "--param", "unit=mm")
    (row,) = mosaic.json(new, *arguments, "--fps", "16")
    assert (row["state"], row["rows"]) == ("read", 2)
    assert "2 of 3 rows kept" in row["remark"]
    assert row["file"] == "recordings/more/dish 03/larva.1.csv"
    (rule,) = rules_of(new)
    assert (rule["path"], rule["format"]) == ("recordings/more", "keypoint_csv")
    assert rule["params"] == {"unit": "mm", "fps": 16.0}
    assert mosaic.json(new, *arguments, "--fps", "16")[0]["state"] == "unchanged"
    shown = mosaic.json(new, "show", "tracks", "--entry", "dish 03/larva.1")
    assert shown["rows"] == 2


def test_one_bad_file_never_stops_the_others(new: Path, more: Path, mosaic: Any) -> None:
    """A wrong header fails its entry, an empty file is refused, and the good one is read."""
    (more / "wrong.csv").write_text(HEADER.replace("head_y", "heady") + ROW)
    (more / "nothing.csv").touch()
    arguments = ("ingest", str(more), "--format", "keypoint_csv")
    rows = {Path(row["file"]).name: row for row in mosaic.json(new, *arguments, code=1)}
    assert rows["larva.1.csv"]["state"] == "read"
    for name in ("wrong.csv", "nothing.csv"):
        assert rows[name]["state"] in ("failed", "refused")
        assert name in rows[name]["remark"]
    dry = mosaic.json(new, *arguments, "--dry-run", code=1)
    assert {Path(row["file"]).name: row["state"] for row in dry} == {
        "larva.1.csv": "unchanged", "wrong.csv": "failed", "nothing.csv": "failed",
    }  # fmt: skip
    assert "wrong.csv" in mosaic(new, *arguments, code=1).stdout


def test_what_is_declared_stays_declared(new: Path, mosaic: Any) -> None:
    """The code is the truth about a path that it declares; other settings are refused."""
    path = str(new / "recordings" / "larvae")
    rows = mosaic.json(new, "ingest", path)
    assert [row["state"] for row in rows] == ["read"] * 4
    assert rules_of(new) == []
    result = mosaic(new, "ingest", path, "--fps", "30", code=1)
    assert "declared in the code" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["nowhere"], "There is nothing at", 1),
        (["recordings/more", "--format", "keypont_csv"], "keypoint_csv", 2),
        (["recordings/more", "--format", "keypoint_csv", "--param", "fsp=3"], "fps", 2),
        (["recordings/more", "--sequence", "^(larva"], "no regular expression", 2),
        (["recordings/empty"], "no tracking files", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_rule_that_cannot_work_is_not_written(
    new: Path, more: Path, mosaic: Any, arguments: list[str], told: str, code: int
) -> None:
    """It would fail every run from now on."""
    (new / "recordings" / "empty").mkdir()
    path, *rest = arguments
    assert told in mosaic(new, "ingest", str(new / path), *rest, code=code).stderr
    if (new / "workspaces/larvae/dataset.yaml").exists():
        assert rules_of(new) == []


def test_a_relative_path_starts_where_the_user_is(
    new: Path, more: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(new / "recordings")
    result = CliRunner().invoke(app, ["ingest", "more"])
    assert result.exit_code == 0, result.stderr
    assert rules_of(new)[0]["path"] == "recordings/more"


def test_a_changed_file_is_read_again(
    project: Path, mosaic: Any, edit: Callable[[Path], Path]
) -> None:
    file = edit(project)
    rows = mosaic.json(project, "ingest", str(file.parents[1]))
    states = {Path(row["file"]).name: row["state"] for row in rows}
    assert states.pop(file.name) == "read"
    assert set(states.values()) == {"unchanged"}


def test_files_outside_the_project_keep_their_path(
    new: Path, more: Path, tmp_path: Path, mosaic: Any
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(more, elsewhere)
    mosaic(new, "ingest", str(elsewhere), "--group", "old")
    assert rules_of(new)[0]["path"] == str(elsewhere)
    assert mosaic.json(new, "show", "tracks", "--entry", "old/larva.1")["rows"] == 2
