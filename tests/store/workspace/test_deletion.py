"""Deleting: all of a run goes, and nothing of its neighbours."""

from collections.abc import Callable
from typing import Any

import pytest

from mosaic_dagster.errors import StoreError
from mosaic_dagster.store.workspace import WorkspaceStore, references

TABLES = ("runs", "pipelines", "chains", "predictions", "prediction_arrays", "logs")
ARRAYS = {"y_true": [1.0, 2.0], "y_pred": [1.0, 2.5]}

Prediction = Callable[..., dict[str, Any]]
Chain = Callable[..., str]


def rows(store: WorkspaceStore) -> dict[str, int]:
    """Rows of each table that a run fills."""
    with store._open.reading() as con:
        return {
            table: con.execute(f"SELECT count(*) FROM main.{table}").fetchall()[0][0]
            for table in TABLES
        }


def wrong(store: WorkspaceStore) -> list[Any]:
    """What verify found; predictions may lack arrays."""
    found = store.verify(hashes=True)
    found.pop("predictions_without_arrays")
    return [row for rows in found.values() for row in rows]


def fill(
    store: WorkspaceStore, make_prediction: Prediction, make_chain: Chain, shift: float
) -> tuple[str, str]:
    """Make a run of 1 + 2 pipelines + 2 chains + 6 predictions + 4 arrays + 2 logs = 17 rows.

    Returns
    -------
    tuple of str
        The run and its first pipeline.
    """
    run = store.begin_run("r", {}, [])
    pipelines = [store.begin_pipeline(run, name, {}, None, "d", None) for name in "ab"]
    for pipeline in pipelines:
        chain = make_chain(store, pipeline, shift=shift)
        for fold in ("fold_0", "fold_1"):
            given = make_prediction(pipeline_id=pipeline, chain_id=chain, fold_id=fold)
            store.save_prediction(**given, arrays=ARRAYS)
        store.save_prediction(**make_prediction(pipeline_id=pipeline, partition="test"))
        store.log_step(pipeline, 0, "Scaler", "end")
    return run, pipelines[0]


@pytest.mark.parametrize("ending", ["running", "completed", "failed"])
def test_a_run_goes_with_all_it_made_whatever_its_state(
    store: WorkspaceStore, make_prediction: Prediction, make_chain: Chain, ending: str
):
    """17 rows, see fill; of a failed run 1 + 2 are left. The shift changes the scaler alone."""
    with store.session():
        kept, _ = fill(store, make_prediction, make_chain, 0.0)
        before = rows(store)
        run, _ = fill(store, make_prediction, make_chain, 1.0)
        files = {store.get_artifact_path(a) for a in store.list_artifacts()["artifact_id"]}
        if ending == "completed":
            store.complete_run(run, {})
        if ending == "failed":
            store.fail_run(run, "x")
        assert store.delete_run(run) == (3 if ending == "failed" else 17)
        assert rows(store) == before
        assert store.get_run(kept) is not None
        if ending == "failed":
            assert store.gc_artifacts() == 1
        left = {store.get_artifact_path(a) for a in store.list_artifacts()["artifact_id"]}
        assert len(left) == 3
        assert {path for path in files if path.exists()} == left
        assert wrong(store) == []


def test_objects_that_another_run_names_stay(
    store: WorkspaceStore, make_prediction: Prediction, make_chain: Chain
):
    """Two runs with one scaler: deleting the first must not break replay of the second."""
    with store.session():
        first, _ = fill(store, make_prediction, make_chain, 0.0)
        second, pipeline = fill(store, make_prediction, make_chain, 0.0)
        store.delete_run(first)
        assert store.list_artifacts()["ref_count"].to_list() == [2, 2, 2]
        chain = store.get_chains_for_pipeline(pipeline)["chain_id"][0]
        assert store.replay_chain(chain, [[0.0, 1.0]]).shape == (1,)
        store.delete_run(second)
        assert store.list_artifacts().is_empty()
        assert list(store.objects.all()) == []


def test_without_artifacts_the_references_are_given_back_all_the_same(
    store: WorkspaceStore, make_prediction: Prediction, make_chain: Chain
):
    """Otherwise the files stay for ever, since nothing counts them down again."""
    with store.session():
        run, _ = fill(store, make_prediction, make_chain, 0.0)
        assert store.delete_run(run, delete_artifacts=False) == 17
        table = store.list_artifacts()
        assert table["ref_count"].to_list() == [0, 0, 0]
        assert all(store.get_artifact_path(a).is_file() for a in table["artifact_id"])
        assert store.gc_artifacts() == 3
        assert list(store.objects.all()) == []


def test_a_claimed_object_stays_when_the_run_that_used_it_goes(
    store: WorkspaceStore, run: str, pipeline: str
):
    """Another worker saved the same object and has not saved its chain yet."""
    for _ in range(2):
        artifact = store.save_artifact([1], "X", "model", "json")
    step = {"step_idx": 0, "operator_class": "X", "params": {}}
    store.save_chain(pipeline, [step], 0, "X", "", "shared", {"all": artifact}, {})
    store.delete_run(run)
    assert store.list_artifacts()["ref_count"].to_list() == [1]
    assert store.load_artifact(artifact) == [1]


def test_an_unknown_run_deletes_nothing(store: WorkspaceStore, run: str):
    assert store.delete_run("nobody") == 0
    assert store.delete_run(run) == 1
    assert store.delete_run(run) == 0


def test_deleting_is_all_or_nothing(
    store: WorkspaceStore,
    make_prediction: Prediction,
    make_chain: Chain,
    monkeypatch: pytest.MonkeyPatch,
):
    """Stopped after the references were given back, before the rows went."""
    run, _ = fill(store, make_prediction, make_chain, 0.0)
    before, counts = rows(store), store.list_artifacts()
    give_back = references.give_back

    def stop(con: Any) -> list[str]:
        give_back(con)
        raise KeyboardInterrupt

    monkeypatch.setattr(references, "give_back", stop)
    with pytest.raises(KeyboardInterrupt):
        store.delete_run(run)
    assert rows(store) == before
    assert store.list_artifacts().equals(counts)
    assert wrong(store) == []


def test_rows_journalled_for_a_run_that_goes_do_not_come_back(
    store: WorkspaceStore, run: str, pipeline: str, make_prediction: Prediction
):
    """Another process acknowledges a prediction from memory after the run went."""
    with WorkspaceStore(store.workspace_path) as other:
        other.save_prediction(**make_prediction())
        assert store.delete_run(run) == 3
        # What another process has seen alive, this one cannot make it forget.
        other._open.alive.put(("pipeline", pipeline), True)
        late = other.save_prediction(**make_prediction(arrays=ARRAYS))
        other.log_step(pipeline, 0, "Ridge", "end")
        assert other.get_prediction(late) is None
    assert rows(store) == dict.fromkeys(TABLES, 0)
    assert wrong(store) == []


def test_after_a_delete_its_pipelines_are_not_taken_for_alive(
    store: WorkspaceStore, run: str, pipeline: str, make_prediction: Prediction
):
    store.save_prediction(**make_prediction())
    store.delete_run(run)
    with pytest.raises(KeyError, match=pipeline):
        store.save_prediction(**make_prediction())


def test_a_prediction_goes_with_its_arrays(store: WorkspaceStore, make_prediction: Prediction):
    first = store.save_prediction(**make_prediction(arrays=ARRAYS))
    second = store.save_prediction(**make_prediction(arrays=ARRAYS))
    bare = store.save_prediction(**make_prediction())
    assert store.delete_prediction(first) is True
    assert store.delete_prediction(bare) is True
    assert store.delete_prediction(first) is False
    assert store.delete_prediction("nobody") is False
    assert store.get_prediction(first) is None
    assert store.get_prediction(second, load_arrays=True)["y_pred"].tolist() == [1.0, 2.5]
    assert rows(store) | {"runs": 0} == dict.fromkeys(TABLES, 0) | {
        "pipelines": 1,
        "predictions": 1,
        "prediction_arrays": 1,
    }
    with pytest.raises(KeyError, match=bare):
        store.save_prediction_arrays(bare, **ARRAYS)


def test_a_store_that_only_reads_deletes_nothing(
    store: WorkspaceStore, run: str, make_prediction: Prediction
):
    prediction = store.save_prediction(**make_prediction())
    with WorkspaceStore(store.workspace_path, read_only=True) as reader:
        with pytest.raises(StoreError):
            reader.delete_run(run)
        with pytest.raises(StoreError):
            reader.delete_prediction(prediction)
        assert reader.get_prediction(prediction) is not None
