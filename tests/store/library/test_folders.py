"""Folders that are replaced whole: a crash or a neighbour never leaves none, or half of one."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from mosaic_dagster.errors import LibraryNameTakenError, LibraryNameUnknownError, StoreValueError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.library.folders import Shelf, write_document


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "library", tmp_path / "library" / "shelf")


def put(shelf: Shelf, text: str, *, overwrite: bool = True) -> None:
    with shelf.building("thing", overwrite=overwrite) as new:
        write_document(new / "a.json", f'{{"is": "{text}"}}'.encode())
        write_document(new / "sub" / "b.txt", text.encode())


def found(shelf: Shelf) -> tuple[str, str]:
    """What both files of the thing say."""
    return shelf.read("thing", "a.json")["is"], (shelf.path / "thing/sub/b.txt").read_text()


def test_a_folder_is_replaced_whole(shelf):
    put(shelf, "old", overwrite=False)
    put(shelf, "new")
    assert found(shelf) == ("new", "new")
    assert shelf.names() == ["thing"]
    assert [p.name for p in shelf.path.iterdir()] == ["thing"]
    assert list((shelf.library / ".building").iterdir()) == []


def test_a_taken_name_is_refused_and_kept(shelf):
    """Else saving under a name somebody used destroys their work."""
    put(shelf, "old")
    with pytest.raises(LibraryNameTakenError, match=r"has 'thing' already.*overwrite=True"):
        put(shelf, "new", overwrite=False)
    assert found(shelf) == ("old", "old")


def test_a_name_taken_while_the_folder_was_built_is_refused(shelf):
    with (
        pytest.raises(FileExistsError),
        shelf.building("thing", overwrite=False),
    ):
        put(shelf, "faster", overwrite=False)
    assert found(shelf) == ("faster", "faster")


def test_an_error_while_building_leaves_the_old_one(shelf):
    put(shelf, "old")
    with pytest.raises(ZeroDivisionError), shelf.building("thing", overwrite=True):
        _ = 1 / 0
    assert found(shelf) == ("old", "old")
    assert list((shelf.library / ".building").iterdir()) == []


@pytest.mark.parametrize("survived", range(4))
def test_after_a_crash_the_old_or_the_new_one_is_there(shelf, monkeypatch, survived):
    """The process dies before its nth change: move aside, move in place, remove old, (clean).

    Nothing changes the disk after that, clean-up included, as with a power cut. Else a
    template is gone although nobody deleted it.
    """
    put(shelf, "old")
    left = [survived]

    def guarded(change):
        def wrapper(*args, **kwargs):
            if left[0] <= 0:
                raise KilledError
            left[0] -= 1
            return change(*args, **kwargs)

        return wrapper

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", guarded(Path.rename))
        patch.setattr(shutil, "rmtree", guarded(shutil.rmtree))
        with pytest.raises(KilledError):
            put(shelf, "new")
    expected = "old" if survived < 2 else "new"
    assert shelf.has("thing")
    assert found(shelf) == (expected, expected)
    assert shelf.names() == ["thing"]
    put(shelf, "newer")
    assert found(shelf) == ("newer", "newer")
    assert [p.name for p in shelf.path.iterdir()] == ["thing"]


def test_a_list_after_a_crash_has_everything(shelf):
    """Set aside by a process that died: the list puts it back."""
    put(shelf, "old")
    (shelf.path / "thing").rename(shelf.path / ".replaced-thing")
    assert shelf.names() == ["thing"]
    assert found(shelf) == ("old", "old")


def test_readers_never_miss_a_folder_that_is_being_replaced(shelf):
    """Else a job that loads a template fails because somebody saves it again just now."""
    put(shelf, "start")
    seen, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            seen.append(shelf.read("thing", "a.json")["is"])
            assert shelf.names() == ["thing"]

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        put(shelf, str(number))
    alive = reader.is_alive()
    stop.set()
    reader.join()
    assert alive
    assert seen


def test_what_a_dead_process_was_building_goes_after_a_day(shelf, tmp_path):
    """Else crashes fill the disk; a folder that another is building now must stay."""
    building = shelf.library / ".building"
    for name in ("dead", "alive"):
        (building / name).mkdir(parents=True)
    os.utime(building / "dead", (0, 0))
    put(shelf, "x")
    assert [p.name for p in building.iterdir()] == ["alive"]


def test_deleting_removes_the_empty_shelf(shelf):
    put(shelf, "x")
    shelf.delete("thing")
    assert not shelf.path.exists()
    assert list((shelf.library / ".building").iterdir()) == []
    with pytest.raises(LibraryNameUnknownError, match="has nothing named 'thing'"):
        shelf.delete("thing")


def test_asking_makes_no_library(shelf):
    """Else looking into a workspace changes it."""
    assert shelf.names() == []
    assert not shelf.has("thing")
    with pytest.raises(FileNotFoundError):
        shelf.read("thing", "a.json")
    with pytest.raises(FileNotFoundError):
        shelf.delete("thing")
    assert not shelf.library.exists()


def test_a_folder_without_the_file_is_damaged(shelf):
    put(shelf, "x")
    with pytest.raises(StoreValueError, match=r"other\.json is missing"):
        shelf.read("thing", "other.json")


def test_a_file_is_replaced_whole_wherever_it_lies(tmp_path):
    path = tmp_path / "deep" / "er" / "t.json"
    assert durable.replace_file(path, b"one") == path
    durable.replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["t.json"]
