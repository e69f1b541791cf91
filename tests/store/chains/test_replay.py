import time

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import KFold
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, Normalizer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mosaic_dagster.errors import ReplayError, StoreValueError
from mosaic_dagster.store.chains import operators, predict_chain, register_operator

NORMALIZER = "sklearn.preprocessing.Normalizer"


def descriptor(index, name="Op", stateless=False, **rest):
    return {
        "step_idx": index,
        "operator_class": name,
        "params": rest.pop("params", {}),
        "artifact_id": rest.pop("artifact_id", None),
        "stateless": stateless,
        **rest,
    }


def chain(steps, folds=None, shared=None, **rest):
    """A chain whose model is its last step."""
    return {
        "steps": steps,
        "model_step_idx": steps[-1]["step_idx"],
        "fold_strategy": "per_fold",
        "fold_artifacts": folds or {},
        "shared_artifacts": shared or {},
        "branch_path": None,
        "source_index": None,
        "fold_weights": None,
        **rest,
    }


def folds_of(*models):
    """Fold artifacts for models, and what loads them."""
    objects = {f"m{i}": model for i, model in enumerate(models)}
    return {f"fold_{i}": f"m{i}" for i in range(len(models))}, objects


class Times:
    """Multiplies, in place when asked to."""

    def __init__(self, factor, in_place=False):
        self.factor, self.in_place = factor, in_place

    def transform(self, X):
        if self.in_place:
            X *= self.factor
            return X
        return X * self.factor


class Plus:
    def __init__(self, term):
        self.term = term

    def transform(self, X):
        return X + self.term

    def inverse_transform(self, y):
        return y - self.term


class RowSum(RegressorMixin, BaseEstimator):
    """Predicts the sum of a row, times a factor."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def predict(self, X):
        return X.sum(axis=1) * self.factor


class RowShape(TransformerMixin, BaseEstimator):
    """Scales each row by itself, so a row of equal numbers becomes NaN."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


class Always(ClassifierMixin, BaseEstimator):
    """Votes for one label."""

    def __init__(self, label=0):
        self.label = label

    def predict(self, X):
        return np.full(len(X), self.label)


class Sure(Always):
    """Knows its classes and gives each row the same probabilities."""

    def __init__(self, classes=(), probabilities=()):
        self.classes, self.probabilities = classes, probabilities
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return np.tile(self.probabilities, (len(X), 1))


X = np.array([[1.0, 2.0], [3.0, 4.0]])


@pytest.fixture
def data():
    rng = np.random.default_rng(7)
    table = rng.normal(size=(60, 12))
    return table, table[:, :3] @ [1.0, -2.0, 0.5] + rng.normal(scale=0.1, size=60)


@pytest.mark.parametrize("make", [lambda: Ridge(), lambda: PLSRegression(3)])
@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.0, 3.0, 0.5]])
def test_a_trained_pipeline_predicts_as_its_folds_do(data, make, weights):
    """Else a stored model says something else than the one that was scored."""
    table, y = data
    scaler = StandardScaler().fit(table)
    pca = PCA(8, random_state=0).fit(scaler.transform(table))
    ready = Normalizer().transform(pca.transform(scaler.transform(table)))
    models = [make().fit(ready[train], y[train]) for train, _ in KFold(5).split(ready)]
    folds, objects = folds_of(*models)
    stored = chain(
        [
            descriptor(0, "StandardScaler"),
            descriptor(2, "PCA"),
            descriptor(3, NORMALIZER, stateless=True),
            descriptor(4, "KFold", role="split"),
            descriptor(5, type(models[0]).__name__, role="model"),
        ],
        folds,
        {"0": ["scaler"], "2": ["pca"]},
        fold_weights=dict(zip(folds, weights, strict=True)) if weights else None,
    )
    objects |= {"scaler": scaler, "pca": pca}
    expected = np.average([np.ravel(m.predict(ready)) for m in models], axis=0, weights=weights)
    result = predict_chain(stored, objects.__getitem__, table)
    assert result.shape == (60,)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


def test_what_the_caller_holds_is_not_changed():
    """Else predicting twice on one table gives two answers."""
    folds, objects = folds_of(RowSum())
    stored = chain([descriptor(0), descriptor(1)], folds, {"0": ["t", "t"]})
    objects["t"] = Times(10, in_place=True)
    given = X.copy()
    assert predict_chain(stored, objects.__getitem__, given).tolist() == [300.0, 700.0]
    np.testing.assert_array_equal(given, X)


def test_artifacts_of_a_step_go_in_order():
    """(1 + 1) * 10 + (2 + 1) * 10 = 50; the other way round it would be 32."""
    folds, objects = folds_of(RowSum())
    objects |= {"plus": Plus(1.0), "times": Times(10)}
    for step in (
        (descriptor(0), {"0": ["plus", "times"]}),
        (descriptor(0, artifact_ids=["plus", "times"]), {}),
    ):
        stored = chain([step[0], descriptor(1)], folds, step[1])
        assert predict_chain(stored, objects.__getitem__, X[:1]).tolist() == [50.0]


def test_one_artifact_may_be_named_without_a_list():
    """Else chains of writers that name one id cannot be replayed."""
    folds, objects = folds_of(RowSum())
    objects["plus"] = Plus(1.0)
    for step, shared in (
        (descriptor(0), {"0": "plus"}),
        (descriptor(0, artifact_id="plus"), {}),
    ):
        stored = chain([step, descriptor(1)], folds, shared)
        assert predict_chain(stored, objects.__getitem__, X).tolist() == [5.0, 9.0]


def test_steps_after_the_model_and_training_steps_take_no_part():
    """Else a splitter or a chart is applied as a transform; 'bad' would fail to load."""
    folds, objects = folds_of(RowSum())
    passed = ["split", "filter", "augment", "output", "model"]
    steps = [descriptor(i, role=role, artifact_id="bad") for i, role in enumerate(passed)]
    stored = chain([*steps, descriptor(8)], folds)
    stored["steps"].append(descriptor(9, artifact_id="bad"))
    assert predict_chain(stored, objects.__getitem__, X).tolist() == [3.0, 7.0]


def test_steps_without_fitted_state_are_built(monkeypatch):
    """Row (3, 4) normalised is (0.6, 0.8), sum 1.4; the lab's operator doubles it."""
    monkeypatch.setattr(operators, "_factories", {})
    register_operator("Times", Times)
    folds, objects = folds_of(RowSum())
    steps = [
        descriptor(0, NORMALIZER, stateless=True),
        descriptor(1, "Times", stateless=True, params={"factor": 2}),
    ]
    result = predict_chain(chain([*steps, descriptor(2)], folds), objects.__getitem__, X[1:])
    np.testing.assert_allclose(result, [2.8])


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (descriptor(4, "os.system", stateless=True), "os.system"),
        (descriptor(4, "KFold", stateless=True), "KFold"),
        (descriptor(4, "sklearn.preprocessing.StandardScaler", stateless=True), "fitted"),
        (descriptor(4, NORMALIZER), "save_artifacts"),
        (descriptor(4, NORMALIZER, stateless=True, role="y_transform"), "Normalizer"),
        (descriptor(4, artifact_id="m0"), "transform"),
        (descriptor(4, role="scale"), "scale"),
        (descriptor(4, combined=[{"operator_class": "A", "branch_path": [0]}]), "branch"),
    ],
)
def test_a_step_that_cannot_be_applied_is_named(step, said):
    """Else predictions are made from the wrong features, without a word."""
    folds, objects = folds_of(RowSum())
    with pytest.raises(ReplayError, match=said) as caught:
        predict_chain(chain([step, descriptor(5)], folds), objects.__getitem__, X)
    assert "4" in str(caught.value) or "Normalizer" in str(caught.value)


def test_artifacts_without_a_descriptor_are_refused():
    """Else a transform that was saved is left out."""
    folds, objects = folds_of(RowSum())
    with pytest.raises(ReplayError, match="'3'"):
        predict_chain(chain([descriptor(5)], folds, {"3": ["m0"]}), objects.__getitem__, X)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (chain([descriptor(1)]), "save_artifacts"),
        (chain([descriptor(1)], {"fold_0": None, "fold_1": "m0"}), "save_artifacts"),
        (chain([descriptor(1)], fold_strategy="shared"), "save_artifacts"),
        (chain([descriptor(1)], shared={"1": ["m0"]}), "save_artifacts"),
        (chain([descriptor(1)], {"fold_0": "plus"}), "predict"),
        (chain([descriptor(1)], {}, {"1": ["m0", "m0"]}, fold_strategy="shared"), "all"),
        (chain([descriptor(1)], {"a": "m0"}, model_step_idx=0), "index 0"),
        (chain([descriptor(1)], {"a": "m0", "b": "m0"}, fold_weights={"a": 1}), "b"),
        (chain([descriptor(1)], {"a": "m0", "b": "m0"}, fold_weights={"a": 0, "b": 0}), "zero"),
    ],
)
def test_a_chain_without_a_usable_model_says_so(stored, said):
    """Else the user meets a bare KeyError, or predictions of a part of the folds."""
    objects = {"m0": RowSum(), "plus": Plus(1.0)}
    with pytest.raises(ReplayError, match=said):
        predict_chain(stored, objects.__getitem__, X)


@pytest.mark.parametrize(
    ("folds", "shared"),
    [
        ({"all": "m"}, {}),
        ({"all": "m", "fold_0": "other"}, {}),
        ({}, {"1": ["m"]}),
        ({}, {"1": ["plus", "m"]}),
    ],
)
def test_a_shared_model_is_found(folds, shared):
    """Else chains with one model for everything cannot be replayed."""
    objects = {"m": RowSum(), "other": RowSum(100.0), "plus": Plus(1.0)}
    stored = chain([descriptor(1)], folds, shared, fold_strategy="shared")
    assert predict_chain(stored, objects.__getitem__, X).tolist() == [3.0, 7.0]


def test_errors_of_loading_pass_through():
    """Else a file that is gone looks like a chain that was never saved right."""
    with pytest.raises(KeyError, match="gone"):
        predict_chain(chain([descriptor(1)], {"fold_0": "gone"}), {}.__getitem__, X)


@pytest.mark.parametrize("bad", [[1.0, 2.0], np.zeros((2, 2, 2)), 5.0, [[1.0], [1.0, 2.0]]])
def test_rows_must_be_a_matrix(bad):
    """Else one sample given as a row is taken for many, or the other way round."""
    folds, objects = folds_of(RowSum())
    with pytest.raises(StoreValueError, match="X"):
        predict_chain(chain([descriptor(1)], folds), objects.__getitem__, bad)


def test_no_rows_give_no_predictions(data):
    """Else a recording without usable frames stops a whole run."""
    table, y = data
    two, codes = np.column_stack([y, y]), np.digitize(y, [-1, 1])
    names = LabelEncoder().fit(["groom", "rear", "walk"])
    for model, target, shape, kind in (
        (Ridge().fit(table, y), StandardScaler().fit(two[:, :1]), (0,), "f"),
        (PLSRegression(2).fit(table, y), None, (0,), "f"),
        (LinearRegression().fit(table, two), StandardScaler().fit(two), (0, 2), "f"),
        (KNeighborsRegressor().fit(table, two), None, (0, 2), "f"),
        (MultiOutputRegressor(Ridge()).fit(table, two), None, (0, 2), "f"),
        (KNeighborsClassifier().fit(table, np.column_stack([codes, codes])), None, (0, 2), "i"),
        (LogisticRegression().fit(table, np.where(y > 0, "rear", "walk")), None, (0,), "U"),
        (LogisticRegression().fit(table, codes), None, (0,), "i"),
        (LogisticRegression().fit(table, codes), names, (0,), "U"),
        (make_pipeline(RowShape(), Ridge()).fit(table, y), None, (0,), "f"),
    ):
        for folds, objects in (folds_of(model), folds_of(model, model)):
            objects |= {"s": StandardScaler().fit(table), "y": target}
            steps = [descriptor(0), descriptor(1, role="y_transform"), descriptor(2)]
            shared = {"0": ["s"], "1": ["y"]}
            if target is None:
                steps, shared = [descriptor(0), descriptor(2)], {"0": ["s"]}
            stored = chain(steps, folds, shared)
            full = predict_chain(stored, objects.__getitem__, table)
            result = predict_chain(stored, objects.__getitem__, np.empty((0, 12)))
            assert (result.shape, result.dtype.kind) == (shape, kind), model
            assert (full.shape[1:], full.dtype) == (result.shape[1:], result.dtype), model


class Picky(RegressorMixin, BaseEstimator):
    """Refuses the numbers that it was not made for; its coefficients tell that it has 2 outputs."""

    coef_ = np.ones((2, 3))

    def predict(self, X):
        raise TypeError


def test_no_rows_of_a_model_that_takes_only_some_values():
    """Else a model of categories stops the run at the recording without frames."""
    folds, objects = folds_of(Picky())
    result = predict_chain(chain([descriptor(1)], folds), objects.__getitem__, np.empty((0, 3)))
    assert (result.shape, result.dtype.kind) == ((0, 2), "f")


def test_several_outputs_keep_their_columns():
    """Fold factors 1 and 3: the mean is twice the coordinates."""

    class Echo(RowSum):
        def predict(self, X):
            return X * self.factor

    folds, objects = folds_of(Echo(1.0), Echo(3.0))
    result = predict_chain(chain([descriptor(1)], folds), objects.__getitem__, X)
    assert result.tolist() == (2 * X).tolist()


def test_y_is_turned_back_after_averaging_and_in_reverse():
    """y went through log2, then + 1; folds predict 2 and 4 for the row (2, 0).

    Their mean is 3, minus 1 is 2, and 2 to the power 2 is 4. Turned back before averaging it would
    be (2 + 8) / 2 = 5.
    """

    class Log2:
        def inverse_transform(self, y):
            assert y.shape == (1, 1)
            return 2.0**y

    folds, objects = folds_of(RowSum(1.0), RowSum(2.0))
    objects |= {"log": Log2(), "plus": Plus(1.0)}
    row = np.array([[2.0, 0.0]])
    together = chain(
        [descriptor(0, role="y_transform"), descriptor(1)], folds, {"0": ["log", "plus"]}
    )
    apart = chain(
        [descriptor(0, role="y_transform"), descriptor(1, role="y_transform"), descriptor(2)],
        folds,
        {"0": ["log"], "1": ["plus"]},
    )
    for stored in (together, apart):
        assert predict_chain(stored, objects.__getitem__, row).tolist() == [4.0]


def test_scaled_targets_come_back(data):
    """Else predictions are in units of standard deviations."""
    table, y = data
    scaler = StandardScaler().fit(y[:, None])
    scaled = scaler.transform(y[:, None])[:, 0]
    models = [Ridge().fit(table[i::2], scaled[i::2]) for i in (0, 1)]
    folds, objects = folds_of(*models)
    objects["y"] = scaler
    stored = chain([descriptor(0, role="y_transform"), descriptor(1)], folds, {"0": ["y"]})
    mean = np.mean([m.predict(table) for m in models], axis=0)
    expected = mean * scaler.scale_[0] + scaler.mean_[0]
    result = predict_chain(stored, objects.__getitem__, table)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


def test_encoded_labels_come_back():
    """Else behaviours are reported as numbers, or the encoder warns about its shape."""
    folds, objects = folds_of(Always(1), Always(1), Always(0))
    objects["y"] = LabelEncoder().fit(["groom", "rear"])
    stored = chain([descriptor(0, role="y_transform"), descriptor(1)], folds, {"0": ["y"]})
    assert predict_chain(stored, objects.__getitem__, X).tolist() == ["rear", "rear"]


def test_folds_may_have_seen_different_classes():
    """0: (.6 + 0)/2, 1: (.4 + .45)/2, 2: .55/2; so 1, the first choice of neither fold.

    With weights 3 and 1: 1.8, 1.65 and .55 over 4, so 0.
    """
    folds, objects = folds_of(Sure((0, 1), (0.6, 0.4)), Sure((1, 2), (0.45, 0.55)))
    stored = chain([descriptor(1)], folds)
    assert predict_chain(stored, objects.__getitem__, X).tolist() == [1, 1]
    weighted = {**stored, "fold_weights": {"fold_0": 3, "fold_1": 1}}
    assert predict_chain(weighted, objects.__getitem__, X).tolist() == [0, 0]


def test_trained_classifiers_agree_with_their_mean_probability(data):
    """Else replayed labels are not those of the folds together; one fold lacks 'walk'."""
    table, y = data
    labels = np.array(["groom", "rear", "walk"])[np.digitize(y, [-1, 1])]
    few = labels != "walk"
    models = [
        LogisticRegression().fit(table, labels),
        LogisticRegression(C=0.1).fit(table[few], labels[few]),
        DecisionTreeClassifier(max_depth=2, random_state=0).fit(table, labels),
    ]
    folds, objects = folds_of(*models)
    total = np.zeros((60, 3))
    names = ["groom", "rear", "walk"]
    for model in models:
        seen = [names.index(label) for label in model.classes_]
        total[:, seen] += model.predict_proba(table)
    expected = np.array(names)[total.argmax(axis=1)]
    result = predict_chain(chain([descriptor(1)], folds), objects.__getitem__, table)
    assert result.tolist() == expected.tolist()


def test_without_probabilities_the_folds_vote():
    """Votes 0, 2, 2 make 2 and votes 0, 2 make 0; the mean would be a class nobody named."""
    for labels, winner in (((0, 2, 2), 2), ((2, 0), 0)):
        folds, objects = folds_of(*(Always(label) for label in labels))
        result = predict_chain(chain([descriptor(1)], folds), objects.__getitem__, X)
        assert result.tolist() == [winner, winner]


def test_trained_classifiers_without_probabilities(data):
    """Else margin classifiers fail in replay."""
    table, y = data
    models = [RidgeClassifier(a).fit(table, y > 0) for a in (0.1, 1, 1e4)]
    folds, objects = folds_of(*models)
    votes = np.sum([m.predict(table) for m in models], axis=0)
    result = predict_chain(chain([descriptor(1)], folds), objects.__getitem__, table)
    assert result.tolist() == (votes >= 2).tolist()


def test_a_single_model_decides_as_it_always_does():
    """Else a classifier with a tuned threshold loses the threshold by being stored."""

    class Tuned(Sure):
        def predict(self, X):
            return np.full(len(X), 1)

    folds, objects = folds_of(Tuned((0, 1), (0.7, 0.3)))
    assert predict_chain(chain([descriptor(1)], folds), objects.__getitem__, X).tolist() == [1, 1]


def test_models_need_not_come_from_scikit_learn():
    """Else a lab's own model with nothing but predict cannot be replayed."""

    class Plain:
        def predict(self, X):
            return X[:, :1]

    folds, objects = folds_of(Plain(), Plain())
    assert predict_chain(chain([descriptor(1)], folds), objects.__getitem__, X).tolist() == [1, 3]


def test_overhead_is_small():
    """Else replay of many small tables takes longer than its models do (limit 0.3 ms)."""
    folds, objects = folds_of(*(RowSum(float(i)) for i in range(5)))
    objects["t"] = Times(2)
    steps = [descriptor(i) for i in range(4)]
    stored = chain(steps, folds, {str(i): ["t"] for i in range(3)})
    took = []
    for _ in range(50):
        start = time.perf_counter()
        predict_chain(stored, objects.__getitem__, X)
        took.append(time.perf_counter() - start)
    assert min(took) < 3e-4
