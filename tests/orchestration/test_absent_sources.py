"""A refresh while the disk with the recordings is away, and after files were renamed."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]


def test_a_disk_that_is_away_is_told_once_and_fails_nothing(refresh: Any, lab: Any) -> None:
    """The nightly refresh must not end red, make anything anew, or list each recording."""
    refresh()
    away = lab.folder.parent.with_name("unplugged")
    lab.folder.parent.rename(away)
    done = refresh()
    assert done.success
    assert done.computed == []
    assert done.printed.count("of 4 recordings is not there") == 1
    assert "source files are gone" not in done.printed
    assert "s0.csv" not in done.printed
    away.rename(lab.folder.parent)
    back = refresh()
    assert back.success
    assert back.computed == []
    assert "not there" not in back.printed


def test_a_renamed_file_is_told_by_its_new_name(refresh: Any, lab: Any) -> None:
    """``s0`` is ``first`` now: made under the new name, and not told as lost."""
    refresh()
    (lab.folder / "s0.csv").rename(lab.folder / "first.csv")
    done = refresh()
    assert done.success
    assert "shift:first" in " ".join(done.computed)
    assert "s0.csv (renamed to" in done.printed
    assert "recording g/first)" in done.printed


def test_recordings_that_were_never_read_are_one_problem(refresh: Any, lab: Any) -> None:
    """A file failed, then its disk went: one line says so, not one for each recording."""
    (lab.folder / "s0.csv").write_text("frame,a_x,a_y\n0,one,two\n")
    (lab.folder / "s1.csv").write_text("frame,a_x,a_y\n0,one,two\n")
    assert not refresh().success
    lab.folder.parent.rename(lab.folder.parent.with_name("unplugged"))
    done = refresh()
    assert not done.success
    assert done.printed.count("2 recordings cannot be read") == 1
    assert "mount the disk" in done.printed
