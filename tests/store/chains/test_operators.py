import sys
from types import ModuleType

import numpy as np
import pytest
from sklearn.preprocessing import Normalizer

from mosaic_dagster.errors import ReplayError, StoreValueError
from mosaic_dagster.store.chains import build_operator, operators, register_operator


class Doubler:
    def __init__(self, times=2):
        self.times = times

    def transform(self, X):
        return X * self.times


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(operators, "_factories", {})


@pytest.mark.parametrize("module", ["sklearn.preprocessing", "sklearn.preprocessing._data"])
def test_transformers_of_scikit_learn_are_built(module):
    """Else a chain with a row normalisation cannot be replayed."""
    built = build_operator(f"{module}.Normalizer", {"norm": "l1"})
    assert isinstance(built, Normalizer)
    assert built.transform([[1.0, 3.0]]).tolist() == [[0.25, 0.75]]
    assert isinstance(build_operator("sklearn.preprocessing.Normalizer"), Normalizer)


def test_a_registered_name_is_built():
    """Else operators of a lab cannot take part in replay; a later registration holds."""
    register_operator("lab.Doubler", Doubler)
    assert build_operator("lab.Doubler", {"times": 3}).transform(np.ones(1)) == [3.0]
    register_operator("lab.Doubler", lambda: Doubler(5))
    assert build_operator("lab.Doubler", None).transform(np.ones(1)) == [5.0]


def test_transformers_of_this_package_are_built(monkeypatch):
    """Else own operators without fitted state must be registered by hand."""
    own = type("Halver", (Doubler,), {"__module__": "mosaic_dagster.halving"})
    module = ModuleType("mosaic_dagster.halving")
    module.Halver = own
    monkeypatch.setitem(sys.modules, "mosaic_dagster.halving", module)
    assert isinstance(build_operator("mosaic_dagster.halving.Halver", {}), own)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "sklearnx.preprocessing.Normalizer",
        "Normalizer",
        "",
        "sklearn",
        ".sklearn.preprocessing.Normalizer",
        "sklearn..Normalizer",
        "sklearn.preprocessing.Normalizer.transform",
        "sklearn.preprocessing.normalize",
        "sklearn.preprocessing.Nothing",
        "sklearn.nothing.Normalizer",
        "sklearn.model_selection.KFold",
        "sklearn.base.np",
        "sklearn.conftest.Normalizer",
        "sklearn.tests.test_base.Normalizer",
        "mosaic_dagster.hashing.Path",
        "mosaic_dagster.hashing.Sequence",
        "mosaic_dagster.cli.__main__.main",
    ],
)
def test_nothing_else_is_built(name):
    """Else a bundle from a stranger runs whatever it names."""
    with pytest.raises(ReplayError, match="operator"):
        build_operator(name, {})


def test_a_module_outside_is_not_even_imported():
    """Importing alone already runs code."""
    sys.modules.pop("this", None)
    with pytest.raises(ReplayError):
        build_operator("this.Zen", {})
    assert "this" not in sys.modules


def test_parameters_that_do_not_fit_are_named():
    """Else a plain TypeError leaves the user to guess which step it came from."""
    with pytest.raises(ReplayError, match="sideways"):
        build_operator("sklearn.preprocessing.Normalizer", {"sideways": 1})


def test_a_factory_must_give_a_transformer():
    """Else replay fails later with an AttributeError."""
    register_operator("lab.Nothing", dict)
    with pytest.raises(ReplayError, match=r"lab\.Nothing"):
        build_operator("lab.Nothing", {})


@pytest.mark.parametrize(("name", "factory"), [(" ", Doubler), ("lab.Doubler", "Doubler")])
def test_a_registration_that_cannot_work_is_refused(name, factory):
    """Else the mistake shows when a chain is replayed."""
    with pytest.raises(StoreValueError):
        register_operator(name, factory)
