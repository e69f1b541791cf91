"""Models of the larvae's speed one second ahead, from how they move and bend now.

Each fold leaves out whole recordings, so that a model is never scored on a larva it has seen.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from mosaic_dagster import Dataset
from mosaic_dagster.charts import agreement
from mosaic_dagster.errors import FitError
from mosaic_dagster.pipeline import StepResult
from mosaic_dagster.store import StepOutput, TrainedChain

COLUMNS = ("speed", "angvel", "bend_0", "bend_1", "bend_2")
AHEAD = 16
"""Frames from the measured values to the predicted speed: one second."""

FOLDS = 4
_EVERY = 4
# Neighbouring frames say nearly the same.

MODELS = {"ridge": Ridge(alpha=1.0), "pls": PLSRegression(n_components=3)}

Array = np.ndarray[Any, Any]


def train_speed_models(dataset: Dataset, results: Mapping[str, StepResult]) -> StepOutput:
    """Two linear models in four folds over recordings, scored by the error of the speed."""
    X, y, recordings = _samples(results)
    scaler = StandardScaler().fit(X)
    scaled = scaler.transform(X)
    folds = list(GroupKFold(_folds(recordings)).split(scaled, y, recordings))
    artifacts: dict[str, Any] = {"scaler": scaler}
    chains, drawn = [], {}
    for name, model in MODELS.items():
        predicted = np.full(len(y), np.nan)
        predictions = []
        for number, (seen, unseen) in enumerate(folds):
            fitted = type(model)(**model.get_params()).fit(scaled[seen], y[seen])
            artifacts[f"{name}_{number}"] = fitted
            predicted[unseen] = fitted.predict(scaled[unseen]).ravel()
            predictions.append(_prediction(number, unseen, y, predicted))
        drawn[name] = (y, predicted)
        chains.append(_chain(name, model, predictions))
    unit = f"{dataset.manifest.unit or ''}/s"
    picture = agreement(drawn, "Speed one second ahead", unit)
    return StepOutput(
        artifacts=artifacts,
        outputs=[(picture, "speed_models", "png")],
        metadata={"samples": len(y), "recordings": len(set(recordings))},
        chains=chains,
    )


def _samples(results: Mapping[str, StepResult]) -> tuple[Array, Array, Array]:
    """Rows of all columns, the speed one second later, and the recording of each row."""
    tables = []
    for number, (key, table) in enumerate(results["kinematics"].tables()):
        joined = table.join(results["posture"].table(key), on=["frame", "id"], how="inner")
        values = joined.sort("frame").select(COLUMNS).to_numpy()
        rows = values[:-AHEAD:_EVERY], values[AHEAD::_EVERY, 0]
        usable = np.isfinite(rows[0]).all(axis=1) & np.isfinite(rows[1])
        tables.append((rows[0][usable], rows[1][usable], np.full(usable.sum(), number)))
    X, y, recordings = (np.concatenate(parts) for parts in zip(*tables, strict=True))
    return X, y, recordings


def _folds(recordings: Array) -> int:
    """As many folds as asked for, or as there are recordings."""
    count = len(set(recordings))
    if count < 2:
        msg = f"{count} recording is not enough to train on."
        raise FitError(msg, "At least two are needed, one to learn from and one to be scored on.")
    return min(FOLDS, count)


def _prediction(number: int, unseen: Array, y: Array, predicted: Array) -> dict[str, Any]:
    errors = predicted[unseen] - y[unseen]
    return {
        "fold_id": f"fold_{number}",
        "partition": "val",
        "val_score": float(np.sqrt(np.mean(errors**2))),
        "metric": "rmse",
        "task_type": "regression",
        "n_samples": len(unseen),
        "n_features": len(COLUMNS),
        "arrays": {
            "y_true": y[unseen],
            "y_pred": predicted[unseen],
            "sample_indices": unseen,
        },
    }


def _chain(name: str, model: Any, predictions: list[dict[str, Any]]) -> TrainedChain:
    kind = type(model).__name__
    return TrainedChain(
        steps=[
            {"step_idx": 0, "operator_class": "StandardScaler", "params": {},
             "artifact_id": "scaler", "stateless": False, "feature_names": list(COLUMNS)},
            {"step_idx": 1, "operator_class": kind, "params": model.get_params(),
             "artifact_id": None, "stateless": False, "role": "model"},
        ],
        model_step_idx=1,
        model_class=kind,
        fold_artifacts={f"fold_{n}": f"{name}_{n}" for n in range(len(predictions))},
        shared_artifacts={"0": ["scaler"]},
        preprocessings="StandardScaler",
        name=name,
        config={"model": name, "columns": list(COLUMNS), "frames_ahead": AHEAD},
        predictions=predictions,
    )  # fmt: skip
