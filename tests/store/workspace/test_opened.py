"""Opening, closing and vacuum: what is there is neither lost nor altered."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mosaic_dagster.errors import (
    SchemaVersionError,
    StoreClosedError,
    StoreError,
    StoreTypeError,
    StoreValueError,
)
from mosaic_dagster.store.database.attachment import Attachment
from mosaic_dagster.store.workspace import WorkspaceStore

Prediction = Callable[..., dict[str, Any]]

EVERY_CALL: list[tuple[str, Callable[[WorkspaceStore], Any]]] = [
    ("begin_run", lambda s: s.begin_run("r", {}, [])),
    ("complete_run", lambda s: s.complete_run("r", {})),
    ("fail_run", lambda s: s.fail_run("r", "x")),
    ("get_run", lambda s: s.get_run("r")),
    ("list_runs", lambda s: s.list_runs()),
    ("delete_run", lambda s: s.delete_run("r")),
    ("begin_pipeline", lambda s: s.begin_pipeline("r", "p", {}, None, "d", None)),
    ("complete_pipeline", lambda s: s.complete_pipeline("p", 1.0, 1.0, "r2", 1)),
    ("fail_pipeline", lambda s: s.fail_pipeline("p", "x")),
    ("get_pipeline", lambda s: s.get_pipeline("p")),
    ("list_pipelines", lambda s: s.list_pipelines()),
    ("save_chain", lambda s: s.save_chain("p", [], 0, "", "", "shared", {}, {})),
    ("get_chain", lambda s: s.get_chain("c")),
    ("get_chains_for_pipeline", lambda s: s.get_chains_for_pipeline("p")),
    ("replay_chain", lambda s: s.replay_chain("c", [[1.0]])),
    ("save_artifact", lambda s: s.save_artifact([1], "X", "model", "json")),
    ("load_artifact", lambda s: s.load_artifact("a")),
    ("get_artifact_path", lambda s: s.get_artifact_path("a")),
    ("list_artifacts", lambda s: s.list_artifacts()),
    ("release_artifact", lambda s: s.release_artifact("a")),
    ("gc_artifacts", lambda s: s.gc_artifacts()),
    ("verify", lambda s: s.verify()),
    ("vacuum", lambda s: s.vacuum()),
    ("get_prediction", lambda s: s.get_prediction("p")),
    ("delete_prediction", lambda s: s.delete_prediction("p")),
    ("query_predictions", lambda s: s.query_predictions()),
    ("top_predictions", lambda s: s.top_predictions(1)),
    ("log_step", lambda s: s.log_step("p", 0, "X", "end")),
    ("get_pipeline_log", lambda s: s.get_pipeline_log("p")),
    ("get_run_log_summary", lambda s: s.get_run_log_summary("r")),
    ("session", lambda s: s.session().__enter__()),
]
WRITING = {
    "begin_run", "complete_run", "fail_run", "delete_run", "begin_pipeline", "complete_pipeline",
    "fail_pipeline", "save_chain", "save_artifact", "release_artifact", "gc_artifacts", "vacuum",
    "delete_prediction",
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without the notes about who holds the database."""
    notes = ("store.duckdb.lock", "store.duckdb.holder")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in notes
    }


def raised(call: Callable[..., Any], store: WorkspaceStore, kind: type[Exception]) -> bool:
    """Whether a call raises exactly this error, and not one about an unknown identifier."""
    try:
        call(store)
    except StoreError as error:
        return type(error) is kind
    return False


def connect(store_path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(store_path / "store.duckdb"))


def test_opening_makes_what_is_missing_and_no_more(tmp_path: Path):
    with WorkspaceStore(tmp_path / "deep" / "workspace") as store:
        assert store.workspace_path == tmp_path / "deep" / "workspace"
        assert store.list_runs().is_empty()
    made = {path.name for path in store.workspace_path.iterdir()}
    assert made - {"store.duckdb.lock", "store.duckdb.holder"} <= {
        "store.duckdb", "artifacts", "journal"
    }  # fmt: skip
    assert {"store.duckdb", "artifacts"} <= made


def test_what_was_saved_is_there_after_opening_again(
    store: WorkspaceStore, make_prediction: Prediction
):
    prediction = store.save_prediction(**make_prediction(arrays={"y_true": [1.0]}))
    artifact = store.save_artifact([1], "X", "model", "json")
    store.close()
    with WorkspaceStore(store.workspace_path) as again:
        assert again.get_prediction(prediction, load_arrays=True)["y_true"].tolist() == [1.0]
        assert again.load_artifact(artifact) == [1]


@pytest.mark.parametrize("access", ["shared", "exclusive"])
def test_after_close_every_method_says_so(tmp_path: Path, access: Any):
    """A method that still worked would write into a workspace that may be moved or zipped."""
    store = WorkspaceStore(tmp_path / "workspace", access=access)
    store.close()
    store.close()
    before = contents(store.workspace_path)
    for name, call in EVERY_CALL:
        assert raised(call, store, StoreClosedError), name
    assert contents(store.workspace_path) == before
    assert issubclass(StoreClosedError, RuntimeError)


def test_a_block_closes_the_store_also_after_an_error(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), WorkspaceStore(tmp_path, access="exclusive") as store:
        1 / 0  # noqa: B018
    with pytest.raises(StoreClosedError):
        store.list_runs()
    with connect(tmp_path) as con:
        assert con.execute("SELECT count(*) FROM runs").fetchall() == [(0,)]


def test_a_forgotten_store_lets_go_of_the_file(tmp_path: Path):
    """A notebook that overwrites its variable must not lock the workspace for the day."""
    store = WorkspaceStore(tmp_path, access="exclusive")
    store.begin_run("r", {}, [])
    del store
    with connect(tmp_path) as con:
        assert con.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]


def test_an_unknown_access_is_refused(tmp_path: Path):
    with pytest.raises(StoreValueError, match="access"):
        WorkspaceStore(tmp_path / "workspace", access="private")  # type: ignore[arg-type]
    assert not (tmp_path / "workspace").exists()


def test_a_store_that_only_reads_refuses_to_write_and_changes_no_byte(
    store: WorkspaceStore, make_prediction: Prediction
):
    """It is how an archive, or somebody else's workspace, is looked at."""
    store.save_prediction(**make_prediction())
    store.close()
    before = contents(store.workspace_path)
    with WorkspaceStore(store.workspace_path, read_only=True) as reader:
        for name, call in EVERY_CALL:
            if name in WRITING:
                assert raised(call, reader, StoreError), name
        with pytest.raises(StoreError, match="read"):
            reader.save_prediction(**make_prediction())
        with pytest.raises(StoreError, match="read"):
            reader.save_predictions([make_prediction()])
        assert reader.query_predictions().height == 1
        assert not reader.verify(hashes=True)["orphan_files"]
    assert contents(store.workspace_path) == before


@pytest.mark.parametrize("access", ["shared", "exclusive"])
def test_reading_creates_nothing(tmp_path: Path, access: Any):
    """A mistyped path would become an empty workspace."""
    with pytest.raises(StoreError, match="workspace"):
        WorkspaceStore(tmp_path / "workspace", read_only=True, access=access)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_rows_that_another_process_only_journalled(
    store: WorkspaceStore, make_prediction: Prediction
):
    prediction = store.save_prediction(**make_prediction())
    with WorkspaceStore(store.workspace_path, read_only=True) as reader:
        assert reader.get_prediction(prediction) is not None


def foreign_file(path: Path) -> None:
    """Lay out tables as another program does: foreign keys, and no version anywhere."""
    with connect(path) as con:
        con.execute("CREATE TABLE runs (run_id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL)")
        con.execute(
            "CREATE TABLE pipelines (pipeline_id VARCHAR PRIMARY KEY, "
            "run_id VARCHAR REFERENCES runs(run_id))"
        )
        con.execute("INSERT INTO runs VALUES ('a', 'mine')")
        con.execute("INSERT INTO pipelines VALUES ('b', 'a')")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("access", ["shared", "exclusive"])
def test_a_file_of_another_program_is_refused_and_not_altered(
    tmp_path: Path, read_only: bool, access: Any
):
    """It may be the only copy of somebody's results."""
    foreign_file(tmp_path)
    before = (tmp_path / "store.duckdb").read_bytes()
    for _ in range(2):
        with pytest.raises(StoreError, match="did not make: pipelines, runs"):
            WorkspaceStore(tmp_path, read_only=read_only, access=access)
    assert contents(tmp_path) == {"store.duckdb": before}


@pytest.mark.parametrize("table", ["main.store_meta", "features.meta", "journal.meta"])
def test_a_newer_file_is_refused_and_not_altered(store: WorkspaceStore, table: str):
    """Old code would write rows that the newer one misreads."""
    store.begin_run("r", {}, [])
    store.close()
    with connect(store.workspace_path) as con:
        con.execute(f"UPDATE {table} SET schema_version = 99")
    before = contents(store.workspace_path)
    for read_only in (False, True):
        with pytest.raises(SchemaVersionError, match="99"):
            WorkspaceStore(store.workspace_path, read_only=read_only)
    assert contents(store.workspace_path) == before


@pytest.mark.parametrize("data", [b"not a database, but a text file\n" * 500, b"\0" * 20000])
def test_a_file_that_is_no_database_is_refused_and_not_altered(tmp_path: Path, data: bytes):
    (tmp_path / "store.duckdb").write_bytes(data)
    with pytest.raises(StoreError, match=r"store\.duckdb"):
        WorkspaceStore(tmp_path)
    assert contents(tmp_path) == {"store.duckdb": data}


@pytest.mark.parametrize(
    "save",
    [
        lambda s, p: s.log_step(p, 0, int, "end"),
        lambda s, p: s.log_step(p, 0, "X", None),
        lambda s, p: s.log_step(p, 2**40, "X", "end"),
        lambda s, p: s.log_step(p, 0, "X", "end", message="\ud800"),
        lambda s, p: s.log_step(p, 0, "X", "end", details={"file": "\ud800"}),
        lambda s, p: s._open.append("claim", ["a", "b", "c", 5, "model", "json", 1, 1]),
    ],
)
def test_one_bad_row_does_not_stop_the_workspace(
    store: WorkspaceStore, pipeline: str, save: Callable[[WorkspaceStore, str], None]
):
    """It once reached the journal, was acknowledged, and made every later call of all fail."""
    with pytest.raises((StoreTypeError, StoreValueError)):
        save(store, pipeline)
    store.log_step(pipeline, 0, "X", "end")
    assert store.get_pipeline_log(pipeline).height == 1
    assert not any(store.verify().values())


def fill_and_empty(store: WorkspaceStore, keep: int = 0) -> int:
    """Write 8 MB of 20 000 logs and take all but some away again; the size of the file."""
    with store._open.writing() as con:
        con.execute(
            "INSERT INTO main.logs SELECT 'l' || i, 'p', i, 'X', 'end', 1, "
            "repeat(md5(i::TEXT) || md5((-i)::TEXT), 8), NULL, 'info', TIMESTAMP '2024-01-01' "
            "FROM range(20000) t(i)"
        )
    with store._open.reading() as con:
        con.execute("CHECKPOINT")
    size = (store.workspace_path / "store.duckdb").stat().st_size
    with store._open.writing() as con:
        con.execute("DELETE FROM main.logs WHERE step_idx >= ?", [keep])
    return size


@pytest.mark.parametrize("where", ["shared", "session", "exclusive"])
def test_vacuum_gives_space_back_and_keeps_all_schemas(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
):
    """Rows, keys and views of features and of tables that users made must come through."""
    # DuckDB itself gives some space back; here the copy is to be made in any case.
    monkeypatch.setattr(Attachment, "mostly_free", lambda self, con: True)
    path = tmp_path / "workspace"
    with WorkspaceStore(path, access="exclusive" if where == "exclusive" else "shared") as store:
        run = store.begin_run("kept", {"a": [1]}, [])
        with store._open.writing() as con:
            con.execute("INSERT INTO features.selections VALUES ('d', ['a', 'b'])")
            con.execute("CREATE SCHEMA domain")
            con.execute("CREATE TABLE domain.animals (name TEXT PRIMARY KEY, sha256 TEXT)")
            con.execute("INSERT INTO domain.animals VALUES ('rat', 'ff')")
            con.execute("CREATE VIEW domain.live_objects AS SELECT sha256 FROM domain.animals")
        before = fill_and_empty(store)
        old_file = (path / "store.duckdb").stat().st_ino
        artifact = store.save_artifact([1], "X", "model", "json")
        with store.session() if where == "session" else nullcontext():
            store.vacuum()
            assert store.get_run(run)["config"] == {"a": [1]}
        assert (path / "store.duckdb").stat().st_ino != old_file
        assert (path / "store.duckdb").stat().st_size < before / 2
        assert store.get_run(run)["config"] == {"a": [1]}
        assert store.load_artifact(artifact) == [1]
        store.begin_run("after", {}, [])
        with store._open.reading() as con:
            query = "SELECT keys FROM features.selections"
            assert con.execute(query).fetchall() == [(["a", "b"],)]
            assert con.execute("FROM domain.live_objects").fetchall() == [("ff",)]
            assert ("ff",) not in con.execute("FROM features.live_objects").fetchall()
        for statement in (
            "INSERT INTO domain.animals VALUES ('rat', 'ee')",
            "INSERT INTO features.selections VALUES ('d', [])",
            "INSERT INTO main.runs SELECT * FROM main.runs",
        ):
            with pytest.raises(StoreError, match=r"[Dd]uplicate"), store._open.writing() as con:
                con.execute(statement)
        assert not any(store.verify().values())
    assert [p.name for p in path.iterdir() if p.name.startswith(".")] == []
    with connect(path) as con:
        assert con.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]


def test_vacuum_gives_the_space_of_most_rows_back_when_some_stay(store: WorkspaceStore):
    """Runs lie beside each other in the file: deleting all but one leaves its neighbours' space.

    10 of 20 000 rows stay; a copy of them takes less than a quarter of the 8 MB.
    """
    before = fill_and_empty(store, keep=10)
    store.vacuum()
    assert (store.workspace_path / "store.duckdb").stat().st_size < before / 4
