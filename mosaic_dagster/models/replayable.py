"""A trained classifier as one estimator of scikit-learn, for chains that are replayed."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from mosaic_dagster.errors import ReplayError
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.library.classification import TrainedClassifier
from mosaic_dagster.store.formats import decode


def as_artifact(trained: TrainedClassifier) -> Any:
    """What is kept of the classifier of a fold.

    Returns
    -------
    object
        For ``multiclass`` the estimator of :func:`as_estimator`. For ``one_vs_rest`` the mapping
        that a file of the classifier holds, which the feature ``classifier`` reads and replay
        refuses: an estimator of several against the rest would scale probabilities to add up to
        1, and of two classes ask one alone, so that its answers were not those that were scored.
    """
    if trained.strategy == "multiclass":
        return as_estimator(trained)
    return decode(trained.encode(), "skops")


def as_estimator(trained: TrainedClassifier) -> Any:
    """An estimator with the probabilities of a trained multiclass classifier.

    It takes the most probable class: thresholds and the default class are no part of it, and a
    row with missing values is an error unless the estimator takes them.

    Parameters
    ----------
    trained
        The classifier; it is not changed.

    Returns
    -------
    object
        With ``predict``, ``predict_proba`` (shape (n_rows, n_classes)) and ``classes_``.

    Raises
    ------
    ReplayError
        Its strategy is ``one_vs_rest``.
    """
    if trained.strategy != "multiclass":
        msg = f"A classifier with strategy={trained.strategy!r} is not one estimator."
        raise ReplayError(msg, "Train with strategy='multiclass', or use the feature classifier.")
    model = _named(trained.estimators[0], trained.classes)
    if trained.scaler is None:
        return model
    from sklearn.pipeline import Pipeline

    return Pipeline([("scaler", _scaler(trained.scaler)), ("model", model)])


def _named(fitted: Any, classes: IntArray) -> Any:
    """A copy of an estimator fitted on 0, 1, … that says the classes instead."""
    model = copy.deepcopy(fitted)
    model.classes_ = classes
    if hasattr(model, "_label_binarizer"):  # where a perceptron keeps its classes
        model._label_binarizer.classes_ = classes
    return model


def _scaler(given: FloatArray) -> Any:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = given[0].copy(), given[1].copy()
    scaler.var_ = np.square(given[1])
    scaler.n_features_in_ = given.shape[1]
    scaler.n_samples_seen_ = 1
    return scaler
