"""Processes that work in one workspace are killed at random, and nothing they were told is lost.

Six kills, about 20 seconds; ``MOSAIC_KILLS=25 pytest tests/store/test_workspace_kills.py`` takes
more of them, and ``MOSAIC_KILL_SEED`` chooses others. The worker is this file, run as a program: it
trains small models over and over, and notes each acknowledgement in a file before it goes on.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mosaic_dagster.store.artifact_registry import ArtifactRegistry
from mosaic_dagster.store.database.journal import fold
from mosaic_dagster.store.database.journal.records import Record
from mosaic_dagster.store.database.journal.writer import JournalWriter
from mosaic_dagster.store.workspace import WorkspaceStore

KILLS = int(os.environ.get("MOSAIC_KILLS", "6"))
SEED = int(os.environ.get("MOSAIC_KILL_SEED", "0"))
WORKERS = 3
LONGEST = 250  # acknowledgements before a kill; training one run gives about 80
X = np.arange(40.0).reshape(10, 4) % 7
Y = X.sum(axis=1)

Note = Callable[..., None]


# The worker


def work(workspace: Path, notes: Path, seed: int) -> None:
    """Train, rank, replay, export, delete and collect until killed."""
    handle = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(what: str, **facts: Any) -> None:
        # What the operating system has is not lost with the process.
        os.write(handle, (json.dumps({"what": what, **facts}) + "\n").encode())

    draw = random.Random(seed)
    earlier: list[str] = []
    store = WorkspaceStore(workspace)
    note("ready")
    while True:
        earlier.append(train(store, note, draw))
        if len(earlier) > 1:
            leaving = earlier.pop(0)
            note("leaving", run=leaving)
            store.delete_run(leaving, delete_artifacts=draw.random() < 0.7)
            note("left", run=leaving)
        if draw.random() < 0.5:
            store.gc_artifacts(orphan_grace=0.0)
        if draw.random() < 0.2:
            store.vacuum()
        if draw.random() < 0.3:
            store.close()
            store = WorkspaceStore(workspace)


def train(store: WorkspaceStore, note: Note, draw: random.Random) -> str:
    run = store.begin_run("kills", {}, [{"name": "toy"}])
    note("run", run=run)
    for number in range(2):
        pipeline = store.begin_pipeline(run, f"p{number}", {}, [], "toy", None)
        note("pipeline", run=run, pipeline=pipeline, id=pipeline)
        facts = {"run": run, "pipeline": pipeline}
        chain = save_chain(store, note, draw, facts)
        save_predictions(store, note, draw, facts, chain)
        if draw.random() < 0.2:
            note("failing", pipeline=pipeline)
            store.fail_pipeline(pipeline, "meant to")
        else:
            store.complete_pipeline(pipeline, 0.1, 0.2, "rmse", 5)
    store.top_predictions(3, group_by="model_class")
    store.complete_run(run, {"done": True})
    note("completed", run=run)
    return run


def save_chain(
    store: WorkspaceStore, note: Note, draw: random.Random, facts: dict[str, str]
) -> str:
    """A scaler that every worker makes alike, one model by its content, one registered."""
    scaler = StandardScaler().fit(X)
    shared = store.save_artifact(scaler, "StandardScaler", "transformer")
    note("artifact", id=shared, **facts)
    models = [Ridge(draw.choice([0.1, 1.0, 10.0])).fit(scaler.transform(X), Y) for _ in range(2)]
    first = store.save_artifact(models[0], "Ridge", "model")
    note("artifact", id=first, **facts)
    registry = ArtifactRegistry(store.workspace_path, "toy", store, facts["pipeline"])
    path = "s1.StandardScaler>s2.Ridge"
    second = registry.register_with_chain(models[1], path, "model", 2, fold_id=1).artifact_id
    note("artifact", id=second, **facts)
    steps = [
        {"step_idx": 1, "operator_class": "StandardScaler", "params": {}, "stateless": False},
        {"step_idx": 2, "operator_class": "Ridge", "params": {}, "role": "model"},
    ]
    folds = {"fold_0": first, "fold_1": second}
    chain = store.save_chain(
        facts["pipeline"], steps, 2, "Ridge", "", "per_fold", folds, {"1": [shared]}
    )
    note("chain", id=chain, total=float(store.replay_chain(chain, X).sum()), **facts)
    store.export_chain(chain, store.workspace_path / "exports" / "last.n4a")
    return chain


def save_predictions(
    store: WorkspaceStore, note: Note, draw: random.Random, facts: dict[str, str], chain: str
) -> None:
    """Ten one by one through the journal, ten in one transaction, and logs."""

    def row(value: int) -> dict[str, Any]:
        return {
            "pipeline_id": facts["pipeline"], "chain_id": chain, "dataset_name": "toy",
            "model_name": "Ridge", "model_class": "Ridge", "fold_id": "fold_0",
            "partition": "val", "val_score": 0.1, "test_score": None, "train_score": None,
            "metric": "rmse", "task_type": "regression", "n_samples": 4, "n_features": 4,
            "scores": {}, "best_params": {}, "branch_id": None, "branch_name": None,
            "exclusion_count": 0, "exclusion_rate": 0.0,
            "arrays": {"y_true": np.zeros(4), "y_pred": np.full(4, float(value))},
        }  # fmt: skip

    values = [draw.randrange(1_000_000) for _ in range(20)]
    for value in values[:10]:
        note("prediction", id=store.save_prediction(**row(value)), value=value, **facts)
        store.log_step(facts["pipeline"], 2, "Ridge", "end", message=str(value))
        note("log", id=str(value), **facts)
    for name, value in zip(store.save_predictions(map(row, values[10:])), values[10:], strict=True):
        note("prediction", id=name, value=value, **facts)


# The test


@dataclass
class Worker:
    """A process, and after how many acknowledgements it is killed."""

    process: subprocess.Popen[bytes]
    notes: Path
    allowed: int

    @property
    def due(self) -> bool:
        """Whether its time has come; fails when it ended by itself."""
        assert self.process.poll() is None, self.notes.with_suffix(".err").read_text()[-3000:]
        return self.notes.exists() and self.notes.read_bytes().count(b"\n") >= self.allowed


@contextmanager
def workers(workspace: Path, notes: Path) -> Iterator[Callable[[random.Random], None]]:
    """Some workers; calling what is given kills the first that is due, and starts another."""
    numbers = itertools.count(SEED * 1000)
    running: list[Worker] = []

    def start() -> None:
        number = next(numbers)
        own = notes / f"{number}.jsonl"
        command = [sys.executable, __file__, str(workspace), str(own), str(number)]
        with own.with_suffix(".err").open("w") as errors:
            process = subprocess.Popen(command, stderr=errors)
        running.append(Worker(process, own, random.Random(number).randrange(1, LONGEST)))

    def kill_one(draw: random.Random) -> None:
        until = time.monotonic() + 120
        while not (due := [worker for worker in running if worker.due]):
            assert time.monotonic() < until, "the workers do not get on"
            time.sleep(0.005)
        # Wherever it is by then: in a fit, a save, a lease, a collection.
        time.sleep(draw.uniform(0, 0.1))
        due[0].process.send_signal(signal.SIGKILL)
        due[0].process.wait()
        running.remove(due[0])
        start()

    for _ in range(WORKERS):
        start()
    try:
        yield kill_one
    finally:
        for worker in running:
            worker.process.kill()
            worker.process.wait()


def notes_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Acknowledgements by kind; only a kill can have cut the last line of a file."""
    found = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                note = json.loads(line)
                found[note.pop("what")].append(note)
    return found


def wrong(store: WorkspaceStore, *, hashes: bool = False) -> dict[str, list[Any]]:
    """What does not fit together, but for files that no row names yet."""
    found = store.verify(hashes=hashes)
    found.pop("orphan_files")
    return {kind: items for kind, items in found.items() if items}


def check_acknowledged(store: WorkspaceStore, notes: dict[str, list[dict[str, Any]]]) -> int:
    """Compare the tables with the notes; how many rows were compared."""
    leaving = {note["run"] for note in notes["leaving"]}
    failing = {note["pipeline"] for note in notes["failing"]}
    kept = {
        kind: [n for n in found if n.get("run") not in leaving and n.get("pipeline") not in failing]
        for kind, found in notes.items()
    }
    known = set(store.list_artifacts()["artifact_id"])
    assert [n for n in kept.get("artifact", ()) if n["id"] not in known] == []
    assert [n for n in kept.get("run", ()) if store.get_run(n["run"]) is None] == []
    assert [n for n in kept.get("pipeline", ()) if store.get_pipeline(n["id"]) is None] == []
    for note in kept.get("completed", ()):
        assert (store.get_run(note["run"]) or {})["status"] == "completed"
    for note in kept.get("chain", ()):
        assert store.replay_chain(note["id"], X).sum() == pytest.approx(note["total"], abs=1e-9)
    for note in kept.get("prediction", ()):
        found = store.get_prediction(note["id"], load_arrays=True)
        assert found is not None, note
        assert found["y_pred"].tolist() == [note["value"]] * 4
    logged = {n["pipeline"]: set(store.get_pipeline_log(n["pipeline"])["message"])
              for n in kept.get("log", ())}  # fmt: skip
    assert [n for n in kept.get("log", ()) if n["id"] not in logged[n["pipeline"]]] == []
    for note in notes["left"]:
        assert store.get_run(note["run"]) is None, "a deleted run came back"
    return sum(map(len, kept.values()))


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_processes_are_killed(tmp_path: Path) -> None:
    """A lab whose machine dies at night must find every model and score that was reported."""
    draw = random.Random(SEED)
    workspace, notes = tmp_path / "workspace", tmp_path / "notes"
    notes.mkdir()
    with WorkspaceStore(workspace) as store:
        with workers(workspace, notes) as kill_one:
            for number in range(KILLS):
                kill_one(draw)
                assert wrong(store) == {}, f"after kill {number + 1} with seed {SEED}"
        with store.session():
            assert wrong(store, hashes=True) == {}
            acknowledged = notes_of(notes)
            assert check_acknowledged(store, acknowledged) > 10 * KILLS
            assert acknowledged["left"], "no run was deleted: the test tried too little"
        store.gc_artifacts(stale_claims_after=0.0, orphan_grace=0.0)
        assert not any(store.verify(hashes=True).values())
        with store.session():
            check_chains_alone(store, notes_of(notes))
    assert list((workspace / "journal").iterdir()) == []


def check_chains_alone(store: WorkspaceStore, notes: dict[str, list[dict[str, Any]]]) -> None:
    """After collecting, every chain that is still there has all its objects."""
    for note in notes["chain"]:
        if store.get_chain(note["id"]) is not None:
            assert store.replay_chain(note["id"], X).sum() == pytest.approx(note["total"])


KILLED_COLLECTOR = """
import os, signal, sys
import numpy as np
from mosaic_dagster.store.content import sweep
from mosaic_dagster.store.formats import encode
from mosaic_dagster.store.workspace import WorkspaceStore, collection

store = WorkspaceStore(sys.argv[1])
encoded = encode(np.arange(3.0), "npy")
store.objects.put(encoded.data, encoded.ext)
moved_aside = sweep._moved_aside

def save_then_move(objects, candidates):
    # What another process can do at any time, since saving takes no lease.
    print(store.save_artifact(np.arange(3.0), "ndarray", "model", "npy"), flush=True)
    return moved_aside(objects, candidates)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

sweep._moved_aside, collection.claimed = save_then_move, die
store.gc_artifacts(orphan_grace=0.0)
"""


@pytest.mark.slow
def test_a_collector_killed_with_a_file_in_its_hands_loses_nothing(tmp_path: Path) -> None:
    """An orphan's bytes are saved again while a collector takes the orphan away, and is killed.

    The save was acknowledged, so its object must be there when the next process asks.
    """
    command = [sys.executable, "-c", KILLED_COLLECTOR, str(tmp_path / "workspace")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    artifact = done.stdout.strip()
    assert artifact.startswith("art_"), "the save was not acknowledged before the kill"
    with WorkspaceStore(tmp_path / "workspace") as store:
        assert store.load_artifact(artifact).tolist() == [0.0, 1.0, 2.0]
        assert store.verify(hashes=True)["missing_files"] == []


def test_a_reader_does_not_chase_a_busy_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one process saves rows, each lease of another must end: it needs the rows that were
    there when it began, not those that come while it folds."""
    with WorkspaceStore(tmp_path) as store:
        writer = JournalWriter(tmp_path / "journal")
        record = Record("progress", ["job", 0, "fit", 0, 1, None, None, 0])
        folds = []

        def insert_while_another_row_comes(con: Any, records: Any) -> None:
            folds.append(len(records))
            if len(folds) < 20:
                writer.append(record)

        writer.append(record)
        monkeypatch.setattr(fold, "insert", insert_while_another_row_comes)
        store.list_runs()
        assert len(folds) <= 2
        writer.close()


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
