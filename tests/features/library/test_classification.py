"""Classifiers of arrays: what features and training share must decide alike."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.ensemble  # noqa: F401 - its import takes a second, which no test is to pay
from threadpoolctl import threadpool_limits

from mosaic_dagster.errors import FitError, ParamsError, UntrustedArtifactError
from mosaic_dagster.features.library.classification import (
    ClassifierSettings,
    TrainedClassifier,
    class_thresholds,
    fit_classifier,
    resample,
    usable_rows,
)
from mosaic_dagster.store.formats import encode

FAST = {
    "hist_gradient_boosting": {"n_estimators": 5},
    "random_forest": {"n_estimators": 5},
    "logistic_regression": {},
    "mlp": {"hidden_layer_sizes": (8,), "learning_rate": 0.05},
}


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


def blobs(n: int = 60, classes: tuple[int, ...] = (1, 3)) -> tuple[np.ndarray, np.ndarray]:
    """Class number i around (10 i, 10 i)."""
    rng = np.random.default_rng(0)
    labels = np.array(classes)[np.arange(n) % len(classes)]
    centers = 10.0 * np.searchsorted(classes, labels)
    return rng.normal(size=(n, 2)) + centers[:, None], labels


def settings(**params: object) -> ClassifierSettings:
    name = params.get("estimator", "hist_gradient_boosting")
    return ClassifierSettings(**{"default_class": -1, **FAST[name], **params})


@pytest.mark.parametrize("strategy", ["multiclass", "one_vs_rest"])
@pytest.mark.parametrize("estimator", sorted(FAST))
def test_any_whole_numbers_are_classes_and_survive_being_stored(estimator, strategy):
    """Classes -2, 1 and 30 are far apart, and no estimator numbers them from 0."""
    values, labels = blobs(90, (-2, 1, 30))
    trained = fit_classifier(
        values, labels, ("a", "b"), settings(estimator=estimator, strategy=strategy)
    )
    assert trained.classes.tolist() == [-2, 1, 30]
    probabilities = trained.probabilities(values)
    assert probabilities.shape == (90, 3)
    assert (trained.decide(probabilities) == labels).mean() > 0.95
    data = trained.encode()
    back = TrainedClassifier.decode(data)
    np.testing.assert_array_equal(back.probabilities(values), probabilities)
    assert (back.encode(), back.columns, back.strategy) == (data, ("a", "b"), strategy)
    again = fit_classifier(
        values, labels, ("a", "b"), settings(estimator=estimator, strategy=strategy)
    )
    assert again.encode() == data


def test_one_vs_rest_asks_each_class_by_itself():
    """Its probabilities are those of one estimator per class and need not add up to 1."""
    values, labels = blobs(90, (0, 1, 2))
    values = values / 8
    sums = {}
    for strategy in ("multiclass", "one_vs_rest"):
        trained = fit_classifier(values, labels, "ab", settings(strategy=strategy))
        sums[strategy] = trained.probabilities(values).sum(axis=1)
        assert len(trained.estimators) == (1 if strategy == "multiclass" else 3)
    np.testing.assert_allclose(sums["multiclass"], 1.0)
    assert np.abs(sums["one_vs_rest"] - 1).max() > 0.01


@pytest.mark.parametrize("estimator", sorted(FAST))
def test_rows_that_cannot_be_predicted_are_nan_and_default(estimator):
    """Boosted trees need one value, the others all."""
    values, labels = blobs()
    trained = fit_classifier(values, labels, "ab", settings(estimator=estimator))
    rows = np.array([[0.0, 0.0], [10.0, np.nan], [np.nan, np.nan]])
    probabilities = trained.probabilities(rows)
    expected = [False, estimator != "hist_gradient_boosting", True]
    assert np.isnan(probabilities).all(axis=1).tolist() == expected
    classes = trained.decide(probabilities)
    assert classes[0] == 1
    assert classes[2] == -1
    assert (classes[1] == -1) == expected[1]


def test_rows_with_missing_values_are_left_out_of_fits_that_cannot_use_them():
    """Of 60 rows 10 lack a value: trees train on 60, a regression on 50."""
    values, labels = blobs()
    values[:10, 0] = np.nan
    assert fit_classifier(values, labels, "ab", settings()).counts.sum() == 60
    linear = settings(estimator="logistic_regression")
    assert fit_classifier(values, labels, "ab", linear).counts.sum() == 50
    assert usable_rows(np.array([[1e300, 0.0]]), "random_forest").tolist() == [False]


def test_a_column_that_is_missing_everywhere_or_constant_does_not_end_the_fit():
    values, labels = blobs()
    values[:, 1] = np.nan
    trained = fit_classifier(values, labels, "ab", settings())
    assert (trained.decide(trained.probabilities(values)) == labels).mean() > 0.95
    values[:, 1] = 4.0
    linear = fit_classifier(values, labels, "ab", settings(estimator="logistic_regression"))
    assert (linear.decide(linear.probabilities(values)) == labels).mean() > 0.95


def test_the_weight_of_a_rare_class():
    """95 rows of class 1, 5 of class 3 in one place: unweighted 5 %, balanced half and half."""
    values, labels = np.zeros((100, 1)), np.repeat([1, 3], [95, 5])
    for weight, expected in ((None, 0.05), ("balanced", 0.5)):
        for strategy in ("multiclass", "one_vs_rest"):
            wanted = settings(
                class_weight=weight, strategy=strategy, estimator="logistic_regression"
            )
            rare = fit_classifier(values, labels, "a", wanted).probabilities(values)[0, 1]
            np.testing.assert_allclose(rare, expected, atol=1e-3)


def test_resampling_first_cuts_then_repeats():
    """100, 10 and 4 rows with ratio 2: 8, 8 and 4; repeated to 8 each."""
    labels = np.repeat([0, 1, 2], [100, 10, 4])
    cut = settings(undersample_ratio=2.0)
    assert np.bincount(labels[resample(labels, cut)]).tolist() == [8, 8, 4]
    both = settings(undersample_ratio=2.0, oversample=True)
    assert np.bincount(labels[resample(labels, both)]).tolist() == [8, 8, 8]
    assert resample(labels, settings()).tolist() == list(range(114))
    trained = fit_classifier(np.arange(114.0)[:, None], labels, "a", both)
    assert trained.counts.tolist() == [8, 8, 8]


def test_thresholds_name_classes_that_are_there():
    classes = np.array([1, 3])
    assert class_thresholds(None, classes) is None
    assert class_thresholds(0.5, classes).tolist() == [0.5, 0.5]
    assert class_thresholds({3: 0.7}, classes).tolist() == [0.0, 0.7]
    with pytest.raises(ParamsError, match="names the class 2, which has no rows"):
        class_thresholds({2: 0.7}, classes)


def test_what_cannot_be_fitted_is_refused():
    values, labels = blobs()
    with pytest.raises(FitError, match="the 60 usable rows hold only class 7"):
        fit_classifier(values, np.full(60, 7), "ab", settings())
    with pytest.raises(FitError, match="no class at all"):
        fit_classifier(np.full((2, 2), np.nan), labels[:2], "ab", settings())
    with pytest.raises(ParamsError, match="no default_class"):
        fit_classifier(values, labels, "ab", settings(default_class=None))


def test_other_files_are_no_classifiers():
    for data in (b"text", encode({"columns": []}, "skops").data, encode([1], "skops").data):
        with pytest.raises(ParamsError, match=r"model\.skops"):
            TrainedClassifier.decode(data, "model.skops")


def test_a_file_with_foreign_types_is_never_opened():
    """Loading a classifier that a stranger made must not run what is in it."""
    from fractions import Fraction

    with pytest.raises(UntrustedArtifactError, match=r"fractions\.Fraction"):
        TrainedClassifier.decode(encode({"columns": Fraction(1, 2)}, "skops").data)


def test_another_decision_leaves_the_probabilities_alone():
    values, labels = blobs()
    trained = fit_classifier(values, labels, "ab", settings())
    strict = trained.with_decision(9, 1.0)
    np.testing.assert_array_equal(strict.probabilities(values), trained.probabilities(values))
    assert set(strict.decide(strict.probabilities(values))) == {9}
    assert trained.with_decision(None, None) == trained
