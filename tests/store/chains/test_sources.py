import numpy as np
import pytest

from mosaic_dagster.errors import ReplayError, StoreValueError
from mosaic_dagster.store.chains import predict_chain

NORMALIZER = "sklearn.preprocessing.Normalizer"
TABLES = {1: np.array([[10.0]]), 0: np.array([[1.0, 2.0]])}
SHARED = {"0": ["times", "plus"], "_source_map": {"0": {"0": ["times"], "1": ["plus"]}}}


class Apply:
    """Applies a function of its own."""

    def __init__(self, function):
        self.function = function

    def transform(self, X):
        return self.function(X)


class ByWavelength:
    """Multiplies each column by its wavelength."""

    requires_wavelengths = True

    def transform(self, X, wavelengths=None):
        return X * np.asarray(wavelengths)


class Places:
    """Sums the columns times 1, 10, 100, so that their order matters."""

    def predict(self, X):
        return X @ 10.0 ** np.arange(X.shape[1])


OBJECTS = {
    "model": Places(),
    "times": Apply(lambda X: X * 2),
    "plus": Apply(lambda X: X + 5),
    "last": Apply(lambda X: X + np.array([0, 0, 1])),
    "wave": ByWavelength(),
}


def predict(X, *steps, shared=None, wavelengths=None, source_index=None):
    """Predict with a chain of these steps and a model; by default step 0 scales each source."""
    steps = steps or ({"step_idx": 0},)
    chain = {
        "steps": [*steps, {"step_idx": 9, "operator_class": "Places"}],
        "model_step_idx": 9,
        "fold_strategy": "shared",
        "fold_artifacts": {"all": "model"},
        "shared_artifacts": SHARED if shared is None else shared,
        "source_index": source_index,
        "fold_weights": None,
    }
    return predict_chain(chain, OBJECTS.__getitem__, X, wavelengths).tolist()


def test_each_source_passes_through_its_own_objects():
    """(1, 2) times 2 and (10) plus 5 are (2, 4, 15) in source order: 2 + 40 + 1500."""
    assert predict(TABLES) == [1542.0]
    assert predict({str(source): table for source, table in TABLES.items()}) == [1542.0]


def test_a_fitted_step_for_all_sees_them_joined():
    """(2, 4, 15) plus (0, 0, 1): 2 + 40 + 1600."""
    shared = {**SHARED, "1": ["last"]}
    assert predict(TABLES, {"step_idx": 0}, {"step_idx": 1}, shared=shared) == [1642.0]


def test_steps_without_state_apply_to_each():
    """(3, 4) becomes (.6, .8) and (-5) becomes (-1): .6 + 8 - 100."""
    step = {"step_idx": 0, "operator_class": NORMALIZER, "stateless": True}
    tables = {0: np.array([[3.0, 4.0]]), 1: np.array([[-5.0]])}
    assert predict(tables, step, shared={}) == pytest.approx([-91.4])


def test_a_chain_of_one_source_takes_that():
    """10 + 5 from source 1 alone, given with the other or by itself."""
    assert predict(TABLES, source_index=1) == [15.0]
    assert predict(TABLES[1], source_index=1) == [15.0]


def test_a_source_without_objects_at_a_step_passes_it():
    """Only source 1 is scaled: (1, 2, 20), so 1 + 20 + 2000."""
    shared = {"0": ["times"], "_source_map": {"0": {"1": ["times"]}}}
    assert predict(TABLES, shared=shared) == [2021.0]


@pytest.mark.parametrize(
    "shared", [{"0": ["wave"], "_source_map": {"0": {"0": ["wave"], "1": "wave"}}}, {"0": "wave"}]
)
def test_each_source_has_its_wavelengths(shared):
    """(1 * 2, 2 * 3) and (10 * 4): 2 + 60 + 4000; joined they are (2, 3, 4)."""
    wavelengths = {0: [2.0, 3.0], "1": [4.0]}
    assert predict(TABLES, shared=shared, wavelengths=wavelengths) == [4062.0]


def test_wavelengths_reach_only_the_operators_that_take_them():
    """(1 + 5) * 2 and (2 + 5) * 3: 12 + 210."""
    steps = {"step_idx": 0}, {"step_idx": 1}
    shared = {"0": ["plus"], "1": ["wave"]}
    assert predict(TABLES[0], *steps, shared=shared, wavelengths=np.array([2, 3])) == [222.0]


@pytest.mark.parametrize("wavelengths", [None, {7: [1.0]}])
def test_an_operator_that_needs_wavelengths_asks_for_them(wavelengths):
    """Else it works on column numbers, and resampled spectra are shifted."""
    with pytest.raises(StoreValueError, match="wavelengths"):
        predict(TABLES[0], shared={"0": ["wave"]}, wavelengths=wavelengths)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({0: TABLES[0]}, "1"),
        (TABLES[0], "dict"),
        ({0: TABLES[0], 1: np.zeros((2, 1))}, "rows"),
        ({0: TABLES[0], 1: np.zeros(1)}, "dimensions"),
    ],
)
def test_sources_that_do_not_fit_are_refused(tables, said):
    """Else operators of one source meet the columns of another."""
    with pytest.raises(StoreValueError, match=said):
        predict(tables)


def test_no_source_at_all_is_refused():
    """Else an empty selection ends in a StopIteration."""
    with pytest.raises(StoreValueError, match="no source"):
        predict({}, shared={"0": ["times"]})


def test_joined_sources_are_not_taken_apart():
    """Else an operator of one source is applied to all columns."""
    shared = {"0": ["last"], "_source_map": {"1": {"0": ["times"], "1": ["plus"]}}}
    with pytest.raises(ReplayError, match="joined"):
        predict(TABLES, {"step_idx": 0}, {"step_idx": 1}, shared=shared)
