"""Folders that are gone as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset import files
from mosaic_dagster.dataset.manifest import SourceRule


def empty_out(folder: Path, target: Path) -> None:
    """What is left when a disk is unplugged: its mount point."""
    folder.rename(target)
    folder.mkdir()


def test_a_folder_that_is_not_there_is_told_once(lab: Any) -> None:
    """An unplugged disk must not make each of 10,000 recordings look deleted."""
    lab.record()
    (lab.base / "rec").rename(lab.base / "elsewhere")
    found = lab.record()
    assert (found.vanished, found.refused, found.updates) == ((), (), ())
    (root,) = found.absent
    assert (root.path, root.state, root.recordings) == (lab.base / "rec", "missing", 2)
    assert root.keys == {"dish1/a", "dish2/a"}
    told = root.describe()
    assert told.startswith("The folder rec of 2 recordings is not there; what was made of them")
    assert "Mount the disk" in told
    assert "`mosaic sources remove rec`" in told
    assert {(held.row.key, held.why) for held in found.held} == {
        ("dish1/a", "absent"), ("dish2/a", "absent")
    }  # fmt: skip


def test_an_empty_mount_point_is_a_folder_that_is_away(lab: Any) -> None:
    """Hidden files and empty folders that a desktop left do not make it a folder of recordings."""
    lab.record()
    empty_out(lab.base / "rec", lab.base / "disk")
    (lab.base / "rec" / ".Trash").touch()
    (lab.base / "rec" / "dish1").mkdir()
    found = lab.scan()
    assert found.vanished == ()
    assert [(root.state, root.recordings) for root in found.absent] == [("empty", 2)]
    assert "is empty" in found.absent[0].describe()


def test_a_folder_in_which_something_is_left_is_there(lab: Any) -> None:
    """Whoever deletes the recordings and keeps the notes did it on purpose."""
    lab.record()
    lab.write("notes.txt")
    for dish in ("dish1", "dish2"):
        (lab.base / "rec" / dish / "a.csv").unlink()
    found = lab.scan()
    assert found.absent == ()
    assert [row.key for row in found.vanished] == ["dish1/a", "dish2/a"]


def test_an_empty_folder_of_which_nothing_is_known_is_no_trouble(lab: Any) -> None:
    """A lab makes the folder before the first recording."""
    (lab.base / "later").mkdir()
    lab.rules = (*lab.rules, SourceRule(path="later"))
    found = lab.scan()
    assert (found.absent, found.refused) == ((), ())


def test_a_disk_that_answers_with_errors_loses_nothing(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.record()
    real = os.scandir

    def broken(path: Path) -> Any:
        if Path(path) == lab.base / "rec":
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(files.os, "scandir", broken)
    found = lab.scan()
    assert (found.vanished, found.refused) == ((), ())
    assert found.absent[0].state == "unreadable"
    assert "of 2 recordings cannot be read: Input/output error" in found.absent[0].describe()


def test_a_folder_below_that_cannot_be_listed_holds_its_recordings(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused by its name, and the recordings in it are not taken for deleted."""
    lab.record()
    real = os.scandir

    def broken(path: Path) -> Any:
        if Path(path).name == "dish1":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(files.os, "scandir", broken)
    found = lab.scan()
    assert [refusal.path.name for refusal in found.refused] == ["dish1"]
    assert [(held.row.key, held.why) for held in found.held] == [("dish1/a", "refused")]
    assert found.vanished == ()


def test_only_the_rule_whose_disk_is_away_is_told(lab: Any) -> None:
    """A second disk goes on as ever; a file that was deleted there is still told as gone."""
    other = lab.base / "disk2" / "dish9"
    other.mkdir(parents=True)
    for name in ("a", "b"):
        (other / f"{name}.csv").write_text(f"frame,a_x,a_y\n0,1,{len(name)}\n")
    lab.rules = (*lab.rules, SourceRule(path="disk2", declared=True))
    lab.record()
    (lab.base / "rec").rename(lab.base / "elsewhere")
    (other / "a.csv").unlink()
    found = lab.scan()
    assert [root.rule.path for root in found.absent] == ["rec"]
    assert [row.key for row in found.vanished] == ["dish9/a"]
    assert [str(source.key) for source in found.present] == ["dish9/b"]
    (other.parent).rename(lab.base / "also gone")
    told = {root.rule.path: root.describe() for root in lab.scan().absent}
    assert "take it out of the sources that the dataset declares" in told["disk2"]


def test_a_rule_of_a_single_file_speaks_of_a_file(lab: Any) -> None:
    lab.rules = (SourceRule(path="rec/dish1/a.csv"),)
    lab.record()
    (lab.base / "rec/dish1/a.csv").unlink()
    (root,) = lab.scan().absent
    assert root.describe().startswith("The file rec/dish1/a.csv of 1 recording is not there")


def test_when_the_disk_is_back_all_is_as_before(lab: Any) -> None:
    lab.record()
    (lab.base / "rec").rename(lab.base / "elsewhere")
    lab.record()
    (lab.base / "elsewhere").rename(lab.base / "rec")
    back = lab.record()
    assert (back.absent, back.held, back.updates, back.new) == ((), (), (), ())
