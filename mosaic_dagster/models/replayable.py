"""A trained classifier as one estimator of scikit-learn, for chains that are replayed."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.library.classification import TrainedClassifier


def as_estimator(trained: TrainedClassifier) -> Any:
    """An estimator that predicts the classes of a trained classifier.

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
    """
    if trained.strategy == "multiclass":
        model = _named(trained.estimators[0], trained.classes)
    else:
        model = _one_vs_rest(trained)
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


def _one_vs_rest(trained: TrainedClassifier) -> Any:
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import LabelBinarizer

    fitted = [copy.deepcopy(estimator) for estimator in trained.estimators]
    model = OneVsRestClassifier(fitted[0])
    # Of two classes it asks one estimator, that of the second.
    model.estimators_ = fitted[1:] if len(fitted) == 2 else fitted
    model.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(trained.classes)
    model.classes_ = trained.classes
    model.n_features_in_ = len(trained.columns)
    return model


def _scaler(given: FloatArray) -> Any:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = given[0].copy(), given[1].copy()
    scaler.var_ = np.square(given[1])
    scaler.n_features_in_ = given.shape[1]
    scaler.n_samples_seen_ = 1
    return scaler
