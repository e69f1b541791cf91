"""A small training step: the next X of each recording from this one, by ridge regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mosaic_dagster.store import StepOutput, TrainedChain

CALLS: list[str] = []
"""One line per training, so that a test sees what was looked up instead."""

BROKEN: set[str] = set()


def train(dataset: Any, results: Mapping[str, Any]) -> StepOutput:
    """One fold per recording: trained on the others, scored on it."""
    CALLS.append(dataset.name)
    if BROKEN:
        msg = "the optimiser did not converge"
        raise ArithmeticError(msg)
    tables = {str(key): table["X"].to_numpy() for key, table in results["tracks"].tables()}
    pairs = {key: (x[:-1, None], x[1:]) for key, x in tables.items()}
    scaler = StandardScaler().fit(np.concatenate([x for x, _ in pairs.values()]))
    models, predictions = {}, []
    for number, (key, (x, y)) in enumerate(pairs.items()):
        others = [pairs[other] for other in pairs if other != key]
        seen = np.concatenate([a for a, _ in others]), np.concatenate([b for _, b in others])
        model = Ridge(alpha=1.0).fit(scaler.transform(seen[0]), seen[1])
        models[f"fold_{number}"] = model
        predicted = model.predict(scaler.transform(x))
        rmse = float(np.sqrt(np.mean((predicted - y) ** 2)))
        predictions.append(
            {"fold_id": f"fold_{number}", "partition": "val", "val_score": rmse, "metric": "rmse",
             "task_type": "regression", "n_samples": len(y), "n_features": 1,
             "arrays": {"y_true": y, "y_pred": predicted}}
        )  # fmt: skip
    chain = TrainedChain(
        steps=[
            {"step_idx": 0, "operator_class": "StandardScaler", "params": {}, "stateless": False,
             "artifact_id": "scaler"},
            {"step_idx": 1, "operator_class": "Ridge", "params": {"alpha": 1.0},
             "artifact_id": None, "stateless": False, "role": "model"},
        ],
        model_step_idx=1,
        model_class="Ridge",
        fold_artifacts={fold: fold for fold in models},
        shared_artifacts={"0": ["scaler"]},
        preprocessings="scaled",
        config={"alpha": 1.0},
        predictions=predictions,
    )  # fmt: skip
    return StepOutput(
        outputs=[(f"{len(models)} folds\n", "folds", "txt")],
        metadata={"folds": len(models)},
        artifacts={"scaler": scaler, **models},
        chains=[chain],
    )
