"""Meta-models: they may only stand on models that are there and that they may see."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mosaic_dagster.store.artifact_registry import ArtifactRecord
from mosaic_dagster.store.artifact_registry.indexes import RecordIndex
from mosaic_dagster.store.artifact_registry.stacking import check_sources, stacked


def model(name: str, branch: Sequence[int] = (), cls: str = "PLS") -> ArtifactRecord:
    return ArtifactRecord(name, "sha256:00", "00/00.npz", branch_path=list(branch), class_name=cls)


def models() -> RecordIndex:
    index = RecordIndex()
    index.add_all([model("before"), model("zero", [0]), model("one", [1]), model("deep", [0, 1])])
    return index


@pytest.mark.parametrize(
    ("branch", "sources"),
    [
        ([0], ["before", "zero"]),
        ([0, 1], ["deep", "zero", "before"]),
        ([], ["one", "zero", "before", "deep"]),
    ],
)
def test_models_of_the_own_branch_are_taken_in_the_order_given(
    branch: list[int], sources: list[str]
) -> None:
    """Before the branches, on it or around it; after a merge, all. The order is the columns'."""
    found = check_sources(models(), "meta", sources, branch)
    assert [source.artifact_id for source in found] == sources


def test_models_of_a_foreign_branch_are_refused_by_name() -> None:
    """Its features were made otherwise; the meta-model could never be replayed on its branch."""
    with pytest.raises(ValueError, match=r"branch 0 stands on one, deep\."):
        check_sources(models(), "meta", ["before", "one", "deep"], [0])


def test_models_that_are_not_there_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"x, y, not registered"):
        check_sources(models(), "meta", ["x", "zero", "y"], [])


def test_a_meta_model_on_nothing_or_on_itself_is_refused() -> None:
    """It would be a circle, or a model without features."""
    with pytest.raises(ValueError, match=r"no models below"):
        check_sources(models(), "meta", [], [])
    with pytest.raises(ValueError, match=r"zero, not registered before"):
        check_sources(models(), "zero", ["zero"], [])


def test_columns_are_named_by_class_and_distinct() -> None:
    """Two columns of one name would be one column: a model lost without a word."""
    sources = [model("a", cls="Ridge"), model("b", cls="PLS"), model("c", cls="Ridge")]
    config = stacked(sources)
    assert config.feature_columns == ["Ridge_pred", "PLS_pred", "Ridge_pred_2"]
    assert config.source_models == [
        {"artifact_id": "a", "feature_index": 0},
        {"artifact_id": "b", "feature_index": 1},
        {"artifact_id": "c", "feature_index": 2},
    ]


def test_columns_that_are_given_are_kept() -> None:
    assert stacked([model("a")], ["mine"]).feature_columns == ["mine"]
