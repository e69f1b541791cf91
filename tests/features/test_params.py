"""Parameters are refused when wrong and name the results they change."""

from __future__ import annotations

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features import (
    ArtifactSpec,
    DatasetFacts,
    FromDataset,
    NotIdentity,
    Params,
    Result,
    StepRef,
)
from mosaic_dagster.features.params import InterpolationConfig, PoolConfig, SamplingConfig
from mosaic_dagster.hashing import digest


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    length: int = Field(default=3, ge=1)
    scale: float = 1.0


class Example(Params):
    k: int = Field(default=6, ge=1)
    inner: Inner = Inner()
    columns: tuple[str, ...] = ("a",)
    fps: Annotated[float | None, FromDataset("fps")] = None
    unit: Annotated[str | None, FromDataset("unit")] = None
    workers: Annotated[int, NotIdentity()] = 1
    templates: StepRef | ArtifactSpec | None = None


FACTS = DatasetFacts(fps=16.0, unit="mm", keypoints=("head", "tail"))


def test_overrides_replace_defaults_and_merge_one_level_into_nested_models():
    """Changing one field of a group must not reset the others."""
    params = Example.from_overrides({"k": 3, "inner": {"length": 5}})
    assert (params.k, params.inner, params.columns) == (3, Inner(length=5, scale=1.0), ("a",))
    assert Example.from_overrides() == Example.from_overrides({}) == Example()
    assert Example.from_overrides({"inner": Inner(scale=2.0)}).inner.scale == 2.0


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"kk": 1}, r"Unknown parameter 'kk'\. Did you mean 'k'\?"),
        ({"zzz": 1}, "The parameters are: k, inner, columns"),
        ({7: 1}, "Unknown parameter 7"),
        ({"k": 0}, r"k: .*greater than or equal to 1 \(given 0\)"),
        ({"k": "many"}, r"k: .*\(given 'many'\)"),
        ({"inner": {"lenght": 5}}, r"inner\.lenght"),
        ({"inner": {"length": 0}}, r"inner\.length: .*\(given 0\)"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_was_given(overrides, said):
    with pytest.raises(ParamsError, match=said):
        Example.from_overrides(overrides)


def test_parameters_do_not_change_after_construction():
    """Shared by many entries and processes, a change would reach some of them."""
    with pytest.raises(ValidationError, match="frozen"):
        Example().k = 3


def test_facts_of_the_dataset_fill_only_what_was_left_open():
    assert Example().resolve(FACTS).fps == 16.0
    assert Example(fps=30.0).resolve(FACTS).fps == 30.0
    assert Example().resolve(DatasetFacts()).fps is None
    assert Example().resolve(FACTS).unit == "mm"


def test_throughput_is_no_part_of_the_identity_and_everything_else_is():
    base = Example().identity()
    assert Example(workers=8).identity() == base
    assert "workers" not in base
    for other in (Example(k=7), Example(inner=Inner(scale=2)), Example(columns=("b",)),
                  Example(fps=1.0), Example(templates=StepRef("t", "t.npz"))):  # fmt: skip
        assert digest(other.identity()) != digest(base)


def test_a_reference_counts_as_being_one_whatever_it_is_called():
    """The digest of what it refers to is in the key; a renamed step computes nothing anew."""
    first, second = Example(templates=StepRef("t", "x.npz")), Example(templates=StepRef("u", "y"))
    assert first.identity() == second.identity()
    assert first.references() == {"templates": StepRef("t", "x.npz")}
    spec = ArtifactSpec(feature="pca", run_id="1-a")
    assert Example(templates=spec).references() == {"templates": spec}
    assert Example().references() == {}


def test_a_reference_inside_another_value_is_refused():
    """Hidden there it would be no edge of the graph, and a change above it go unseen."""

    class Hiding(Params):
        many: tuple[StepRef, ...] = ()
        named: dict[str, Result] = Field(default_factory=dict)

    assert Hiding().references() == {}
    for hidden in (Hiding(many=(StepRef("a"),)), Hiding(named={"x": Result(feature="f")})):
        with pytest.raises(ParamsError, match="holds a reference inside"):
            hidden.references()


@given(st.integers(1, 50), st.floats(allow_nan=False, allow_infinity=False))
def test_equal_parameters_have_equal_identities(k, scale):
    as_mapping = Example.from_overrides({"inner": {"scale": scale}, "k": float(k)})
    assert digest(as_mapping.identity()) == digest(
        Example(k=k, inner=Inner(scale=scale)).identity()
    )


@pytest.mark.parametrize(
    ("config", "values", "said"),
    [
        (SamplingConfig, {"smooth_win": 4}, "must be odd"),
        (SamplingConfig, {"smooth_win": -1}, "greater than or equal"),
        (SamplingConfig, {"fps_default": 0}, "greater than 0"),
        (InterpolationConfig, {"fill_remaining": "mean"}, "pattern"),
        (InterpolationConfig, {"max_missing_fraction": 1.5}, "less than or equal"),
        (PoolConfig, {"size": 0}, "greater than or equal"),
        (PoolConfig, {"allocation": "all"}, "pattern"),
    ],
)
def test_shared_settings_refuse_what_has_no_meaning(config, values, said):
    with pytest.raises(ValidationError, match=said):
        config(**values)


def test_no_smoothing_and_odd_windows_are_fine():
    assert [SamplingConfig(smooth_win=win).smooth_win for win in (0, 1, 5)] == [0, 1, 5]
