"""verify: damage that it does not name is found by the user, too late."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.errors import StoreError
from mosaic_dagster.store.workspace import WorkspaceStore, verification

KINDS = [
    "missing_files", "orphan_files", "corrupt_files", "wrong_ref_counts", "dangling_rows",
    "predictions_without_arrays", "damaged_journals",
]  # fmt: skip
ARRAYS = {"y_true": [1.0, 2.0], "y_pred": [1.0, 2.5]}


@pytest.fixture
def chain(
    store: WorkspaceStore,
    pipeline: str,
    make_prediction: Callable[..., dict[str, Any]],
    make_chain: Callable[..., str],
) -> str:
    """A sound workspace: run, pipeline, chain over three artifacts, prediction, arrays, log."""
    chain = make_chain(store, pipeline)
    store.save_prediction(**make_prediction(chain_id=chain, arrays=ARRAYS))
    store.log_step(pipeline, 0, "Scaler", "end")
    return chain


def damage(store: WorkspaceStore, statement: str) -> None:
    """Change the tables behind the store's back."""
    with store._open.writing() as con:
        con.execute(statement)


def found(store: WorkspaceStore, **options: bool) -> dict[str, list[Any]]:
    """What verify found, without the kinds of which there is nothing."""
    result = store.verify(**options)
    assert list(result) == KINDS
    return {kind: rows for kind, rows in result.items() if rows}


def a_file(store: WorkspaceStore) -> tuple[str, Path]:
    """Relative path and file of some artifact."""
    relative = store.list_artifacts()["artifact_path"][0]
    return relative, store.objects.root / relative


@pytest.mark.usefixtures("chain")
def test_a_sound_workspace_has_nothing_wrong(store: WorkspaceStore):
    assert found(store, hashes=True, repair=True) == {}


def test_a_new_workspace_has_nothing_wrong(store: WorkspaceStore):
    assert found(store, hashes=True) == {}


@pytest.mark.usefixtures("chain")
def test_a_missing_file_is_named_once(store: WorkspaceStore):
    relative, path = a_file(store)
    store.register_existing_artifact("x", relative, path.stem, "X", "model", "npy", 1)
    path.unlink()
    assert found(store, hashes=True) == {"missing_files": [relative]}
    assert found(store, repair=True) == {"missing_files": [relative]}


@pytest.mark.usefixtures("chain")
def test_an_orphan_file_is_named_and_never_deleted(store: WorkspaceStore):
    stored = store.objects.put(b"nobody's", "npy")
    relative = f"{stored.digest[:2]}/{stored.digest}.npy"
    assert found(store, repair=True) == {"orphan_files": [relative]}
    assert store.objects.exists(stored.digest)


@pytest.mark.parametrize("how", ["flipped", "cut"])
@pytest.mark.usefixtures("chain")
def test_an_altered_file_is_named_only_when_files_are_read(store: WorkspaceStore, how: str):
    relative, path = a_file(store)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"\0" + data[1:] if how == "flipped" else data[:-1])
    assert found(store) == {}
    assert found(store, hashes=True, repair=True) == {"corrupt_files": [relative]}
    assert path.exists()


@pytest.mark.usefixtures("chain")
def test_two_rows_that_disagree_about_a_file_are_both_looked_at(store: WorkspaceStore):
    """Which of the two came last must not decide whether the other is checked."""
    relative, path = a_file(store)
    for name, digest in (("0", "0" * 64), ("z", "f" * 64)):
        damage(
            store,
            "INSERT INTO main.artifacts (artifact_id, artifact_path, content_hash, created_at) "
            f"VALUES ('{name}', '{relative}', '{digest}', '2024-01-01')",
        )
        result = store.verify(hashes=True)
        assert result["corrupt_files"] == [relative]
        damage(store, f"DELETE FROM main.artifacts WHERE artifact_id = '{name}'")
    assert found(store, hashes=True) == {}
    assert path.exists()


@pytest.mark.usefixtures("chain")
def test_a_wrong_count_is_named_and_repaired(store: WorkspaceStore):
    """Too low by one deletes a model in use, too high keeps it for ever."""
    ids = store.list_artifacts()["artifact_id"].to_list()
    damage(store, f"UPDATE main.artifacts SET ref_count = 5 WHERE artifact_id = '{ids[0]}'")
    damage(store, f"UPDATE main.artifacts SET ref_count = 0 WHERE artifact_id = '{ids[1]}'")
    damage(store, f"UPDATE main.artifacts SET open_claims = 1 WHERE artifact_id = '{ids[2]}'")
    wrong = [
        {"artifact_id": ids[0], "ref_count": 5, "expected": 1},
        {"artifact_id": ids[1], "ref_count": 0, "expected": 1},
        {"artifact_id": ids[2], "ref_count": 1, "expected": 2},
    ]
    assert found(store) == {"wrong_ref_counts": wrong}
    assert found(store, repair=True) == {"wrong_ref_counts": wrong}
    assert found(store) == {}
    assert store.list_artifacts()["ref_count"].to_list() == [1, 1, 2]


@pytest.mark.usefixtures("chain")
def test_an_artifact_that_a_chain_names_and_that_has_no_row_is_named(store: WorkspaceStore):
    """The chain cannot be replayed any more; its file has become an orphan."""
    artifact = store.list_artifacts()["artifact_id"][0]
    relative, _ = a_file(store)
    damage(store, f"DELETE FROM main.artifacts WHERE artifact_id = '{artifact}'")
    assert found(store, repair=True) == {
        "orphan_files": [relative],
        "wrong_ref_counts": [{"artifact_id": artifact, "ref_count": None, "expected": 1}],
    }
    assert store.objects.exists(artifact.removeprefix("art_"))


@pytest.mark.parametrize(
    ("parent", "children"),
    [
        ("runs", {"pipelines"}),
        ("pipelines", {"chains", "logs", "predictions"}),
        ("chains", {"predictions"}),
        ("predictions", {"prediction_arrays"}),
    ],
)
def test_rows_without_their_parent_are_named_and_deleted_by_repair(
    store: WorkspaceStore, chain: str, parent: str, children: set[str]
):
    """No foreign key guards them. What hangs below a dangling row goes with it."""
    damage(store, f"DELETE FROM main.{parent}")
    first = found(store, repair=True)
    assert {row["table"] for row in first["dangling_rows"]} == children
    assert all(set(row) - {"table", "id"} for row in first["dangling_rows"])
    assert found(store) == {}
    referenced = 0 if parent in ("runs", "pipelines", "chains") else 1
    assert set(store.list_artifacts()["ref_count"]) == {referenced}
    assert len(list(store.objects.all())) == 3
    with store._open.reading() as con:
        left = con.execute("SELECT count(*) FROM main.prediction_arrays").fetchall()
    assert left == [(0,)]


def test_a_dangling_row_says_which_parent_it_lost(store: WorkspaceStore, run: str, pipeline: str):
    damage(store, "DELETE FROM main.runs")
    assert found(store) == {
        "dangling_rows": [{"table": "pipelines", "id": pipeline, "run_id": run}]
    }
    assert store.get_pipeline(pipeline) is not None


def test_predictions_without_arrays_are_named_and_kept(
    store: WorkspaceStore, make_prediction: Callable[..., dict[str, Any]]
):
    """They are allowed, but charts cannot show them."""
    bare = store.save_prediction(**make_prediction())
    store.save_prediction(**make_prediction(arrays=ARRAYS))
    assert found(store, repair=True) == {"predictions_without_arrays": [bare]}
    assert store.get_prediction(bare) is not None


def test_a_damaged_journal_is_named_and_kept(
    store: WorkspaceStore, make_prediction: Callable[..., dict[str, Any]]
):
    """Rows behind the damage were acknowledged; somebody may want to rescue them."""
    with store.session():
        store.log_step(make_prediction()["pipeline_id"], 0, "X", "end")
        for n in range(3):
            store.log_step(make_prediction()["pipeline_id"], n, "Y" * 50, "end")
        (path,) = (store.workspace_path / "journal").glob("*.jnl")
        data = bytearray(path.read_bytes())
        second = data.index(b"MJ1\n", data.index(b"Y" * 50))
        data[second + 40] ^= 0xFF
        path.write_bytes(bytes(data))
        assert found(store, repair=True) == {"damaged_journals": [path.name]}
        assert path.exists()


def test_repair_needs_a_store_that_may_write(store: WorkspaceStore, chain: str):
    damage(store, "UPDATE main.artifacts SET ref_count = 9")
    with WorkspaceStore(store.workspace_path, read_only=True) as reader:
        assert len(found(reader, hashes=True)["wrong_ref_counts"]) == 3
        with pytest.raises(StoreError, match="read-only"):
            reader.verify(repair=True)


@pytest.mark.usefixtures("chain")
def test_others_may_use_the_database_while_files_are_read(
    store: WorkspaceStore, monkeypatch: pytest.MonkeyPatch
):
    """Reading a full disk takes hours, and everybody else would time out meanwhile."""
    digest_file = verification.digest_file
    seen: list[Any] = []

    def look(path: Path) -> str:
        reader = threading.Thread(target=lambda: seen.append(store.list_runs().height))
        reader.start()
        reader.join(timeout=5)
        return digest_file(path)

    monkeypatch.setattr(verification, "digest_file", look)
    assert store.verify(hashes=True)["corrupt_files"] == []
    assert seen == [1, 1, 1]


@pytest.mark.usefixtures("chain")
def test_a_file_that_a_collector_takes_meanwhile_is_not_called_corrupt(
    store: WorkspaceStore, monkeypatch: pytest.MonkeyPatch
):
    def gone(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(verification, "digest_file", gone)
    assert found(store, hashes=True) == {}
    monkeypatch.setattr(verification, "digest_file", lambda path: (path / "x").read_text())
    assert len(found(store, hashes=True)["corrupt_files"]) == 3
