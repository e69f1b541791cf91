import errno
import os
import threading

import numpy as np
import pytest

from mosaic_dagster.errors import StoreError, StoreFullError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.database.journal import files, writer
from mosaic_dagster.store.database.journal.records import Record
from mosaic_dagster.store.database.journal.writer import JournalWriter


@pytest.fixture
def journal(folder):
    opened = JournalWriter(folder)
    yield opened
    opened.close()


def _rows(folder):
    """Values of all rows in all files, in order of the files' names."""
    found = []
    for name in files.names(folder):
        offset = 0
        while (portion := files.read(folder / name, offset)).records:
            found += [record.values[0] for record in portion.records]
            offset = portion.end
        assert not portion.damaged
    return sorted(found)


def test_a_row_is_in_the_file_when_append_returns(journal, folder):
    """Else a kill right afterwards loses an acknowledged row."""
    assert files.names(folder) == []
    assert journal.append(Record("arrays", [1])) is False
    assert _rows(folder) == [1]
    assert journal.path.name.startswith(f"{os.getpid()}-")
    assert journal.path.name.endswith(".jnl")


def test_a_row_is_synced_before_append_returns(journal, monkeypatch):
    """Else a power cut loses an acknowledged row."""
    synced = []
    monkeypatch.setattr(writer, "_sync", lambda handle: synced.append(os.fstat(handle).st_ino))
    journal.append(Record("arrays", [1]))
    journal.append(Record("arrays", [2]))
    assert synced == [journal.path.stat().st_ino] * 2


def test_the_names_of_file_and_folder_are_synced(journal, folder, monkeypatch):
    """Else a power cut loses the whole first file with all its rows."""
    synced = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    journal.append(Record("arrays", [1]))
    assert synced == [folder.parent, folder]


def test_a_full_file_is_closed_and_another_begun(journal, folder, monkeypatch):
    """Else a file that is never removed grows for as long as its process lives."""
    monkeypatch.setattr(writer, "FULL", 100)
    assert journal.append(Record("arrays", [1])) is False
    first = journal.path
    assert journal.append(Record("arrays", ["x" * 80])) is True
    assert journal.path is None
    with files.if_abandoned(first) as abandoned:
        assert abandoned
    journal.append(Record("arrays", [2]))
    assert journal.path != first
    assert len(files.names(folder)) == 2


def test_an_open_file_counts_as_used(journal):
    """Else another process removes a file that rows still go to."""
    journal.append(Record("arrays", [1]))
    path = journal.path
    with files.if_abandoned(path) as abandoned:
        assert not abandoned
    journal.close()
    with files.if_abandoned(path) as abandoned:
        assert abandoned


def test_rows_of_many_threads_are_all_there(journal, folder):
    """Else two threads write over each other's rows."""

    def write(first):
        for number in range(first, first + 25):
            journal.append(Record("arrays", [number], {"y_true": np.arange(number)}))

    threads = [threading.Thread(target=write, args=(25 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _rows(folder) == list(range(200))


class TestFailures:
    """A row whose writing failed is not there, and the next ones are."""

    @pytest.mark.parametrize("written", [0, 3, 20])
    def test_a_disk_that_fills_up_in_the_middle(self, journal, folder, monkeypatch, written):
        """Else half a row stands before all later ones, and they count as damaged."""
        journal.append(Record("arrays", [1]))
        pwritev = os.pwritev

        def full(handle, pieces, offset):
            if written:
                os.pwrite(handle, b"".join(pieces)[:written], offset)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "pwritev", full)
        with pytest.raises(StoreFullError, match="full"):
            journal.append(Record("arrays", [2]))
        monkeypatch.setattr(os, "pwritev", pwritev)
        journal.append(Record("arrays", [3]))
        assert _rows(folder) == [1, 3]

    def test_a_short_write_is_completed(self, journal, folder, monkeypatch):
        """The system may write less than it was asked to; else that row is lost."""
        monkeypatch.setattr(
            os, "pwritev", lambda handle, pieces, at: os.pwrite(handle, b"".join(pieces)[:5], at)
        )
        journal.append(Record("arrays", [1], {"y_true": np.zeros(3)}))
        assert _rows(folder) == [1]

    def test_a_short_write_on_a_full_disk(self, journal, folder, monkeypatch):
        journal.append(Record("arrays", [1]))
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwritev", lambda *_: 5)
            patched.setattr(os, "pwrite", _raiser(errno.ENOSPC))
            with pytest.raises(StoreFullError):
                journal.append(Record("arrays", [2]))
        journal.append(Record("arrays", [3]))
        assert _rows(folder) == [1, 3]

    def test_nothing_is_written_where_a_failed_row_may_have_been_read(
        self, journal, folder, monkeypatch
    ):
        """Its sync failed after someone folded it: a row in its place would be passed over."""
        journal.append(Record("arrays", [1]))
        path = journal.path
        with monkeypatch.context() as patched:
            patched.setattr(writer, "_sync", _raiser(errno.EIO))
            with pytest.raises(StoreError, match="cannot be written"):
                journal.append(Record("arrays", [2]))
        journal.append(Record("arrays", [3]))
        assert journal.path != path
        assert _rows(folder) == [1, 3]

    @pytest.mark.parametrize("place", ["file", "folder"])
    def test_a_file_that_cannot_be_begun_leaves_no_lock(self, journal, folder, monkeypatch, place):
        """Else an empty file stays for as long as its process lives."""
        with monkeypatch.context() as patched:
            if place == "file":
                patched.setattr(
                    writer.fcntl, "flock", _raiser(errno.ENOLCK, only=writer.fcntl.LOCK_EX)
                )
            else:
                patched.setattr(durable, "sync_folder", _raiser(errno.EIO))
            with pytest.raises(StoreError):
                journal.append(Record("arrays", [1]))
        for name in files.names(folder):
            with files.if_abandoned(folder / name) as abandoned:
                assert abandoned
        journal.append(Record("arrays", [2]))
        assert _rows(folder) == [2]

    def test_a_folder_that_may_not_be_written(self, folder):
        """Else the user sees a bare PermissionError."""
        folder.parent.mkdir(exist_ok=True)
        folder.write_text("a file is in the way")
        with pytest.raises(StoreError, match="cannot be written"):
            JournalWriter(folder).append(Record("arrays", [1]))

    def test_space_that_cannot_be_reserved(self, journal, folder, monkeypatch):
        """Not every file system can; else nothing could be saved there."""
        monkeypatch.setattr(os, "posix_fallocate", _raiser(errno.EOPNOTSUPP))
        for number in range(3):
            journal.append(Record("arrays", [number]))
        assert _rows(folder) == [0, 1, 2]


class TestAnotherWorkspaceInItsPlace:
    """Else rows go to a file that nobody will ever read, and are acknowledged."""

    def test_the_folder_was_removed(self, journal, folder):
        journal.append(Record("arrays", [1]))
        journal.path.unlink()
        folder.rmdir()
        journal.append(Record("arrays", [2]))
        assert _rows(folder) == [2]

    def test_the_folder_was_moved(self, journal, folder):
        journal.append(Record("arrays", [1]))
        folder.rename(folder.with_name("moved"))
        journal.append(Record("arrays", [2]))
        assert _rows(folder) == [2]
        assert _rows(folder.with_name("moved")) == [1]


def test_a_forked_child_does_not_keep_the_file_locked(journal):
    """Else the files of a process stay behind until its workers end."""
    journal.append(Record("arrays", [1]))
    path = journal.path
    ready, release = os.pipe()
    child = os.fork()
    if not child:
        os.close(release)
        os.read(ready, 1)
        os._exit(0)
    os.close(ready)
    journal.close()
    with files.if_abandoned(path) as abandoned:
        assert abandoned
    os.close(release)
    os.waitpid(child, 0)


def test_a_file_removed_while_it_was_begun_is_not_used(journal, folder, monkeypatch):
    """Between being made and being locked it looks abandoned; rows in it would be lost."""
    flock = writer.fcntl.flock
    removed = []

    def late(handle, how):
        if how == writer.fcntl.LOCK_EX and not removed:
            removed.append((folder / files.names(folder)[0]).unlink())
        return flock(handle, how)

    monkeypatch.setattr(writer.fcntl, "flock", late)
    journal.append(Record("arrays", [1]))
    assert removed == [None]
    assert _rows(folder) == [1]


def _raiser(number, only=None):
    def fail(*arguments):
        if only is None or only in arguments:
            raise OSError(number, os.strerror(number))

    return fail
