"""global-pca: components that flip or rotate between fits make maps incomparable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FitError, ParamsError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.fitted.global_pca import GlobalPca
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.testing import check_feature, make_ready, toy_values

REF = StepRef("tmpl", "templates.parquet")


@pytest.fixture
def templates(tmp_path) -> dict[str, Path]:
    """A cross around (10, 0): ±3 along -a, ±1 along b. Variances (ddof 1) 18/3 = 6 and 2/3."""
    path = tmp_path / "templates.parquet"
    cross = {"a": [13.0, 7.0, 10.0, 10.0], "b": [0.0, 0.0, 1.0, -1.0]}
    path.write_bytes(encode_table(pl.DataFrame(cross)))
    return {"templates": path}


def test_contract_and_scores(templates):
    """(12, 5) is 2 along a and 5 along b from the mean (10, 0)."""
    table = toy_values({"a": [12.0, np.nan, 10.0], "b": [5.0, 1.0, -2.0]})
    params = {"templates": REF, "n_components": 2}
    result = check_feature(GlobalPca, table, params, state_from=templates)
    np.testing.assert_allclose(result["PC0"], [2, np.nan, 0], atol=1e-12)
    np.testing.assert_allclose(result["PC1"], [5, np.nan, -2], atol=1e-12)


def test_whitening_divides_by_the_standard_deviation(templates):
    feature = GlobalPca(params={"templates": REF, "n_components": 1, "whiten": True})
    make_ready(feature, templates)
    scores = feature.apply(toy_values({"a": [12.0], "b": [5.0]}))
    np.testing.assert_allclose(scores["PC0"], 2 / np.sqrt(6))


def test_a_share_of_variance_chooses_the_number_of_components(templates):
    """The first explains 6 / (6 + 2/3) = 0.9: enough for 0.85, not for 0.95."""
    for share, n in ((0.85, 1), (0.95, 2)):
        feature = GlobalPca(params={"templates": REF, "n_components": share})
        table = toy_values({"a": [1.0], "b": [1.0]})
        assert feature.output_schema(table.schema) is None
        make_ready(feature, templates)
        assert len(feature.state_notes()["explained_variance_ratio"]) == n
        assert feature.apply(table).schema == feature.output_schema(table.schema)
    np.testing.assert_allclose(feature.state_notes()["explained_variance"], [6, 2 / 3])
    np.testing.assert_allclose(feature.state_notes()["explained_variance_ratio"], [0.9, 0.1])


def test_the_largest_loading_of_each_component_is_positive(tmp_path):
    path = tmp_path / "templates.parquet"
    values = np.random.default_rng(5).normal(size=(40, 6))
    path.write_bytes(encode_table(pl.DataFrame(values, schema=list("abcdef"))))
    feature = make_ready(
        GlobalPca(params={"templates": REF, "n_components": 6}), {"templates": path}
    )
    components = feature.fitted()["components"]
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(6), largest] > 0).all()


def test_too_few_templates_are_refused(templates, tmp_path):
    with pytest.raises(FitError, match=r"3 component\(s\) in 4 usable template\(s\) of 2 column"):
        make_ready(GlobalPca(params={"templates": REF, "n_components": 3}), templates)
    templates["templates"].write_bytes(encode_table(pl.DataFrame({"a": [1.0, 1.0]})))
    with pytest.raises(FitError, match="all 2 usable templates are the same point"):
        make_ready(GlobalPca(params={"templates": REF, "n_components": 0.5}), templates)


@pytest.mark.parametrize("n", [0, -1, 1.5, 0.0])
def test_a_number_of_components_that_cannot_be_is_refused(n):
    with pytest.raises(ParamsError, match="n_components"):
        GlobalPca(params={"templates": REF, "n_components": n})
