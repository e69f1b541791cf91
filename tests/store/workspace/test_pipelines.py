"""Pipelines: their ending decides whether predictions count."""

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import StateError, StoreTypeError
from mosaic_dagster.store.workspace import WorkspaceStore

COLUMNS = [
    "pipeline_id", "run_id", "name", "expanded_config", "generator_choices", "dataset_name",
    "dataset_hash", "status", "created_at", "completed_at", "best_val", "best_test", "metric",
    "duration_ms", "error",
]  # fmt: skip


def test_a_pipeline_begins_running_with_all_it_was_given(store: WorkspaceStore, run: str):
    pipeline = store.begin_pipeline(run, "pls", {"n": np.int64(3)}, [{"n": 3}], "wheat", "abc")
    found = store.get_pipeline(pipeline)
    assert list(found) == COLUMNS
    found.pop("created_at")
    assert found == {
        "pipeline_id": pipeline,
        "run_id": run,
        "name": "pls",
        "expanded_config": {"n": 3},
        "generator_choices": [{"n": 3}],
        "dataset_name": "wheat",
        "dataset_hash": "abc",
        "status": "running",
        "completed_at": None,
        "best_val": None,
        "best_test": None,
        "metric": None,
        "duration_ms": None,
        "error": None,
    }


def test_a_pipeline_needs_a_run_that_is_under_way(store: WorkspaceStore):
    """A pipeline under a run that ended would change what was already reported."""
    with pytest.raises(KeyError, match="nobody"):
        store.begin_pipeline("nobody", "p", {}, None, "d", None)
    completed, failed = (store.begin_run(name, {}, []) for name in "ab")
    store.complete_run(completed, {})
    store.fail_run(failed, "x")
    for run in (completed, failed):
        with pytest.raises(StateError, match=run):
            store.begin_pipeline(run, "p", {}, None, "d", None)
    assert store.list_pipelines().is_empty()


def test_completing_keeps_figures_and_repeats_as_nothing(store: WorkspaceStore, pipeline: str):
    store.complete_pipeline(pipeline, np.float32(0.5), math.nan, "rmse", np.int64(2**40))
    first = store.get_pipeline(pipeline)
    assert first["status"] == "completed"
    assert (first["best_val"], first["best_test"]) == (0.5, None)
    assert (first["metric"], first["duration_ms"]) == ("rmse", 2**40)
    assert first["completed_at"] >= first["created_at"]
    store.complete_pipeline(pipeline, 9.0, 9.0, "mae", 9)
    assert store.get_pipeline(pipeline) == first


@pytest.mark.parametrize("score", [math.inf, -math.inf, math.nan, None])
def test_scores_that_are_not_finite_are_null(store: WorkspaceStore, pipeline: str, score: Any):
    """NaN in the column would sort above every score."""
    store.complete_pipeline(pipeline, score, score, None, None)
    with store._open.reading() as con:
        rows = con.execute("SELECT best_val IS NULL, best_test IS NULL FROM pipelines").fetchall()
    assert rows == [(True, True)]


def test_an_ended_pipeline_is_not_ended_the_other_way(store: WorkspaceStore, run: str):
    done, failed = (store.begin_pipeline(run, name, {}, None, "d", None) for name in "ab")
    store.complete_pipeline(done, 1.0, 1.0, "r2", 1)
    store.fail_pipeline(failed, "x")
    with pytest.raises(StateError, match=done):
        store.fail_pipeline(done, "late")
    with pytest.raises(StateError, match=failed):
        store.complete_pipeline(failed, 1.0, 1.0, "r2", 1)
    assert store.get_pipeline(done)["error"] is None
    assert store.get_pipeline(failed)["best_val"] is None


@pytest.mark.parametrize(
    "act",
    [
        lambda s: s.complete_pipeline("nobody", 1.0, 1.0, "r2", 1),
        lambda s: s.fail_pipeline("nobody", "x"),
    ],
)
def test_ending_an_unknown_pipeline_is_told(store: WorkspaceStore, act: Callable[[Any], None]):
    with pytest.raises(KeyError, match="nobody"):
        act(store)
    assert store.get_pipeline("nobody") is None


@pytest.mark.parametrize("keep_logs", [False, True])
def test_failing_takes_the_work_back(
    store: WorkspaceStore,
    pipeline: str,
    make_prediction: Callable[..., dict[str, Any]],
    make_chain: Callable[..., str],
    keep_logs: bool,
):
    """Half a pipeline among whole ones would be ranked with them; its files wait for gc.

    The chain names 3 artifacts (scaler, 2 folds), each at count 1 before and 0 after.
    """
    arrays = {"y_true": [1.0, 2.0], "y_pred": [1.0, 2.5]}
    chain = make_chain(store, pipeline)
    prediction = store.save_prediction(**make_prediction(chain_id=chain, arrays=arrays))
    store.log_step(pipeline, 0, "Scaler", "end")
    assert store.list_artifacts()["ref_count"].to_list() == [1, 1, 1]
    store.fail_pipeline(pipeline, "out of memory", keep_logs=keep_logs)
    found = store.get_pipeline(pipeline)
    assert (found["status"], found["error"]) == ("failed", "out of memory")
    assert found["completed_at"] is not None
    assert store.get_prediction(prediction) is None
    assert store.get_chain(chain) is None
    assert store.get_pipeline_log(pipeline).height == int(keep_logs)
    artifacts = store.list_artifacts()
    assert artifacts["ref_count"].to_list() == [0, 0, 0]
    assert all(store.get_artifact_path(a).is_file() for a in artifacts["artifact_id"])
    assert not any(store.verify().values())
    with store._open.reading() as con:
        assert con.execute("SELECT * FROM prediction_arrays").fetchall() == []


def test_failing_twice_gives_references_back_once(
    store: WorkspaceStore, run: str, pipeline: str, make_chain: Callable[..., str]
):
    """Two chains name the same objects; counts lowered twice would delete the other's files."""
    other = store.begin_pipeline(run, "other", {}, None, "larvae", None)
    make_chain(store, pipeline)
    make_chain(store, other)
    assert store.list_artifacts()["ref_count"].to_list() == [2, 2, 2]
    store.fail_pipeline(pipeline, "first")
    before = store.get_pipeline(pipeline)
    store.fail_pipeline(pipeline, "second")
    assert store.get_pipeline(pipeline) == before
    assert store.list_artifacts()["ref_count"].to_list() == [1, 1, 1]
    store.fail_run(run, "whole run")
    assert store.get_pipeline(pipeline) == before
    assert store.list_artifacts()["ref_count"].to_list() == [0, 0, 0]
    store.delete_run(run)
    assert store.list_artifacts()["ref_count"].to_list() == [0, 0, 0]
    assert not any(store.verify().values())


def test_nothing_is_saved_under_a_failed_pipeline(
    store: WorkspaceStore,
    pipeline: str,
    make_prediction: Callable[..., dict[str, Any]],
    make_chain: Callable[..., str],
):
    """It would be acknowledged and then thrown away."""
    store.save_prediction(**make_prediction())
    store.fail_pipeline(pipeline, "x")
    with pytest.raises(StateError):
        store.save_prediction(**make_prediction())
    with pytest.raises(StateError):
        store.save_predictions([make_prediction()])
    with pytest.raises(StateError):
        store.log_step(pipeline, 0, "Ridge", "end")
    with pytest.raises(StateError):
        make_chain(store, pipeline)
    assert store.query_predictions().is_empty()


def test_a_completed_pipeline_may_get_more(
    store: WorkspaceStore,
    pipeline: str,
    make_prediction: Callable[..., dict[str, Any]],
    make_chain: Callable[..., str],
):
    """Averages over folds are saved after the last fold."""
    store.complete_pipeline(pipeline, 0.1, 0.1, "rmse", 1)
    chain = make_chain(store, pipeline)
    store.save_prediction(**make_prediction(chain_id=chain, fold_id="avg"))
    store.log_step(pipeline, 3, "Ridge", "end")
    assert store.query_predictions(pipeline_id=pipeline).height == 1


def test_a_pipeline_is_not_taken_for_alive_that_fails_while_it_is_looked_up(
    store: WorkspaceStore,
    pipeline: str,
    make_prediction: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
):
    """Else every later prediction would be acknowledged and silently dropped.

    A second store looks the pipeline up; another thread fails it just before it is remembered.
    """
    with WorkspaceStore(store.workspace_path) as other:
        remember = other._open.alive.put
        failing = threading.Thread(target=other.fail_pipeline, args=(pipeline, "x"))

        def remember_late(key: str, value: bool) -> None:
            if not failing.ident:
                failing.start()
                failing.join(timeout=0.2)
            remember(key, value)

        monkeypatch.setattr(other._open.alive, "put", remember_late)
        other.save_prediction(**make_prediction())
        failing.join()
        with pytest.raises(StateError):
            other.save_prediction(**make_prediction())


def test_pipelines_are_listed_newest_first_by_run_and_exact_dataset(
    store: WorkspaceStore, run: str
):
    second = store.begin_run("second", {}, [])
    a = store.begin_pipeline(run, "a", {}, None, "wheat", None)
    b = store.begin_pipeline(run, "b", {}, None, "wheat%", None)
    c = store.begin_pipeline(second, "c", {}, None, "wheat", None)
    assert store.list_pipelines()["pipeline_id"].to_list() == [c, b, a]
    assert store.list_pipelines(run_id=run)["pipeline_id"].to_list() == [b, a]
    assert store.list_pipelines(dataset_name="wheat")["pipeline_id"].to_list() == [c, a]
    assert store.list_pipelines(run, "wheat")["pipeline_id"].to_list() == [a]
    assert store.list_pipelines(dataset_name="whea").is_empty()
    empty = store.list_pipelines("nobody")
    assert empty.schema == store.list_pipelines().schema
    assert empty.columns == COLUMNS
    assert empty.schema["best_val"] == pl.Float64


@pytest.mark.parametrize(
    "changes", [{"name": None}, {"dataset_name": None}, {"dataset_hash": 5}, {"name": b"x"}]
)
def test_names_must_be_text(store: WorkspaceStore, run: str, changes: dict[str, Any]):
    given = {"name": "p", "dataset_name": "d", "dataset_hash": "h"} | changes
    with pytest.raises(StoreTypeError, match=next(iter(changes))):
        store.begin_pipeline(
            run, given["name"], {}, None, given["dataset_name"], given["dataset_hash"]
        )


@pytest.mark.parametrize("figures", [("x", None, None, 1), (1.0, 1.0, 5, 1), (1.0, 1.0, "r", "1")])
def test_figures_of_other_types_leave_the_pipeline_running(
    store: WorkspaceStore, pipeline: str, figures: tuple[Any, ...]
):
    with pytest.raises(StoreTypeError):
        store.complete_pipeline(pipeline, *figures)
    assert store.get_pipeline(pipeline)["status"] == "running"
