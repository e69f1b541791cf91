"""Several processes and threads at one workspace: nobody's acknowledged row may be lost."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mosaic_dagster.errors import StoreLockedError
from mosaic_dagster.store.workspace import WorkspaceStore

Spawn = Callable[..., Any]


@pytest.mark.slow
def test_a_child_made_by_fork_may_not_use_the_store(store: WorkspaceStore, spawn: Spawn):
    """Two processes on one handle corrupt the file."""
    code = """
import os, sys
from mosaic_dagster.errors import StoreClosedError, StoreError
from mosaic_dagster.store.workspace import WorkspaceStore
store = WorkspaceStore(sys.argv[1], access=sys.argv[2])
run = store.begin_run("parent", {}, [])
child = os.fork()
if child == 0:
    try:
        store.get_run(run)
    except StoreError as error:
        store.close()
        del store
        os._exit(0 if not isinstance(error, StoreClosedError) else 2)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
store.complete_run(run, {"after": "fork"})
store.close()
"""
    store.close()
    for access in ("shared", "exclusive"):
        process = spawn(code, store.workspace_path, access)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    with WorkspaceStore(store.workspace_path) as again:
        assert again.list_runs(status="completed").height == 2


@pytest.mark.slow
def test_an_exclusive_store_keeps_others_out_until_it_is_closed(tmp_path: Path, spawn: Spawn):
    """The error names the process, so that the user finds what to stop."""
    code = (
        "import sys\n"
        "from mosaic_dagster.store.workspace import WorkspaceStore\n"
        "store = WorkspaceStore(sys.argv[1], access='exclusive')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "store.begin_run('theirs', {}, [])\n"
        "store.close()\n"
        "print('closed', flush=True)\n"
    )
    holder = spawn(code, tmp_path)
    assert holder.stdout.readline() == "ready\n"
    began = time.monotonic()
    with pytest.raises(StoreLockedError, match=str(holder.pid)):
        WorkspaceStore(tmp_path, lock_timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    assert issubclass(StoreLockedError, TimeoutError)
    holder.stdin.write("\n")
    holder.stdin.flush()
    with WorkspaceStore(tmp_path, lock_timeout=30) as store:
        assert store.list_runs()["name"].to_list() == ["theirs"]


@pytest.mark.slow
@pytest.mark.parametrize("access", ["shared", "exclusive"])
def test_every_row_of_every_process_is_kept(tmp_path: Path, spawn: Spawn, access: str):
    """3 processes, 40 rows each: 120. A file held by one used to cost the others their rows."""
    code = (
        "import sys\n"
        "from mosaic_dagster.store.workspace import WorkspaceStore\n"
        "with WorkspaceStore(sys.argv[1], access=sys.argv[2]) as store:\n"
        "    run = store.begin_run('r', {}, [])\n"
        "    pipeline = store.begin_pipeline(run, 'p', {}, None, 'd', None)\n"
        "    for n in range(40):\n"
        "        store.log_step(pipeline, n, 'X', 'end')\n"
        "        if n % 10 == 0:\n"
        "            store.complete_pipeline(pipeline, n, n, 'r2', n)\n"
    )
    WorkspaceStore(tmp_path).close()
    processes = [spawn(code, tmp_path, access) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with WorkspaceStore(tmp_path) as store:
        runs = store.list_runs()["run_id"]
        logged = [store.get_run_log_summary(run)["log_count"].item() for run in runs]
        assert logged == [40, 40, 40]
        assert set(store.list_pipelines()["status"]) == {"completed"}


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.03])
def test_acknowledged_work_survives_a_kill(
    tmp_path: Path, spawn: Spawn, kill_after_lines: Callable[..., list[str]], pause: float
):
    """A cluster kills without asking. A row never lacks its file, nor a prediction its arrays."""
    code = (
        "import sys\n"
        "from mosaic_dagster.store.workspace import WorkspaceStore\n"
        "store = WorkspaceStore(sys.argv[1])\n"
        "run = store.begin_run('r', {}, [])\n"
        "pipeline = store.begin_pipeline(run, 'p', {}, None, 'd', None)\n"
        "step = {'step_idx': 0, 'operator_class': 'X', 'params': {}}\n"
        "for n in range(10000):\n"
        "    artifact = store.save_artifact({'n': n}, 'X', 'model', 'json')\n"
        "    print('artifact', artifact, flush=True)\n"
        "    if n % 3 == 0:\n"
        "        folds = {'all': artifact}\n"
        "        chain = store.save_chain(pipeline, [step], 0, 'X', '', 's', folds, {})\n"
        "        print('chain', chain, flush=True)\n"
        "    row = store.save_prediction(pipeline, None, 'd', 'm', 'M', 'all', 'val', 1.0, 1.0,\n"
        "        1.0, 'r2', 'regression', 1, 1, None, None, None, None, 0, 0.0,\n"
        "        arrays={'y_true': [float(n)]})\n"
        "    print('prediction', row, flush=True)\n"
    )
    process = spawn(code, tmp_path)
    said = [line.split() for line in kill_after_lines(process, 12, pause)]
    assert len(said) >= 12
    with WorkspaceStore(tmp_path) as store, store.session():
        for kind, identifier in said:
            if kind == "artifact":
                assert "n" in store.load_artifact(identifier)
            elif kind == "chain":
                assert store.get_chain(identifier) is not None
            else:
                assert store.get_prediction(identifier, load_arrays=True)["y_true"] is not None
        found = store.verify(hashes=True)
        assert len(found.pop("orphan_files")) <= 1
        assert not any(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("access", ["shared", "exclusive"])
def test_threads_share_a_store(tmp_path: Path, access: Any):
    """One connection used by several threads ends the interpreter, or answers with other rows."""
    with WorkspaceStore(tmp_path / "workspace", access=access) as store:
        run = store.begin_run("r", {}, [])

        def work(thread: int) -> list[str]:
            pipeline = store.begin_pipeline(run, str(thread), {}, None, "d", None)
            with store.session():
                for n in range(5):
                    artifact = store.save_artifact({"n": n}, "X", "model", "json")
                    step = {"step_idx": 0, "operator_class": "X", "params": {}}
                    with store.session():
                        store.save_chain(
                            pipeline, [step], 0, "X", "", "shared", {"all": artifact}, {}
                        )
                    store.log_step(pipeline, n, "X", "end", message=str(thread))
                    assert store.get_pipeline(pipeline)["name"] == str(thread)
            log = store.get_pipeline_log(pipeline)
            assert set(log["message"]) == {str(thread)}
            return log["step_idx"].to_list()

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(work, range(6))) == [[0, 1, 2, 3, 4]] * 6
        # 5 objects, each saved and named 6 times.
        assert store.list_artifacts()["ref_count"].to_list() == [6] * 5
        assert not any(store.verify().values())
    with duckdb.connect(str(tmp_path / "workspace" / "store.duckdb")) as con:
        assert con.execute("SELECT count(*) FROM chains").fetchall() == [(30,)]


def test_a_session_lets_go_when_the_last_of_several_threads_leaves(store: WorkspaceStore):
    first_left, last_leaves = threading.Event(), threading.Event()

    def stay() -> None:
        with store.session():
            first_left.wait(5)
            assert store._open.database._gate().con is not None
            last_leaves.set()

    thread = threading.Thread(target=stay)
    with store.session(), store.session():
        thread.start()
    first_left.set()
    thread.join()
    assert last_leaves.is_set()
    assert store._open.database._gate().con is None


def test_a_session_ends_after_an_error_and_is_no_transaction(store: WorkspaceStore):
    def work() -> None:
        with store.session():
            store.begin_run("r", {}, [])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert store._open.database._gate().con is None
    assert store.list_runs().height == 1


def test_two_stores_on_one_folder_work_side_by_side(store: WorkspaceStore):
    """A notebook opens one for itself and calls code that opens another."""
    with WorkspaceStore(store.workspace_path, access="exclusive") as other:
        run = store.begin_run("r", {}, [])
        assert other.get_run(run) is not None
        artifact = store.save_artifact([1], "X", "model", "json")
        assert other.load_artifact(artifact) == [1]
        with store.session(), WorkspaceStore(store.workspace_path, read_only=True) as reader:
            assert reader.get_run(run) is not None
    assert store.get_run(run) is not None
