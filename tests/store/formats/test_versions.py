import numpy as np
import sklearn
from sklearn.linear_model import Ridge

from mosaic_dagster.store.formats import format_version
from mosaic_dagster.store.formats.versions import library_version


class Own:
    pass


Own.__module__ = "__main__"


def test_the_library_of_the_class_is_named():
    """Else nobody can tell later which version of a library a stored model needs."""
    assert format_version(Ridge()) == f"sklearn=={sklearn.__version__}"
    assert format_version(np.zeros(3)) == f"numpy=={np.__version__}"


def test_what_has_no_version_has_none():
    """Else built-in types and classes of a notebook are given a version that means nothing."""
    assert [format_version(obj) for obj in ({}, 1, Own(), len, Own)] == [""] * 5


def test_packages_without_a_version_of_their_own_are_looked_up():
    """Else a library that only its metadata names has no version, or an unknown one is an error."""
    assert library_version("cloudpickle")
    assert library_version("no_such_package_at_all") == ""
