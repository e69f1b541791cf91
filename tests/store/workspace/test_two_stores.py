"""Two stores on one folder in one process, and stores inside transactions of others."""

import os
import subprocess
import sys
import threading

import duckdb
import numpy as np
import pytest

from mosaic_dagster.errors import StateError, StoreError, StoreValueError, UnknownIdError
from mosaic_dagster.store import Database, WorkspaceStore


@pytest.fixture
def other(store):
    with WorkspaceStore(store.workspace_path) as opened:
        yield opened


def test_each_knows_what_the_other_did(store, other, pipeline, make_prediction):
    """Else rows are acknowledged that will never be seen: arrays twice, children of the dead."""
    first = store.save_prediction(**make_prediction(pipeline_id=pipeline))
    other.save_prediction_arrays(first, [1.0], [2.0])
    with pytest.raises(StoreValueError, match="arrays already"):
        store.save_prediction_arrays(first, [9.0, 9.0], [9.0, 9.0])
    second = store.save_prediction(**make_prediction(pipeline_id=pipeline))
    other.delete_prediction(second)
    with pytest.raises(UnknownIdError):
        store.save_prediction_arrays(second, [1.0], [2.0])
    other.fail_pipeline(pipeline, "no")
    with pytest.raises(StateError):
        store.save_prediction(**make_prediction(pipeline_id=pipeline))
    with pytest.raises(StateError):
        store.log_step(pipeline, 0, None, "start")


HOLD = """
import sys
from mosaic_dagster.store import WorkspaceStore
store = WorkspaceStore(sys.argv[1], access="exclusive")
print("held", flush=True)
sys.stdin.readline()
store.close()
"""


@pytest.mark.slow
def test_arrays_find_their_prediction_in_another_file(store, pipeline, make_prediction):
    """A store that closes begins a new journal file: the rows behind it need those before it."""
    others = [WorkspaceStore(store.workspace_path, lock_timeout=0.0) for _ in range(10)]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.workspace_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    saved = []
    for one in others:
        saved.append(store.save_prediction(**make_prediction(pipeline_id=pipeline)))
        one.close()
        store.save_prediction_arrays(saved[-1], [1.0], [2.0])
    holder.communicate("\n", timeout=30)
    arrays = [store.get_prediction(name, load_arrays=True)["y_true"] for name in saved]
    assert [list(values) for values in arrays] == [[1.0]] * len(saved)


def test_a_deletion_inside_a_transaction_is_refused(store, run, pipeline, make_chain):
    """The rows would come back with the transaction, and their files would not."""
    chain_id = make_chain(store, pipeline)
    database = Database(store.workspace_path / "store.duckdb")
    for delete in (lambda: store.delete_run(run), lambda: store.gc_artifacts()):
        with pytest.raises(StoreError, match="under way"), database.transaction():
            delete()
    assert store.replay_chain(chain_id, np.zeros((1, 2))).shape == (1,)
    assert not any(store.verify(hashes=True)["missing_files"])


def test_a_file_that_cannot_be_closed_keeps_what_was_committed(store, run):
    """On a full disk closing fails after the commit: who tried again would save it twice."""

    class Full:
        """The instance, on a disk without room for the log to be written into the file."""

        def __init__(self, instance):
            self.instance = instance

        def execute(self, query, *rest):
            if query.startswith("DETACH"):
                raise duckdb.IOException("No space left on device")
            return self.instance.execute(query, *rest)

        def __getattr__(self, name):
            return getattr(self.instance, name)

    gate = store._open.database._gate()
    with store.session():
        gate.attachment._instance = Full(gate.attachment._instance)
        pipeline = store.begin_pipeline(run, "kept", {}, [], "d", None)
    assert store.get_pipeline(pipeline)["name"] == "kept"


def test_a_full_journal_that_cannot_be_folded_now_is_no_error(
    store, pipeline, make_prediction, monkeypatch
):
    """The row is on the disk; an error would have it saved twice."""
    monkeypatch.setattr("mosaic_dagster.store.database.journal.writer.FULL", 1)
    store.save_prediction(**make_prediction(pipeline_id=pipeline))
    store._open.database.lock_timeout = 0.0
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with Database(store.workspace_path / "store.duckdb").lease():
            inside.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(30)
    try:
        saved = store.save_prediction(**make_prediction(pipeline_id=pipeline))
    finally:
        leave.set()
        holder.join()
    store._open.database.lock_timeout = 30.0
    assert store.get_prediction(saved) is not None


def test_an_identifier_made_of_a_hash_names_that_content_alone(store):
    """Else a later save of the real content would load the other object."""
    stored = store.objects.put(b"[4,5,6]", "json")
    path = f"{stored.digest[:2]}/{stored.digest}.json"
    with pytest.raises(StoreValueError, match="does not belong"):
        store.register_existing_artifact(
            "art_" + "0" * 64, path, stored.digest, "list", "model", "json", stored.size
        )
    with pytest.raises(StoreValueError, match="no format"):
        store.register_existing_artifact(
            "mine", path, stored.digest, "list", "model", "exe", stored.size
        )
