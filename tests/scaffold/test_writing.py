"""A project is written as a whole, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.scaffold import NewProject, project_files, write_project

PROJECT = NewProject("fly_lab")


def files_below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_every_file_is_written_and_nothing_else(tmp_path: Path) -> None:
    written = write_project(tmp_path / "new", PROJECT)
    assert written == sorted(written)
    assert set(files_below(tmp_path / "new")) == set(written) == set(project_files(PROJECT))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_others_may_read_the_project(tmp_path: Path) -> None:
    """A folder that only its maker can open is of no use to a lab."""
    write_project(tmp_path / "new", PROJECT)
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mosaic init .` in a new folder: the shell that stands there stays in it."""
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    written = write_project(Path(), PROJECT)
    assert tmp_path.stat().st_ino == before
    assert set(files_below(tmp_path)) == set(written)


@pytest.mark.parametrize("name", ["notes.txt", ".git/HEAD"])
def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing of a lab is ever written over."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ProjectError, match="is not empty: it holds"):
        write_project(tmp_path, PROJECT)
    assert files_below(tmp_path) == [name]


def test_a_file_and_a_lost_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(ProjectError, match="is no folder"):
            write_project(tmp_path / name, PROJECT)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_missing_folder_above_is_refused(tmp_path: Path) -> None:
    """Nearly always a slip of the pen."""
    with pytest.raises(ProjectError, match="There is no folder"):
        write_project(tmp_path / "lab" / "new", PROJECT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("after", [0, 3])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool, after: int
) -> None:
    """Half a project would look like one, and a second try would be refused."""
    target = tmp_path / "new"
    if is_there:
        target.mkdir()
    write, calls = Path.write_bytes, iter(range(1000))

    def full(path: Path, content: bytes) -> int:
        if next(calls) == after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ProjectError, match="No space left on device"):
        write_project(target, PROJECT)
    assert list(tmp_path.iterdir()) == ([target] if is_there else [])
    assert not is_there or list(target.iterdir()) == []


@pytest.mark.parametrize("failing", ["workspace.yaml", "resources"])
def test_an_interrupt_at_the_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Ctrl-C while the finished files are brought into an empty folder."""
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == failing:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_project(tmp_path, PROJECT)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_rights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is about the folder that was asked for, not about a temporary one."""

    def refused(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/tmp/.mosaic-init-x")

    monkeypatch.setattr("tempfile.mkdtemp", refused)
    with pytest.raises(ProjectError, match=r"written to \S+new: Permission denied") as caught:
        write_project(tmp_path / "new", PROJECT)
    assert "rights" in caught.value.remedy
