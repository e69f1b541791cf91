"""Several processes and threads on one workspace: nothing that was acknowledged is lost."""

import random
import threading
from itertools import chain

import numpy as np
import pytest

from mosaic_dagster.store.workspace import WorkspaceStore

pytestmark = pytest.mark.slow

ROW = """
import sys
import numpy as np
from mosaic_dagster.store.workspace import WorkspaceStore

def row(pipeline, number, chain=None):
    return dict(
        pipeline_id=pipeline, chain_id=chain, dataset_name="larvae", model_name=f"m{number}",
        model_class="Ridge", fold_id="fold_0", partition="val", val_score=float(number),
        test_score=None, train_score=None, metric="rmse", task_type="regression", n_samples=3,
        n_features=2, scores=None, best_params=None, branch_id=None, branch_name=None,
        exclusion_count=0, exclusion_rate=0.0,
    )
"""

WRITER = (
    ROW
    + """
folder, pipeline, access, first = sys.argv[1:]
with WorkspaceStore(folder, access=access, lock_timeout=120) as store:
    for number in range(int(first), int(first) + 200):
        store.save_prediction(**row(pipeline, number))
"""
)

READER = (
    ROW
    + """
folder, pipeline = sys.argv[1:]
seen = 0
with WorkspaceStore(folder, lock_timeout=120) as store:
    print("ready", flush=True)
    while seen < 800:
        found = store.query_predictions(pipeline_id=pipeline)
        assert found.height >= seen, (found.height, seen)
        assert found["model_name"].n_unique() == found.height
        store.top_predictions(3, group_by="fold_id")
        seen = found.height
print(seen)
"""
)

# What each line says is acknowledged.
VICTIM = (
    ROW
    + """
folder, pipeline = sys.argv[1:]
store = WorkspaceStore(folder, lock_timeout=120)
number = 0
while True:
    number += 1
    values = np.full(50 * (number % 40), float(number))
    arrays = {"y_true": values, "y_pred": -values}
    match number % 5:
        case 0:
            ids = store.save_predictions([dict(row(pipeline, number), arrays=arrays)] * 3)
        case 1:
            ids = [store.save_prediction(**row(pipeline, number))]
            store.save_prediction_arrays(ids[0], **arrays)
        case 2:
            artifact = store.save_artifact(np.arange(number), "array", "model", "npy")
            print("artifact", artifact, number, flush=True)
            ids = []
        case 3:
            store.log_step(pipeline, number, None, "end", 1)
            print("log", number, number, flush=True)
            ids = []
        case _:
            ids = [store.save_prediction(**row(pipeline, number), arrays=arrays)]
    for name in ids:
        print("prediction", name, number, flush=True)
"""
)


def _begin(folder):
    with WorkspaceStore(folder) as store:
        run = store.begin_run("run", {}, [{"name": "larvae"}])
        return store.begin_pipeline(run, "p", {}, None, "larvae", None)


@pytest.mark.parametrize("access", ["shared", "exclusive"])
def test_rows_of_four_writers_all_arrive(tmp_path, spawn, access):
    """Four times 200; in shared access two readers watch, and never fail or lose a row."""
    pipeline = _begin(tmp_path)
    readers = [spawn(READER, tmp_path, pipeline) for _ in range(2 if access == "shared" else 0)]
    for reader in readers:
        reader.stdout.readline()
    writers = [spawn(WRITER, tmp_path, pipeline, access, 200 * n) for n in range(4)]
    for process in (*writers, *readers):
        said, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
        assert process in writers or said.strip() == "800"
    with WorkspaceStore(tmp_path) as store:
        found = store.query_predictions()
        assert sorted(found["val_score"]) == [float(n) for n in range(800)]
        assert not list((tmp_path / "journal").iterdir())
        assert store.verify()["dangling_rows"] == []


def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path, spawn, kill_after_lines):
    """Ten writers are killed at random; every row that they were told of is there, and whole."""
    pipeline = _begin(tmp_path)
    chance = random.Random(7)
    said = []
    for _ in range(10):
        victim = spawn(VICTIM, tmp_path, pipeline)
        said += kill_after_lines(victim, chance.randint(1, 30), chance.uniform(0, 0.15))
    told = [line.split() for line in said]
    assert len(told) > 50
    with WorkspaceStore(tmp_path) as store, store.session():
        for kind, name, number in told:
            if kind == "artifact":
                np.testing.assert_array_equal(store.load_artifact(name), np.arange(int(number)))
            elif kind == "prediction":
                found = store.get_prediction(name, load_arrays=True)
                expected = np.full(50 * (int(number) % 40), float(number))
                np.testing.assert_array_equal(found["y_true"], expected)
                np.testing.assert_array_equal(found["y_pred"], -expected)
        steps = store.get_pipeline_log(pipeline)["step_idx"].to_list()
        for number in {int(number) for kind, _, number in told if kind == "log"}:
            assert steps.count(number) >= sum(
                1 for k, _, n in told if (k, n) == ("log", str(number))
            )
        names = {name for kind, name, _ in told if kind == "prediction"}
        found = store.verify(hashes=True)
        # Only who saves in two calls can be killed in between.
        bare = {
            store.get_prediction(name)["val_score"] % 5
            for name in found.pop("predictions_without_arrays")
        }
        assert bare <= {1.0}
        # A file whose claim the kill forestalled waits for the collector.
        assert len(found.pop("orphan_files")) <= 10
        assert found == {kind: [] for kind in found}
        assert names <= {*store.query_predictions()["prediction_id"]}


def test_threads_share_a_store(tmp_path):
    """Eight threads save, read and rank at once; no answer is another's."""
    pipeline = _begin(tmp_path)
    failures = []
    ids = {}
    scope = {}
    exec(ROW, scope)

    def work(store, number):
        try:
            mine = []
            for step in range(20):
                row = scope["row"](pipeline, 100 * number + step)
                values = np.full(step, float(number))
                mine.append(store.save_prediction(**row, arrays={"y_true": values}))
                found = store.get_prediction(mine[-1], load_arrays=True)
                assert found["val_score"] == 100 * number + step
                np.testing.assert_array_equal(found["y_true"], values)
                assert store.top_predictions(1)["val_score"][0] <= found["val_score"]
                store.log_step(pipeline, number, None, "end", 1)
            ids[number] = mine
        except Exception as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    with WorkspaceStore(tmp_path) as store, WorkspaceStore(tmp_path) as second:
        threads = [
            threading.Thread(target=work, args=(second if n == 7 else store, n)) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert {*store.query_predictions()["prediction_id"]} == {*chain.from_iterable(ids.values())}
        assert store.get_run_log_summary(store.list_runs()["run_id"][0])["log_count"][0] == 160


def test_another_process_sees_a_row_with_its_first_call(tmp_path, spawn):
    """Each side asks for what the other was just told; else a pipeline reads yesterday's scores."""
    code = ROW + (
        "folder, pipeline = sys.argv[1:]\n"
        "store = WorkspaceStore(folder)\n"
        "for name in sys.stdin:\n"
        "    found = store.get_prediction(name.strip(), load_arrays=True)\n"
        "    answer = store.save_prediction(**row(pipeline, len(found['y_true'])))\n"
        "    print(answer, flush=True)\n"
    )
    pipeline = _begin(tmp_path)
    other = spawn(code, tmp_path, pipeline)
    scope = {}
    exec(ROW, scope)
    with WorkspaceStore(tmp_path) as store:
        for number in range(1, 20):
            row = scope["row"](pipeline, number)
            name = store.save_prediction(**row, arrays={"y_true": np.zeros(number)})
            other.stdin.write(f"{name}\n")
            other.stdin.flush()
            answer = other.stdout.readline().strip()
            assert store.get_prediction(answer)["val_score"] == number


def test_a_forked_child_leaves_the_store_alone(tmp_path, spawn):
    """It is told to open its own; the parent's rows stay as they are."""
    code = ROW + (
        "import os\n"
        "from mosaic_dagster.errors import StoreError\n"
        "folder, pipeline = sys.argv[1:]\n"
        "store = WorkspaceStore(folder)\n"
        "store.save_prediction(**row(pipeline, 1))\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        "        store.save_prediction(**row(pipeline, 2))\n"
        "    except StoreError:\n"
        "        with WorkspaceStore(folder) as own:\n"
        "            own.save_prediction(**row(pipeline, 3))\n"
        "        sys.exit(0)\n"
        "    sys.exit(1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "store.save_prediction(**row(pipeline, 4))\n"
        "print(sorted(store.query_predictions()['val_score']))\n"
        "store.close()\n"
    )
    pipeline = _begin(tmp_path)
    said, errors = spawn(code, tmp_path, pipeline).communicate(timeout=60)
    assert said.strip() == "[1.0, 3.0, 4.0]", errors
    assert not list((tmp_path / "journal").iterdir())
