"""Training steps as assets: models, predictions with scores, rows that carry the run id."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster import Pipeline, TrainingStep
from mosaic_dagster.store import WorkspaceStore

_TRAINER = Path(__file__).parents[1] / "pipeline" / "trainer.py"

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]


@pytest.fixture
def trainer(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lab's pipeline trains one model."""
    spec = importlib.util.spec_from_file_location("mosaic_toy_trainer", _TRAINER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    step = TrainingStep("next_x", module.train, ["tracks"])
    monkeypatch.setattr(lab, "pipeline", lambda: Pipeline(name="layered").add(step))
    return module


def test_models_and_predictions_are_assets_with_scores(
    lab: Any, trainer: Any, refresh: Callable[..., Any], events: Callable[[str], Any]
) -> None:
    """What people compare must be on the asset's page, and lead to the store's rows."""
    done = refresh()
    assert done.success, done.errors
    (model,) = events("layered/next_x/model")
    (predictions,) = events("layered/next_x")
    with WorkspaceStore(lab.workspace) as store:
        (run,) = store.list_runs().iter_rows(named=True)
        rows = store.query_predictions()
    assert run["status"] == "completed"
    assert model.metadata["store_run"].value == run["run_id"]
    assert model.metadata["models"].value == 1
    assert predictions.metadata["predictions"].value == 4
    assert predictions.metadata["dagster/row_count"].value == 4
    assert predictions.metadata["best_val_score"].value == pytest.approx(min(rows["val_score"]))
    assert predictions.metadata["metric"].value == "rmse"
    assert (lab.dataset.exports / "toy_layered" / "folds.txt").read_text() == "4 folds\n"


def test_the_rows_carry_the_dagster_run(
    lab: Any, trainer: Any, refresh: Callable[..., Any], instance: dg.DagsterInstance
) -> None:
    """From a prediction one gets to the run's page, and back."""
    assert refresh().success
    with WorkspaceStore(lab.workspace) as store:
        run = store.get_run(store.list_runs()["run_id"][0])
        pipeline = store.get_pipeline(store.list_pipelines()["pipeline_id"][0])
    assert run is not None
    assert pipeline is not None
    dagster_run = run["config"]["dagster_run_id"]
    assert instance.get_run_by_id(dagster_run) is not None
    assert pipeline["expanded_config"]["dagster_run_id"] == dagster_run


def test_a_second_refresh_trains_nothing_and_announces_nothing(
    lab: Any, trainer: Any, refresh: Callable[..., Any], events: Callable[[str], Any]
) -> None:
    assert refresh().success
    assert refresh().success
    assert len(trainer.CALLS) == 1
    assert len(events("layered/next_x/model")) == len(events("layered/next_x")) == 1


def test_a_failing_job_fails_its_store_run(
    lab: Any, trainer: Any, refresh: Callable[..., Any], events: Callable[[str], Any]
) -> None:
    """Else the store shows a run that never ends; and the next refresh mends it."""
    trainer.BROKEN.add("yes")
    assert not refresh().success
    with WorkspaceStore(lab.workspace) as store:
        (run,) = store.list_runs().iter_rows(named=True)
    assert run["status"] == "failed"
    assert "converge" in run["error"]
    trainer.BROKEN.clear()
    done = refresh()
    assert done.success, done.errors
    assert len(events("layered/next_x")) == 1
    with WorkspaceStore(lab.workspace) as store:
        assert list(store.list_runs()["status"]) == ["completed", "failed"]


def test_a_training_step_alone_ends_its_store_run(
    lab: Any, trainer: Any, refresh: Callable[..., Any], launch: Callable[..., Any]
) -> None:
    """Materialize on the models in the UI selects no report; the run must end all the same."""
    assert refresh().success
    lab.record("s1", 11.0)
    assert launch(assets=["tracks"]).success
    assert launch(assets=["layered/next_x/model"]).success
    with WorkspaceStore(lab.workspace) as store:
        assert list(store.list_runs()["status"]) == ["completed", "completed"]
