"""Estimators: the probabilities that are stored must be those of scikit-learn, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.ensemble  # noqa: F401 - its import takes a second, which no test is to pay
from threadpoolctl import threadpool_limits

from mosaic_dagster.features.library.estimators import (
    build_estimator,
    estimator_options,
    has_converged,
    row_probabilities,
)

SMALL = {
    "hist_gradient_boosting": {"n_estimators": 8},
    "random_forest": {"n_estimators": 8},
    "logistic_regression": {},
    "mlp": {"hidden_layer_sizes": (8, 4), "max_iter": 500, "learning_rate": 0.05},
}


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


def fitted(name: str, n_classes: int):
    rng = np.random.default_rng(0)
    classes = np.arange(90) % n_classes
    points = rng.normal(size=(90, 5)) + 3.0 * classes[:, None]
    options = estimator_options(name, _all_options() | SMALL[name])
    return build_estimator(name, options, 0).fit(points, classes), points


def _all_options() -> dict[str, None]:
    names = ("n_estimators", "max_depth", "learning_rate", "subsample", "colsample_bytree")
    return dict.fromkeys((*names, "max_iter", "hidden_layer_sizes"))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_probabilities_are_those_of_the_estimator_and_of_the_row_alone(name, n_classes):
    estimator, points = fitted(name, n_classes)
    found = row_probabilities(estimator, points)
    np.testing.assert_allclose(found, estimator.predict_proba(points), rtol=0, atol=1e-12)
    alone = np.concatenate([row_probabilities(estimator, points[i : i + 1]) for i in range(9)])
    np.testing.assert_array_equal(alone, found[:9])
    np.testing.assert_array_equal(row_probabilities(estimator, points[::-3]), found[::-3])


def test_parameters_of_other_estimators_are_refused():
    """A depth that is silently ignored would be reported as if it had been used."""
    options = _all_options() | {"max_depth": 3}
    with pytest.raises(ValueError, match="logistic_regression takes no max_depth; it takes max_it"):
        estimator_options("logistic_regression", options)
    with pytest.raises(ValueError, match="hist_gradient_boosting takes no subsample"):
        estimator_options("hist_gradient_boosting", _all_options() | {"subsample": 0.5})
    kept = estimator_options("hist_gradient_boosting", _all_options() | {"subsample": 1.0})
    assert kept["subsample"] is None


def test_parameters_reach_the_estimator_under_its_names():
    given = {"n_estimators": 7, "max_depth": 2, "colsample_bytree": 0.5, "learning_rate": 0.3}
    options = estimator_options("hist_gradient_boosting", _all_options() | given)
    made = build_estimator("hist_gradient_boosting", options, 5)
    assert (made.max_iter, made.max_depth, made.max_features) == (7, 2, 0.5)
    assert (made.learning_rate, made.early_stopping, made.random_state) == (0.3, False, 5)
    forest = build_estimator("random_forest", estimator_options("random_forest", _all_options()), 1)
    assert (forest.n_estimators, forest.max_samples, forest.n_jobs) == (100, 0.8, 1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_iterative_fit_that_was_cut_short_is_known():
    for name in ("logistic_regression", "mlp"):
        assert has_converged(fitted(name, 2)[0])
        options = estimator_options(name, _all_options() | {"max_iter": 1})
        points = np.random.default_rng(0).normal(size=(40, 3))
        assert not has_converged(build_estimator(name, options, 0).fit(points, points[:, 0] > 0))
