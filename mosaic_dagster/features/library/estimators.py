"""The scikit-learn estimators behind classifiers, and their probabilities row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.rowwise import project

EstimatorName = Literal["hist_gradient_boosting", "random_forest", "logistic_regression", "mlp"]

# Default of each parameter that an estimator takes, and its name in scikit-learn.
_TAKES: Mapping[str, Mapping[str, tuple[Any, str]]] = {
    "hist_gradient_boosting": {
        "n_estimators": (100, "max_iter"),
        "max_depth": (6, "max_depth"),
        "learning_rate": (0.1, "learning_rate"),
        "colsample_bytree": (0.8, "max_features"),
    },
    "random_forest": {
        "n_estimators": (100, "n_estimators"),
        "max_depth": (6, "max_depth"),
        "subsample": (0.8, "max_samples"),
        "colsample_bytree": (0.8, "max_features"),
    },
    "logistic_regression": {"max_iter": (1000, "max_iter")},
    "mlp": {
        "hidden_layer_sizes": ((64, 32), "hidden_layer_sizes"),
        "learning_rate": (0.001, "learning_rate_init"),
        "max_iter": (200, "max_iter"),
    },
}


def takes_missing(estimator: EstimatorName) -> bool:
    """Whether an estimator fits and predicts rows in which some values are NaN."""
    return estimator == "hist_gradient_boosting"


def estimator_options(estimator: EstimatorName, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given parameters with those of the estimator filled in.

    Parameters
    ----------
    estimator
        Name of the estimator.
    given
        Values by name; None where nothing was said. ``subsample`` 1 means the same as None where
        an estimator always sees all rows.

    Raises
    ------
    ValueError
        A parameter is given that the estimator does not take.
    """
    takes = _TAKES[estimator]
    options = dict(given)
    if "subsample" not in takes and options.get("subsample") == 1:
        options["subsample"] = None
    for name, value in options.items():
        if value is None and name in takes:
            options[name] = takes[name][0]
        elif value is not None and name not in takes:
            msg = f"{estimator} takes no {name}; it takes {', '.join(takes)}"
            raise ValueError(msg)
    return options


def build_estimator(estimator: EstimatorName, options: Mapping[str, Any], random_state: int) -> Any:
    """An estimator of scikit-learn that is not fitted yet and fits in one thread.

    Parameters
    ----------
    estimator
        Name of the estimator.
    options
        What :func:`estimator_options` gave.
    random_state
        Seed.
    """
    named = {sk_name: options[name] for name, (_, sk_name) in _TAKES[estimator].items()}
    named["random_state"] = random_state
    # Half a second each, paid by those who fit alone.
    match estimator:
        case "hist_gradient_boosting":
            from sklearn.ensemble import HistGradientBoostingClassifier

            return HistGradientBoostingClassifier(early_stopping=False, **named)
        case "random_forest":
            from sklearn.ensemble import RandomForestClassifier

            return RandomForestClassifier(n_jobs=1, **named)
        case "logistic_regression":
            from sklearn.linear_model import LogisticRegression

            return LogisticRegression(**named)
        case "mlp":
            from sklearn.neural_network import MLPClassifier

            return MLPClassifier(**named)


def has_converged(fitted: Any) -> bool:
    """Whether an iterative fit ended before its last iteration; trees always do."""
    if not hasattr(fitted, "coef_") and not hasattr(fitted, "coefs_"):
        return True
    return bool(np.max(fitted.n_iter_) < fitted.max_iter)


def row_probabilities(fitted: Any, points: FloatArray) -> FloatArray:
    """Probability of each class, shape (n_rows, n_classes), equal to ``predict_proba``.

    The probabilities of a row do not depend on the other rows or on the number of threads; linear
    models and perceptrons are computed here, because products from BLAS do, and so are forests,
    because threads would add their trees in any order.

    Parameters
    ----------
    fitted
        An estimator of :func:`build_estimator`, fitted on the classes 0, 1, …
    points
        Shape (n_rows, n_columns), at least one row.
    """
    if hasattr(fitted, "coef_"):
        return _from_scores(project(points, fitted.coef_) + fitted.intercept_)
    if hasattr(fitted, "coefs_"):
        return _perceptron(fitted, points)
    if hasattr(fitted, "estimators_"):
        return _forest(fitted, points)
    return np.asarray(fitted.predict_proba(points), dtype=np.float64)


def _forest(fitted: Any, points: FloatArray) -> FloatArray:
    single = points.astype(np.float32)
    total = np.zeros((len(points), len(fitted.classes_)))
    for tree in fitted.estimators_:
        total += tree.tree_.predict(single)
    return total / len(fitted.estimators_)


def _perceptron(fitted: Any, points: FloatArray) -> FloatArray:
    layer = points
    for weights, bias in zip(fitted.coefs_[:-1], fitted.intercepts_[:-1], strict=True):
        layer = np.maximum(project(layer, weights.T) + bias, 0.0)
    return _from_scores(project(layer, fitted.coefs_[-1].T) + fitted.intercepts_[-1])


def _from_scores(scores: FloatArray) -> FloatArray:
    """Logistic function of one score, softmax of several."""
    from scipy.special import expit, softmax

    if scores.shape[1] == 1:
        positive = expit(scores[:, 0])
        return np.stack([1.0 - positive, positive], axis=1)
    return np.asarray(softmax(scores, axis=1), dtype=np.float64)
