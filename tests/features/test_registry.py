"""A name stands for one feature, wherever it comes from."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from mosaic_dagster.errors import FeatureError, UnknownFeatureError
from mosaic_dagster.features import Feature, get_feature, list_features, register
from mosaic_dagster.features import registry as registry_module


@pytest.fixture(autouse=True)
def _forget_mine():
    yield
    for name in ("mine", "lab-speed"):
        registry_module._registered.pop(name, None)


def feature_called(name: str, qualname: str = "Mine", module: str = "lab.features"):
    return type("Mine", (Feature,), {"name": name, "version": "1", "__qualname__": qualname,
                                     "__module__": module})  # fmt: skip


def test_the_library_is_found_by_file_name():
    assert get_feature("speed-angvel").name == "speed-angvel"
    assert "speed-angvel" in list_features()


def test_every_feature_of_the_library_can_be_got_by_the_name_it_lists():
    """A file whose class has another name would be listed and never found."""
    for name in list_features():
        assert get_feature(name).name == name


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UnknownFeatureError, match=r"no feature 'speed-angvle'.*speed-angvel"):
        get_feature("speed-angvle")
    with pytest.raises(UnknownFeatureError, match=r"See list_features\(\)"):
        get_feature("zzzzzz")


def test_a_feature_registered_here_is_found():
    mine = register(feature_called("mine"))
    assert get_feature("mine") is mine
    assert "mine" in list_features()


def test_two_features_cannot_share_a_name():
    """Else which one computes would depend on the order of imports."""
    register(feature_called("mine"))
    with pytest.raises(FeatureError, match="Two features are called 'mine'"):
        register(feature_called("mine", qualname="Other"))
    with pytest.raises(FeatureError, match="Two features are called 'mine'"):
        register(feature_called("mine", module="other.features"))


def test_a_feature_may_be_defined_again_in_a_notebook():
    register(feature_called("mine"))
    again = register(feature_called("mine"))
    assert get_feature("mine") is again


def test_a_feature_of_a_lab_is_found_through_its_entry_point(monkeypatch):
    mine = feature_called("lab-speed")
    monkeypatch.setattr(registry_module, "_plugins", lambda: {"lab-speed": _Point(mine)})
    assert "lab-speed" in list_features()
    assert get_feature("lab-speed") is mine


def test_entry_points_are_read_from_the_documented_group():
    assert registry_module.ENTRY_POINTS == "mosaic_dagster.features"
    assert all(isinstance(point, EntryPoint) for point in registry_module._plugins().values())


class _Point:
    def __init__(self, feature) -> None:
        self.feature = feature

    def load(self):
        return self.feature
