from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mosaic_dagster.store.workspace import WorkspaceStore

Prediction = Callable[..., dict[str, Any]]
Chain = Callable[..., str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WorkspaceStore]:
    """A store on an empty workspace, closed at the end."""
    with WorkspaceStore(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def run(store: WorkspaceStore) -> str:
    """A running run over one dataset."""
    return store.begin_run("run", {"seed": 1}, [{"name": "larvae"}])


@pytest.fixture
def pipeline(store: WorkspaceStore, run: str) -> str:
    """A running pipeline of that run."""
    return store.begin_pipeline(run, "pls", {"steps": ["scale", "ridge"]}, None, "larvae", "abc")


@pytest.fixture
def make_prediction(pipeline: str) -> Prediction:
    """Keywords of save_prediction, of the running pipeline and without a chain; any may change."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "pipeline_id": pipeline,
            "chain_id": None,
            "dataset_name": "larvae",
            "model_name": "ridge",
            "model_class": "sklearn.linear_model.Ridge",
            "fold_id": "fold_0",
            "partition": "val",
            "val_score": 0.5,
            "test_score": 0.6,
            "train_score": 0.4,
            "metric": "rmse",
            "task_type": "regression",
            "n_samples": 3,
            "n_features": 2,
            "scores": {"val": {"rmse": 0.5}},
            "best_params": {"alpha": 1.0},
            "branch_id": None,
            "branch_name": None,
            "exclusion_count": 0,
            "exclusion_rate": 0.0,
        } | changes

    return make


@pytest.fixture
def make_chain() -> Chain:
    """Saves a chain of a scaler and one Ridge per fold, fitted on all but the fold's row."""

    def make(store: WorkspaceStore, pipeline_id: str, folds: int = 2, shift: float = 0.0) -> str:
        X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 1.0]]) + shift
        y = np.array([1.0, 2.0, 3.0, 5.0])
        scaler = StandardScaler().fit(X)
        shared = store.save_artifact(scaler, "sklearn.preprocessing.StandardScaler", "transformer")
        models = {}
        for fold in range(folds):
            kept = np.arange(4) != fold
            model = Ridge(alpha=0.1).fit(scaler.transform(X)[kept], y[kept])
            models[f"fold_{fold}"] = store.save_artifact(model, "sklearn.linear_model.Ridge")
        steps = [
            {
                "step_idx": 0,
                "operator_class": "sklearn.preprocessing.StandardScaler",
                "params": {},
                "artifact_id": shared,
                "stateless": False,
            },
            {
                "step_idx": 1,
                "operator_class": "sklearn.linear_model.Ridge",
                "params": {"alpha": 0.1},
                "artifact_id": None,
                "stateless": False,
                "role": "model",
            },
        ]
        return store.save_chain(
            pipeline_id,
            steps,
            1,
            "sklearn.linear_model.Ridge",
            "StandardScaler",
            "per_fold",
            models,
            {"0": [shared]},
        )

    return make
