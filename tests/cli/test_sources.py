"""``mosaic sources``, and what other commands say of sources that went away or were renamed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

HEADER = "frame,head_x,head_y,neck_x,neck_y,mid_x,mid_y,hind_x,hind_y,tail_x,tail_y\n"
ROW = "0,0,0,1,1,2,2,3,3,4,4\n1,1,1,2,2,3,3,4,4,5,{}\n"


@pytest.fixture
def lab(new: Path, mosaic: Any) -> Path:
    """A project that ingested ``disk`` with the recordings dish9/a and dish9/b."""
    folder = new / "disk" / "dish9"
    folder.mkdir(parents=True)
    for number, name in enumerate("ab"):
        (folder / f"{name}.csv").write_text(HEADER + ROW.format(number))
    mosaic(new, "ingest", str(new / "disk"), "--param", "unit=mm")
    return new


def listed(mosaic: Any, project: Path) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in mosaic.json(project, "sources", "list")}


def paths_of(project: Path) -> list[str]:
    manifest = yaml.safe_load((project / "workspaces/larvae/dataset.yaml").read_text())
    return [rule["path"] for rule in manifest["sources"]]


def test_the_list_says_where_from_and_how_many(lab: Path, mosaic: Any) -> None:
    rows = listed(mosaic, lab)
    assert rows["disk"] == {
        "dataset": "larvae", "path": "disk", "holds": "tracks", "format": "auto",
        "pattern": None, "group": None, "recordings": 2, "from": "mosaic ingest",
        "state": "there",
    }  # fmt: skip
    assert rows["recordings/larvae"]["from"] == "code"
    (lab / "disk").rename(lab / "away")
    assert listed(mosaic, lab)["disk"]["state"] == "not there"
    (lab / "disk").mkdir()
    assert listed(mosaic, lab)["disk"]["state"] == "empty"
    (lab / "disk" / "notes.txt").touch()
    assert listed(mosaic, lab)["disk"]["state"] == "nothing found"
    assert "nothing found" in mosaic(lab, "sources", "list").stdout


def test_removing_is_dry_until_it_is_applied(lab: Path, mosaic: Any) -> None:
    """The recordings that lose their source are named first; files are never touched."""
    told = mosaic(lab, "sources", "remove", "disk").stdout
    assert "would be removed; --apply does it" in told
    assert "2 recordings would have no source then" in told
    assert "dish9/a" in told
    assert "disk" in paths_of(lab)
    done = mosaic.json(lab, "sources", "remove", str(lab / "disk"), "--apply")
    assert (done["removed"], done["recordings"]) == (True, ["dish9/a", "dish9/b"])
    assert paths_of(lab) == ["recordings/larvae"]
    assert (lab / "disk/dish9/a.csv").is_file()
    gone = mosaic.json(lab, "status")["sources"]["gone"]
    assert gone[0] == "disk/dish9/a.csv (no source names it any more)"


def test_what_the_code_declares_is_refused_with_the_place_to_edit(lab: Path, mosaic: Any) -> None:
    """It would come back with the next command."""
    told = mosaic(lab, "sources", "remove", "recordings/larvae", "--apply", code=1).stderr
    assert "declared in the code" in told
    assert str(lab / "assets") in told


def test_an_unknown_source_is_refused_with_the_nearest(lab: Path, mosaic: Any) -> None:
    told = mosaic(lab, "sources", "remove", "dsik", code=1).stderr
    assert "There is no source 'dsik'" in told
    assert "disk" in told
    told = mosaic(lab, "sources", "remove", "disk", "--labels", "behavior", code=1).stderr
    assert "no source 'disk' of labels 'behavior'" in told


def test_a_disk_that_is_away_is_told_by_status_and_kept_by_clean(lab: Path, mosaic: Any) -> None:
    """Once per folder, with what to do; forgetting takes `sources remove` before."""
    shutil.move(lab / "disk", lab / "away")
    told = mosaic(lab, "status").stdout
    assert told.count("The folder disk of 2 recordings is not there") == 1
    assert "a.csv" not in told
    (root,) = mosaic.json(lab, "status")["sources"]["absent"]
    assert (root["rule"], root["state"], root["recordings"]) == ("disk", "missing", 2)
    cleaned = mosaic(lab, "clean", "--apply").stdout
    assert "Kept: The folder disk of 2 recordings is not there" in cleaned
    mosaic(lab, "sources", "remove", "disk", "--apply")
    rows = mosaic.json(lab, "clean", "--apply")
    assert {row["run_id"] for row in rows if row["feature"] == "recording"} == {
        "dish9/a", "dish9/b"
    }  # fmt: skip


def test_a_renamed_group_is_told_by_its_new_name(lab: Path, mosaic: Any) -> None:
    (lab / "disk/dish9").rename(lab / "disk/dish08")
    told = mosaic(lab, "ingest", str(lab / "disk"), "--param", "unit=mm").stdout
    assert "now called dish08/a, dish08/b" in told
    told = mosaic(lab, "status").stdout
    assert "disk/dish9/a.csv (renamed to disk/dish08/a.csv, recording dish08/a)" in told
    rows = mosaic.json(lab, "clean")
    assert {row["remark"] for row in rows if row["feature"] == "recording"} == {
        "renamed to dish08/a", "renamed to dish08/b"
    }  # fmt: skip


def test_two_files_of_one_recording_are_named_and_the_others_read(lab: Path, mosaic: Any) -> None:
    other = lab / "disk" / "dish9" / "a.CSV"
    other.write_text(HEADER + ROW.format(7))
    rows = mosaic.json(lab, "ingest", str(lab / "disk"), "--param", "unit=mm", code=1)
    states = {row["entry"] or row["file"]: row["state"] for row in rows}
    assert states == {"dish9/a": "unchanged", "dish9/b": "unchanged", "disk/dish9/a.CSV": "refused"}
    remark = next(row["remark"] for row in rows if row["state"] == "refused")
    assert "a.csv stays its source" in remark
    assert "Remove or rename one of them" in remark


def test_a_check_reads_what_times_do_not_tell(lab: Path, mosaic: Any) -> None:
    """A file changed with its old size and time: found, recorded, read again by the next run."""
    assert "6 of 6 files are as recorded." in mosaic(lab, "sources", "check").stdout
    path = lab / "disk/dish9/a.csv"
    time_ns = path.stat().st_mtime_ns
    with path.open("r+") as file:
        file.write(HEADER + ROW.format(9))
    os.utime(path, ns=(time_ns, time_ns))
    told = mosaic(lab, "sources", "check").stdout
    assert "disk/dish9/a.csv" in told
    assert "5 of 6 files are as recorded; `mosaic run` reads what changed again." in told
    entries = mosaic.json(lab, "status")["entries"]
    tracks = {e["entry"]: e["reason"] for e in entries if e["step"] == "tracks"}
    assert tracks["dish9/a"] == "source changed"
    path.unlink()
    rows = mosaic.json(lab, "sources", "check")
    assert {row["file"]: row["state"] for row in rows}["disk/dish9/a.csv"] == "not there"
