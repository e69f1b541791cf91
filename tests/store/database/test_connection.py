import os
import threading
from contextlib import suppress
from copy import deepcopy
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import duckdb
import pytest

from mosaic_dagster.errors import SchemaVersionError, StoreError, StoreFullError, StoreLockedError
from mosaic_dagster.store import Database, FeatureRegistry, open_database
from mosaic_dagster.store.database import connection, gate
from mosaic_dagster.store.database.attachment import Attachment
from mosaic_dagster.store.database.schemas import OWNERS


def _make_table(database: Database) -> None:
    with database.lease() as con:
        con.execute("CREATE SCHEMA notes; CREATE TABLE notes.t (i INTEGER)")


def _values(database: Database) -> list[int]:
    with database.lease() as con:
        return [i for (i,) in con.execute("SELECT i FROM notes.t ORDER BY i").fetchall()]


def _add(database: Database, value: int) -> None:
    with database.transaction() as con:
        con.execute("INSERT INTO notes.t VALUES (?)", [value])


def test_the_first_lease_makes_folder_and_file(tmp_path):
    """Else a new workspace would need a command of its own."""
    path = tmp_path / "new's" / "store.duckdb"
    database = Database(path)
    assert not path.parent.exists()
    with database.lease() as con:
        assert con.execute("SELECT count(*) FROM features.results").fetchone() == (0,)
    assert path.is_file()


def test_the_file_is_free_after_a_lease(database):
    """Else no other program could open it, not even to read."""
    _make_table(database)
    _add(database, 1)
    with duckdb.connect(str(database.path)) as con:
        assert con.execute("SELECT i FROM notes.t").fetchall() == [(1,)]
        assert con.execute("SELECT * FROM features.live_objects").fetchall() == []


def test_leases_join_within_a_thread(database):
    """Else a call inside a session would wait for itself."""
    with database.session(), database.lease() as outer, database.lease() as inner:
        assert outer is inner


def test_equal_paths_share_one_database(tmp_path):
    """Else two facades of one workspace would lock each other out."""
    (tmp_path / "link").symlink_to(tmp_path)
    first = open_database(tmp_path / "store.duckdb")
    second = open_database(tmp_path / "link" / "store.duckdb")
    assert first is second
    with first.lease(), Database(tmp_path / "store.duckdb", lock_timeout=0).lease():
        pass


def test_a_transaction_is_all_or_nothing(database):
    """Else a crash in a batch would leave half of it."""
    _make_table(database)
    with suppress(KeyError), database.transaction() as con:
        con.execute("INSERT INTO notes.t VALUES (1)")
        raise KeyError
    assert _values(database) == []


def test_an_inner_transaction_joins_the_outer(database):
    """Else an outer failure would leave what an inner call wrote."""
    _make_table(database)
    with suppress(KeyError), database.transaction():
        _add(database, 1)
        assert _values(database) == [1]
        raise KeyError
    assert _values(database) == []
    with database.transaction():
        _add(database, 2)
        _add(database, 3)
    assert _values(database) == [2, 3]


def test_a_failed_statement_is_ours_and_leaves_the_database_usable(database):
    """Else users see DuckDB's errors, or must restart after one."""
    _make_table(database)
    refused = pytest.raises(StoreError, match=r"store\.duckdb refused.*nothing_here")
    with refused as caught, database.transaction() as con:
        con.execute("INSERT INTO notes.t VALUES (1); SELECT * FROM nothing_here")
    assert isinstance(caught.value.__cause__, duckdb.Error)
    _add(database, 2)
    assert _values(database) == [2]


def test_nothing_is_downloaded(database):
    """Else a query that names a URL or a file type would fetch code from the network."""
    with database.lease() as con:
        for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
            assert con.execute(f"SELECT current_setting('{name}')").fetchone() == (False,)


def test_a_full_disk_is_named(database):
    """Else a user reads of a fatal internal error."""
    with pytest.raises(StoreFullError, match="is full"), database.lease():
        raise duckdb.IOException("Could not write file: No space left on device")


_NO_SPACE = """
import resource, sys
from pathlib import Path
from mosaic_dagster.errors import StoreFullError
from mosaic_dagster.store import Database
database = Database(Path(sys.argv[1]))
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, resource.RLIM_INFINITY))
try:
    with database.transaction() as con:
        con.execute("INSERT INTO notes.t SELECT (i % 1000)::INT FROM range(3_000_000) r(i)")
except StoreFullError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with database.transaction() as con:
    con.execute("INSERT INTO notes.t VALUES (7)")
"""


@pytest.mark.slow
def test_a_transaction_that_did_not_fit_did_not_happen(database, spawn):
    """Else a full disk would leave a file that cannot be opened; here no file may grow."""
    _make_table(database)
    process = spawn(_NO_SPACE, database.path)
    said, errors = process.communicate(timeout=60)
    assert "is full" in said, errors
    assert _values(database) == [7]


def test_threads_queue(database):
    """Else threads of one process would mix their transactions: 4 x 5 rows arrive."""
    _make_table(database)
    threads = [
        threading.Thread(target=lambda k=k: [_add(database, 5 * k + i) for i in range(5)])
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _values(database) == list(range(20))


def test_a_waiting_thread_gives_up(database):
    """Else a lease kept for hours would hang the others without a word."""
    errors = []

    def wait() -> None:
        try:
            with Database(database.path, lock_timeout=0.02).lease():
                pass
        except StoreLockedError as error:
            errors.append(str(error))

    with database.lease():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert "another thread" in errors[0]
    with database.lease():
        pass


_HOLD = """
import sys
from pathlib import Path
from mosaic_dagster.store import Database
with Database(Path(sys.argv[1])).lease():
    print("held", flush=True); sys.stdin.readline()
"""


@pytest.mark.slow
def test_who_holds_the_database_is_named_and_a_reader_waits(database, spawn):
    """Else nobody knows what to wait for or stop."""
    _make_table(database)
    process = spawn(_HOLD, database.path)
    assert process.stdout.readline() == "held\n"
    with (
        pytest.raises(StoreLockedError, match=rf"process {process.pid} \(.+\) since 20"),
        Database(database.path, lock_timeout=0.05).lease(),
    ):
        pass
    release = threading.Timer(0.1, lambda: process.communicate("go\n"))
    release.start()
    assert _values(database) == []
    release.join()


@pytest.mark.slow
def test_a_killed_holder_leaves_no_lock(database, spawn):
    """Else somebody would have to delete a lock file by hand."""
    process = spawn(_HOLD, database.path)
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.communicate()
    with Database(database.path, lock_timeout=1).lease():
        pass


_FOREIGN = """
import sys, duckdb
con = duckdb.connect(sys.argv[1])
print("held", flush=True); sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_foreign_program_is_named(database, spawn):
    """Else the DuckDB shell left open in another window looks like a broken store."""
    _make_table(database)
    process = spawn(_FOREIGN, database.path)
    assert process.stdout.readline() == "held\n"
    with (
        pytest.raises(StoreLockedError, match=rf"open in process {process.pid} \(.*python"),
        Database(database.path, lock_timeout=0.05).lease(),
    ):
        pass
    process.kill()
    process.communicate()
    assert _values(database) == []


def test_a_connection_of_the_same_process_is_waited_for(database):
    """Else a notebook that opened the file itself sees an internal error."""
    _make_table(database)
    with (
        duckdb.connect(str(database.path)),
        pytest.raises(StoreLockedError, match="open in another program"),
    ):
        _values(Database(database.path, lock_timeout=0.01))
    assert _values(database) == []


_WRITE = """
import sys
from pathlib import Path
from mosaic_dagster.store import Database
database = Database(Path(sys.argv[1]), lock_timeout=60)
for i in range(int(sys.argv[2]), int(sys.argv[2]) + 30):
    with database.transaction() as con:
        con.execute("INSERT INTO notes.t VALUES (?)", [i])
"""


@pytest.mark.slow
def test_processes_write_side_by_side(database, spawn):
    """Else two runs at once lose rows: 3 x 30 arrive."""
    _make_table(database)
    processes = [spawn(_WRITE, database.path, 30 * k) for k in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert _values(database) == list(range(90))


_COUNT = """
import sys, itertools
from pathlib import Path
from mosaic_dagster.store import Database
database = Database(Path(sys.argv[1]))
for i in itertools.count(int(sys.argv[2])):
    with database.transaction() as con:
        con.execute("INSERT INTO notes.t SELECT ? FROM range(100)", [i])
    print(i, flush=True)
"""


@pytest.mark.slow
def test_acknowledged_rows_survive_a_kill(database, spawn, kill_after_lines):
    """Else a crash loses what was reported as stored, or shows half of a batch of 100."""
    _make_table(database)
    for start, pause in ((0, 0.0), (10_000, 0.013), (20_000, 0.021)):
        said = [
            int(line) for line in kill_after_lines(spawn(_COUNT, database.path, start), 10, pause)
        ]
        # A reader that must not write sees them too, also while they are only in the log.
        for reader in (Database(database.path, read_only=True), database):
            values = _values(reader)
            assert {i for i in values if i >= start} >= set(said)
            assert all(values.count(i) == 100 for i in set(values))


def test_a_file_cut_at_its_birth_is_replaced(tmp_path):
    """Else a kill in the first millisecond of a workspace would leave one that never opens."""
    path = tmp_path / "store.duckdb"
    path.touch()
    with Database(path).lease():
        pass
    assert sorted(item.name for item in tmp_path.iterdir()) == [
        "store.duckdb",
        "store.duckdb.holder",
        "store.duckdb.lock",
    ]


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    """Else a user's file of that name would be lost."""
    path = tmp_path / "store.duckdb"
    path.write_text("my notes " * 1000)
    with (
        pytest.raises(StoreError, match="cannot be opened as a database"),
        Database(path).lease(),
    ):
        pass
    assert path.read_text().startswith("my notes")


class TestReadOnly:
    def test_nothing_can_be_changed(self, database):
        """Else a report could alter what it reports on."""
        _make_table(database)
        reader = Database(database.path, read_only=True)
        with pytest.raises(StoreError, match="read-only"), reader.transaction():
            pass
        with pytest.raises(StoreError, match="read-only"), reader.lease() as con:
            con.execute("INSERT INTO notes.t VALUES (1)")
        assert _values(reader) == []

    def test_nothing_is_created(self, tmp_path):
        """Else asking about a mistyped path would make a workspace there."""
        reader = Database(tmp_path / "none" / "store.duckdb", read_only=True)
        with pytest.raises(StoreError, match=r"There is no database .*none"), reader.lease():
            pass
        assert list(tmp_path.iterdir()) == []

    def test_an_old_file_is_not_migrated(self, tmp_path):
        """Else reading would change it; the message says how to update."""
        path = tmp_path / "store.duckdb"
        duckdb.connect(str(path)).close()
        with (
            pytest.raises(SchemaVersionError, match="for writing once"),
            Database(path, read_only=True).lease(),
        ):
            pass

    def test_a_writer_inside_a_reader_is_told(self, database):
        """Else it would fail later, with a message of DuckDB."""
        _make_table(database)
        with (
            Database(database.path, read_only=True).lease(),
            pytest.raises(StoreError, match="held read-only by a caller"),
        ):
            _add(database, 1)
        _add(database, 1)

    def test_a_file_that_may_not_be_written_is_read(self, database, monkeypatch):
        """Else a colleague's workspace could not be looked at."""
        _make_table(database)
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
        assert _values(database) == []
        with pytest.raises(StoreError, match="cannot be written"):
            _add(database, 1)


class TestCopies:
    def test_a_database_travels_to_a_worker(self, database):
        """Else joblib could not send a task that holds one."""
        _make_table(database)
        copy = ForkingPickler.loads(ForkingPickler.dumps(database))
        assert copy.path == deepcopy(database).path == database.path
        _add(copy, 1)
        assert _values(database) == [1]

    def test_the_idle_instance_is_closed_before_a_fork(self, database):
        """Else a forked worker hangs at its end on threads that it does not have."""
        _make_table(database)
        opened = database._gate()
        assert opened.attachment.held()
        gate._close_idle_instances()
        assert not opened.attachment.held()
        assert _values(database) == []


_FORK = """
import os, sys
from pathlib import Path
from mosaic_dagster.errors import StoreLockedError
from mosaic_dagster.store import Database
path = Path(sys.argv[1])
database = Database(path, lock_timeout=0.05)
child = 1
with database.transaction() as con:
    con.execute("INSERT INTO notes.t VALUES (1)")
    child = os.fork()
    if child == 0:
        try:
            with database.lease():
                os._exit(1)
        except StoreLockedError:
            pass
    else:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        con.execute("INSERT INTO notes.t VALUES (2)")
"""


@pytest.mark.slow
def test_a_fork_has_no_lease(database, spawn):
    """Else a child would write into, or end, the transaction of its parent."""
    _make_table(database)
    process = spawn(_FORK, database.path)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert _values(database) == [1, 2]


def test_a_broken_instance_is_replaced(database, monkeypatch):
    """Else one failure of DuckDB would need a restart of the process."""
    _make_table(database)
    discarded = []
    discard = Attachment.discard
    monkeypatch.setattr(Attachment, "discard", lambda self: discarded.append(1) or discard(self))

    def broken(self, con):
        con.close()
        self.discard()
        raise duckdb.FatalException("invalidated")

    with monkeypatch.context() as patch:
        patch.setattr(Attachment, "detach", broken)
        with pytest.raises(StoreError, match="invalidated"), database.lease():
            pass
    assert discarded
    assert _values(database) == []


def test_migrations_run_once_per_process_and_file(database, monkeypatch, tmp_path):
    """Else every lease pays for them; and a file put in place of another is looked at anew."""
    calls = []
    migrate = connection.migrate
    monkeypatch.setattr(
        connection,
        "migrate",
        lambda con, schema, steps: calls.append(schema) or migrate(con, schema, steps),
    )
    _make_table(database)
    _values(database)
    assert calls == list(OWNERS)
    other = Database(tmp_path / "other.duckdb")
    FeatureRegistry(other).put_selection(["a/b"])
    Path(other.path).replace(database.path)
    assert FeatureRegistry(database).live_objects() == set()
    assert calls == list(OWNERS) * 3


def test_another_owner_brings_its_own_schema(database):
    """Else the catalog could not share the file."""
    steps = ("CREATE TABLE catalog.things (rid TEXT)",)
    database.require("catalog", steps)
    database.require("catalog", steps)
    with database.lease() as con:
        assert con.execute("SELECT schema_version FROM catalog.meta").fetchall() == [(1,)]
    database._gate().current.clear()
    with pytest.raises(SchemaVersionError, match="catalog"):
        database.require("catalog", ())
