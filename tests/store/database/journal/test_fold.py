import os
import signal
from contextlib import suppress

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_dagster.store import Database
from mosaic_dagster.store.database import connection
from mosaic_dagster.store.database.journal import files, fold, writer
from mosaic_dagster.store.database.journal.kinds import CLAIM
from mosaic_dagster.store.database.journal.records import Record
from mosaic_dagster.store.database.journal.writer import JournalWriter

ARRAYS = {"y_true": np.arange(4.0)}


class Killed(BaseException):
    """The process ended here."""


class Dying:
    """A connection whose process is killed before its n-th statement, for good."""

    def __init__(self, con, statements):
        self._con = con
        self.left = statements

    def execute(self, *arguments):
        if self.left <= 0:
            self.left = -1
            raise Killed
        self.left -= 1
        return self._con.execute(*arguments)

    def __getattr__(self, name):
        return getattr(self._con, name)


def _append(folder, *records, close=True):
    journal = JournalWriter(folder)
    for record in records:
        journal.append(record)
    if close:
        journal.close()
    return journal


def _ids(con, table="predictions"):
    rows = con.execute(f"SELECT prediction_id FROM main.{table} ORDER BY 1").fetchall()
    return [name for (name,) in rows]


def _folded(con):
    return con.execute("SELECT * FROM journal.folded").fetchall()


def test_rows_of_a_dead_process_are_written_and_its_file_removed(con, folder, prediction):
    """Else journals heap up, one for each process that ever wrote."""
    _append(folder, prediction("a"), prediction("b"))
    fold.fold(con, folder)
    assert _ids(con) == ["a", "b"]
    assert (files.names(folder), _folded(con)) == ([], [])


def test_rows_of_a_living_process_are_written_once(con, folder, prediction):
    """Else a row is there twice, or what came since is not seen."""
    journal = _append(folder, prediction("a"), close=False)
    fold.fold(con, folder)
    fold.fold(con, folder)
    assert _ids(con) == ["a"]
    journal.append(prediction("b"))
    fold.fold(con, folder)
    assert _ids(con) == ["a", "b"]
    assert files.names(folder) == [journal.path.name]
    journal.close()


def test_a_log_is_not_written_twice_though_it_has_no_twin_to_clash_with(con, folder):
    """Claims are counted, so a second fold of the same bytes would show in the count."""
    claim = Record(CLAIM, ["a", "ab/x.npy", "ab" * 32, "Ridge", "model", "npy", 8, 0])
    journal = _append(folder, claim, claim, close=False)
    fold.fold(con, folder)
    journal.close()
    fold.fold(con, folder)
    assert con.execute("SELECT open_claims FROM main.artifacts").fetchall() == [(2,)]


def test_a_torn_end_of_a_dead_process_is_cut(con, folder, prediction):
    """Its row was never acknowledged; the ones before it were."""
    path = folder / "1-1-dead.jnl"
    path.parent.mkdir()
    pieces = [bytes(piece) for piece in writer.encode(prediction("a", ARRAYS))]
    torn = b"".join(map(bytes, writer.encode(prediction("b", ARRAYS))))[:-9]
    path.write_bytes(b"".join(pieces) + torn + bytes(1000))
    fold.fold(con, folder)
    assert (_ids(con), _ids(con, "prediction_arrays")) == (["a"], ["a"])
    assert files.names(folder) == []


def test_damage_in_the_middle_keeps_the_file(con, folder, prediction):
    """Else whole rows behind a bad block are deleted, and nobody is told."""
    journal = _append(folder, prediction("a"), close=False)
    begin = journal._end
    journal.append(prediction("b"))
    end = journal._end
    journal.append(prediction("c"))
    with journal.path.open("r+b") as file:
        file.seek((begin + end) // 2)
        file.write(b"\xff\xff\xff")
    name = journal.path.name
    journal.close()
    for _ in range(2):
        fold.fold(con, folder)
        assert _ids(con) == ["a"]
        assert files.names(folder) == [name]
        assert fold.damaged(con, folder) == [name]
    _append(folder, prediction("d"))
    fold.fold(con, folder)
    assert _ids(con) == ["a", "d"]


def test_a_prediction_comes_with_its_arrays(con, folder, prediction):
    """Else a reader takes it for one without arrays."""
    _append(folder, prediction("a", ARRAYS), prediction("b", {"y_true": np.zeros(0)}))
    fold.fold(con, folder)
    assert _ids(con, "prediction_arrays") == ["a", "b"]


def test_portions_are_written_one_after_the_other(con, folder, prediction, monkeypatch):
    """Else a long journal is read into memory at once, or only its beginning is folded."""
    _append(folder, *(prediction(f"{n:02}", ARRAYS) for n in range(20)))
    monkeypatch.setattr(files, "_PORTION", 1000)
    fold.fold(con, folder)
    assert len(_ids(con)) == len(_ids(con, "prediction_arrays")) == 20
    assert files.names(folder) == []


def test_files_that_are_kept_are_folded_once_all_the_same(con, folder, prediction):
    """A reader that may not write works on a copy in memory, and removes nothing."""
    _append(folder, prediction("a"))
    fold.fold(con, folder, removable=False)
    assert fold.pending(con, folder) is False
    fold.fold(con, folder, removable=False)
    assert (_ids(con), len(files.names(folder))) == (["a"], 1)


def test_what_is_pending_and_claimed_is_told(con, folder, monkeypatch):
    """Else the collector removes a file that was claimed a moment ago."""
    assert (fold.pending(con, folder), fold.claimed(con, folder)) == (False, set())
    claims = [
        Record(CLAIM, [f"a{n}", "p", f"{n:064}", "Ridge", "model", "npy", 8, 0]) for n in range(9)
    ]
    _append(folder, *claims)
    # However many portions there are.
    monkeypatch.setattr(files, "_PORTION", 300)
    assert fold.pending(con, folder)
    assert fold.claimed(con, folder) == {f"{n:064}" for n in range(9)}


def test_a_full_disk_during_the_commit_leaves_the_connection_usable(con, folder, prediction):
    """Inside a session the same connection goes on; else it hangs in a dead transaction."""
    _append(folder, prediction("a"))

    class Full(Dying):
        def execute(self, *arguments):
            if arguments[0] == "COMMIT":
                msg = "No space left on device"
                raise duckdb.IOException(msg)
            return self._con.execute(*arguments)

    with pytest.raises(duckdb.IOException):
        fold.fold(Full(con, 0), folder)
    assert _ids(con) == []
    fold.fold(con, folder)
    assert _ids(con) == ["a"]


class TestKills:
    """Killed between any two steps, each row is there once after the next fold."""

    def _records(self, prediction):
        claim = Record(CLAIM, ["art", "p", "ab" * 32, "Ridge", "model", "npy", 8, 0])
        return [prediction("a", ARRAYS), claim, prediction("b"), claim]

    def _check(self, database, folder, log):
        for _ in range(2):
            with database.lease() as con:
                assert _ids(con) == ["a", "b"]
                assert _ids(con, "prediction_arrays") == ["a"]
                assert con.execute("SELECT open_claims FROM main.artifacts").fetchall() == [(2,)]
            assert files.names(folder) == []
        # Whatever the kill left behind goes with the next file.
        _append(folder, log)
        with database.lease() as con:
            assert _folded(con) == []

    @pytest.mark.slow
    def test_between_any_two_statements(self, filled, folder, prediction, log):
        needed = 1000
        killed = 0
        while killed < needed:
            with filled.lease() as con:
                con.execute("TRUNCATE main.predictions; TRUNCATE main.prediction_arrays")
                con.execute("TRUNCATE main.artifacts; TRUNCATE main.logs")
            _append(folder, *self._records(prediction))
            with duckdb.connect(str(filled.path)) as con:
                dying = Dying(con, killed)
                try:
                    fold.fold(dying, folder)
                    needed = killed
                except Killed:
                    killed += 1
            self._check(filled, folder, log(f"{killed}"))
        assert needed > 8

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_around_the_removal_of_the_file(
        self, filled, folder, prediction, log, monkeypatch, when
    ):
        _append(folder, *self._records(prediction))
        remove = files.remove

        def killed(path):
            if when == "after":
                remove(path)
            raise Killed

        with monkeypatch.context() as patched, duckdb.connect(str(filled.path)) as con:
            patched.setattr(files, "remove", killed)
            with pytest.raises(Killed):
                fold.fold(con, folder)
        self._check(filled, folder, log("l"))

    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(st.sampled_from(("append", "fold", "die", "killed fold")), max_size=8))
    def test_any_order_of_appends_folds_and_kills(self, filled, folder, prediction, steps):
        """Whatever happens in between, what was acknowledged is there, once, with its arrays."""
        with filled.lease() as con:
            con.execute("TRUNCATE main.predictions; TRUNCATE main.prediction_arrays")
        journal = JournalWriter(folder)
        saved = []
        for number, step in enumerate(steps):
            if step == "append":
                journal.append(prediction(f"{number}", ARRAYS))
                saved.append(f"{number}")
            elif step == "die":
                journal.close()
            elif step == "fold":
                with filled.lease() as con:
                    assert _ids(con) == sorted(saved)
            else:
                with duckdb.connect(str(filled.path)) as con, suppress(Killed):
                    fold.fold(Dying(con, number + 2), folder)
        journal.close()
        with filled.lease() as con:
            assert _ids(con) == _ids(con, "prediction_arrays") == sorted(saved)


class TestReaders:
    def test_the_next_lease_sees_the_row(self, filled, prediction):
        """A reader of the same store sees its own writes."""
        filled.append(prediction("a", ARRAYS))
        with filled.lease() as con:
            assert _ids(con) == ["a"]
        with filled.session():
            filled.append(prediction("b"))
            with filled.lease() as con:
                assert _ids(con) == ["a", "b"]

    @pytest.mark.slow
    def test_another_process_sees_it_at_once(self, filled, prediction, spawn):
        """Else a script that was told of a row does not find it."""
        code = (
            "import sys; from pathlib import Path; from mosaic_dagster.store import Database\n"
            "with Database(Path(sys.argv[1])).lease() as con:\n"
            "    print(con.execute('SELECT prediction_id FROM main.predictions').fetchall())"
        )
        filled.append(prediction("a", ARRAYS))
        said, errors = spawn(code, filled.path).communicate(timeout=60)
        assert said.strip() == "[('a',)]", errors

    def test_a_workspace_that_cannot_be_written_is_read_with_its_journals(
        self, filled, folder, prediction, monkeypatch
    ):
        """Else a colleague's rows are missing until she comes back; and nothing of hers changes."""
        filled.append(prediction("a", ARRAYS))
        before = [*map(_content, (filled.path, *folder.iterdir()))]
        access = os.access
        with monkeypatch.context() as patched:
            patched.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
            for _ in range(2):
                with filled.lease() as con:
                    assert _ids(con) == _ids(con, "prediction_arrays") == ["a"]
            with filled.session():
                for _ in range(2):
                    with filled.lease() as con:
                        assert _ids(con) == ["a"]
            assert [*map(_content, (filled.path, *folder.iterdir()))] == before
        with filled.lease() as con:
            assert _ids(con) == ["a"]

    def test_settling_removes_the_file(self, filled, folder, prediction):
        """Else a closed store leaves a file that looks like unfinished work."""
        filled.append(prediction("a"))
        assert len(files.names(folder)) == 1
        filled.settle()
        assert files.names(folder) == []
        with filled.lease() as con:
            assert _ids(con) == ["a"]

    def test_a_full_file_is_folded_by_its_writer(self, filled, folder, prediction, monkeypatch):
        """Else a loop that only saves heaps up journals without end."""
        monkeypatch.setattr(writer, "FULL", 1000)
        for number in range(20):
            filled.append(prediction(f"{number}"))
        assert len(files.names(folder)) <= 1
        with filled.lease() as con:
            assert len(_ids(con)) == 20

    def test_a_forked_child_writes_a_file_of_its_own(self, filled, folder, prediction):
        """Else parent and child write over each other's rows."""
        filled.append(prediction("parent"))
        child = os.fork()
        if not child:
            try:
                filled.append(prediction("child"))
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        assert len(files.names(folder)) == 2
        filled.append(prediction("parent again"))
        with filled.lease() as con:
            assert _ids(con) == ["child", "parent", "parent again"]

    def test_a_fold_that_fails_is_told_and_repeated(self, filled, prediction, monkeypatch):
        """Else a reader gets less than was acknowledged, without an error."""
        filled.append(prediction("a"))

        def fail(*_, **__):
            msg = "No space left on device"
            raise duckdb.IOException(msg)

        with monkeypatch.context() as patched:
            patched.setattr(connection, "fold", fail)
            with pytest.raises(connection.StoreError, match="full"), filled.lease():
                pass
        with Database(filled.path).lease() as con:
            assert _ids(con) == ["a"]


def _content(path):
    return path.name, path.read_bytes()
