import warnings
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import BisectingKMeans, FeatureAgglomeration
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import (
    SelectKBest,
    chi2,
    f_classif,
    f_regression,
    mutual_info_classif,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, TweedieRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mosaic_dagster.errors import StoreValueError, UntrustedArtifactError
from mosaic_dagster.store.formats import OWN_TYPES, decode, encode, untrusted_types
from mosaic_dagster.store.formats.skops_files import dump_skops, load_skops

RNG = np.random.default_rng(0)
X = RNG.random((40, 3))
Y = X[:, 0] + 0.1
LABELS = (X[:, 0] > 0.5).astype(int)
TREE = "sklearn.tree._tree.Tree"
GRID = {"var_smoothing": [1e-9, 1e-8]}


def _classifiers():
    yield RandomForestClassifier(2, random_state=0)
    yield HistGradientBoostingClassifier(max_iter=2, random_state=0)
    yield from (MLPClassifier(2, solver=s, max_iter=2, random_state=0) for s in ("adam", "sgd"))
    yield from (
        CalibratedClassifierCV(GaussianNB(), method=method, cv=2)
        for method in ("sigmoid", "isotonic", "temperature")
    )
    for metric in ("euclidean", "manhattan", "chebyshev"):
        yield KNeighborsClassifier(metric=metric, algorithm="kd_tree")
    for metric in ("canberra", "braycurtis", "hamming"):
        yield KNeighborsClassifier(metric=metric, algorithm="ball_tree")
    yield KNeighborsClassifier(p=3)
    yield StackingClassifier([("a", GaussianNB())], LogisticRegression(), cv=2)
    for scoring in (None, "accuracy", "f1"):
        yield GridSearchCV(GaussianNB(), GRID, cv=2, scoring=scoring)
    yield from (GridSearchCV(GaussianNB(), GRID, cv=cv) for cv in (KFold(2), GroupKFold(2)))
    yield from (SelectKBest(s, k=2) for s in (f_classif, f_regression, chi2, mutual_info_classif))
    yield GaussianProcessClassifier(kernels.RBF() + kernels.WhiteKernel(), optimizer=None)
    yield make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def _regressors():
    yield from (TweedieRegressor(power=power) for power in (0, 1.5))
    for kernel in (
        1.0 * kernels.Matern(),
        kernels.RationalQuadratic(),
        kernels.DotProduct() ** 2 + kernels.WhiteKernel(),
    ):
        yield GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None)
    yield BisectingKMeans(3, random_state=0)
    yield FeatureAgglomeration(2)


@cache
def fitted():
    """Common estimators of every family, each fitted on 40 rows."""
    groups = np.arange(40) % 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        done = [
            e.fit(X, LABELS, groups=groups) if "GroupKFold" in repr(e) else e.fit(X, LABELS)
            for e in _classifiers()
        ]
        done += [e.fit(X, Y) for e in _regressors()]
        done.append(OneVsRestClassifier(GaussianNB()).fit(X, np.stack([LABELS, LABELS * 0], 1)))
    sparse = _sparse_neighbours()
    return [*done, sparse]


def _sparse_neighbours():
    from scipy.sparse import csr_matrix

    return KNeighborsClassifier(algorithm="brute").fit(csr_matrix(X), LABELS)


def _answers(estimator) -> Iterator[np.ndarray]:
    for name in ("transform", "predict", "predict_proba"):
        if hasattr(estimator, name):
            yield np.asarray(getattr(estimator, name)(X))


@pytest.mark.filterwarnings("ignore:Label not 1 is present")
@pytest.mark.slow
def test_common_estimators_load_and_answer_alike():
    """Else a model that a workspace stored itself cannot be loaded there, or predicts otherwise."""
    for estimator in fitted():
        data = dump_skops(estimator)
        back = load_skops(data)
        # Trees of neighbours count the questions they are asked, so the bytes are compared first.
        assert dump_skops(back) == data, estimator
        for ours, theirs in zip(_answers(back), _answers(estimator), strict=True):
            assert np.array_equal(ours, theirs), estimator


@pytest.mark.filterwarnings("ignore:Label not 1 is present")
@pytest.mark.slow
def test_every_trusted_type_is_needed():
    """Else the list of what is trusted grows beyond what somebody tried."""
    needed = {name for estimator in fitted() for name in untrusted_types(dump_skops(estimator))}
    assert needed == set(OWN_TYPES)
    assert list(OWN_TYPES) == list(dict.fromkeys(OWN_TYPES))


def test_types_that_nobody_trusts_are_listed_and_not_made():
    """Else a forged forest from outside crashes the process that predicts with it."""
    data = encode(RandomForestClassifier(2, random_state=0).fit(X, LABELS), "skops").data
    assert untrusted_types(data) == [TREE]
    assert decode(data, "skops").n_estimators == 2
    assert decode(data, "skops", trusted=False, trusted_types=[TREE]).n_estimators == 2
    for trusted in (True, False):
        with pytest.raises(UntrustedArtifactError, match=TREE) as caught:
            decode(data, "skops", trusted=trusted, trusted_types=())
        assert isinstance(caught.value, PermissionError)


def test_the_own_list_is_closed():
    """Else any type of any library loads from our own files: print is in no list."""
    from sklearn.preprocessing import FunctionTransformer

    data = dump_skops(FunctionTransformer(print))
    assert untrusted_types(data) == ["builtins.print"]
    with pytest.raises(UntrustedArtifactError, match=r"builtins\.print"):
        decode(data, "skops")


def test_one_name_instead_of_a_list_is_refused():
    """Else the letters of the name are trusted, and the name is not."""
    with pytest.raises(StoreValueError, match="a text"):
        decode(dump_skops([1]), "skops", trusted_types=TREE)


def test_damaged_files_have_no_types():
    """Else looking into a damaged file ends in a traceback of zipfile."""
    for data in (b"", b"nonsense", dump_skops([1])[:-9]):
        with pytest.raises(StoreValueError, match="not a readable skops file"):
            untrusted_types(data)
