"""Training steps: looked up before they train, remembered in the workspace store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import mosaic_dagster
from mosaic_dagster import CallbackStep, EntryKey, Pipeline, TrainingStep
from mosaic_dagster.errors import PipelineDefinitionError, RunFailedError
from mosaic_dagster.store import StepOutput, TrainedChain, WorkspaceStore

ROOT = Path(mosaic_dagster.__file__).parents[1]


@pytest.fixture
def pipeline(trainer: Any) -> Pipeline:
    return Pipeline(name="models").add(TrainingStep("next_x", trainer.train, ["tracks"]))


def test_a_run_leaves_its_chain_with_predictions_that_can_be_replayed(
    added: Any, pipeline: Pipeline
) -> None:
    """X grows by one a frame, and 11 is the mean of all: each ridge gives about 12 there."""
    pipeline.run(added)
    with WorkspaceStore(added.path) as store:
        (run,) = store.list_runs().iter_rows(named=True)
        (row,) = store.list_pipelines().iter_rows(named=True)
        predictions = store.query_predictions(run_id=run["run_id"])
        assert (run["status"], run["name"], row["status"]) == ("completed", "models", "completed")
        assert row["name"] == "models/next_x"
        assert row["metric"] == "rmse"
        assert row["best_val"] == min(predictions["val_score"])
        assert sorted(predictions["fold_id"]) == ["fold_0", "fold_1", "fold_2"]
        first = store.get_prediction(predictions["prediction_id"][0], load_arrays=True)
        assert first is not None
        assert first["y_true"].shape == first["y_pred"].shape == (3,)
        (chain,) = store.get_chains_for_pipeline(row["pipeline_id"])["chain_id"]
        assert store.replay_chain(chain, np.array([[11.0]])) == pytest.approx([12.0], abs=0.5)
        assert not any(store.verify(hashes=True).values())


def test_what_is_trained_already_is_looked_up(added: Any, pipeline: Pipeline, trainer: Any) -> None:
    """A second run must neither train nor add rows; an added recording trains once more."""
    pipeline.run(added)
    pipeline.run(added)
    assert len(trainer.CALLS) == 1
    with WorkspaceStore(added.path) as store:
        assert store.list_runs().height == 1
    added.add_tracks(
        EntryKey("g", "s4"), added.tracks("g/s1").with_columns(pl.lit("s4").alias("sequence"))
    )
    pipeline.run(added)
    assert len(trainer.CALLS) == 2
    with WorkspaceStore(added.path) as store:
        assert store.list_runs().height == store.list_pipelines().height == 2


def test_the_same_training_has_the_same_digest(
    added: Any, pipeline: Pipeline, trainer: Any
) -> None:
    """Else everything below it is stale whenever somebody forces a training."""
    pipeline.run(added)
    before = pipeline.load(added)["next_x"].artifacts()
    pipeline.run(added, force_from="next_x")
    assert len(trainer.CALLS) == 2
    assert pipeline.load(added)["next_x"].artifacts() == before


def test_files_for_people_are_exported_and_models_are_not(added: Any, pipeline: Pipeline) -> None:
    pipeline.run(added)
    folder = added.exports / f"{added.name}_models"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["folds.txt"]


def test_a_training_that_fails_leaves_a_failed_run(
    added: Any, pipeline: Pipeline, trainer: Any
) -> None:
    """The next one trains again, and the failed one says why."""
    trainer.BROKEN.add("yes")
    with pytest.raises(RunFailedError, match="converge"):
        pipeline.run(added)
    with WorkspaceStore(added.path) as store:
        (run,) = store.list_runs().iter_rows(named=True)
        (row,) = store.list_pipelines().iter_rows(named=True)
        assert run["status"] == row["status"] == "failed"
        assert "converge" in row["error"]
        assert "converge" in run["error"]
    trainer.BROKEN.clear()
    pipeline.run(added)
    with WorkspaceStore(added.path) as store:
        assert list(store.list_runs()["status"]) == ["completed", "failed"]


def test_a_deleted_run_leaves_the_result_of_the_step(added: Any, pipeline: Pipeline) -> None:
    """Its objects belong to the pipeline's result, too; gc must not take them."""
    pipeline.run(added)
    with WorkspaceStore(added.path) as store:
        assert store.delete_run(store.list_runs()["run_id"][0]) > 0
        store.gc_artifacts(orphan_grace=0.0)
    files = pipeline.load(added)["next_x"].artifacts()
    assert len(files) == 8
    assert all(path.is_file() for path in files.values())


def test_the_rows_of_a_process_that_died_are_failed_by_the_next(
    added: Any, pipeline: Pipeline
) -> None:
    """Else a run stays 'running' for ever, and nobody knows whether to wait for it."""
    code = """
import os, signal, sys
from pathlib import Path
from mosaic_dagster import Dataset
from mosaic_dagster.pipeline.store_run import StoreRun
run = StoreRun(Dataset.open(Path(sys.argv[1])), "died")
run._begun(run._store())
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(added.path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    pipeline.run(added)
    with WorkspaceStore(added.path) as store:
        rows = {row["name"]: row for row in store.list_runs().iter_rows(named=True)}
    assert rows["models"]["status"] == "completed"
    assert rows["died"]["status"] == "failed"
    assert "ended without a word" in rows["died"]["error"]


def _chainless(dataset: Any, results: Any) -> StepOutput:
    return StepOutput(chains=[TrainedChain(steps=[], model_step_idx=0, model_class="")])


def _missing(dataset: Any, results: Any) -> StepOutput:
    step = {"step_idx": 0, "operator_class": "R", "params": {}, "role": "model", "stateless": False}
    chain = TrainedChain([step], 0, "R", fold_artifacts={"all": "ridge"})
    return StepOutput(chains=[chain])


def test_only_a_training_step_may_return_models(added: Any) -> None:
    """Else they would be stored where nobody looks."""
    pipeline = Pipeline(name="wrong").add(CallbackStep("plain", _chainless, ["tracks"]))
    with pytest.raises(RunFailedError, match="TrainingStep"):
        pipeline.run(added)


def test_a_training_step_must_train(added: Any) -> None:
    """Else it would end well, and its predictions would wait for ever."""
    pipeline = Pipeline(name="wrong").add(TrainingStep("idle", lambda *_: None, ["tracks"]))
    with pytest.raises(RunFailedError, match="no trained chain"):
        pipeline.run(added)


def test_a_chain_must_name_artifacts_that_were_returned(added: Any) -> None:
    """The step fails, and nothing is recorded that cannot be replayed."""
    pipeline = Pipeline(name="wrong").add(TrainingStep("lost", _missing, ["tracks"]))
    with pytest.raises(RunFailedError, match="'ridge', which its step did not return"):
        pipeline.run(added)


def test_a_training_step_is_over_the_whole_scope(trainer: Any) -> None:
    with pytest.raises(PipelineDefinitionError, match="per_entry"):
        TrainingStep("t", trainer.train, ["tracks"], per_entry=True)


def test_two_runs_that_train_the_same_leave_one_set_of_rows(
    added: Any, pipeline: Pipeline, trainer: Any
) -> None:
    """Two started at once both train; rankings with every model twice help nobody."""
    pipeline.run(added)
    pipeline.run(added, force_from="next_x")
    assert len(trainer.CALLS) == 2
    with WorkspaceStore(added.path) as store:
        assert store.list_pipelines().height == 1
        assert store.query_predictions().height == 3
