"""global-scaler: unequal scales let one column decide every distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.fitted.global_scaler import GlobalScaler
from mosaic_dagster.store.content.codecs import encode_table, read_table
from mosaic_dagster.testing import check_feature, make_ready, toy_values

PARAMS = {"templates": StepRef("tmpl", "templates.parquet")}
NAN = np.nan


@pytest.fixture
def templates(tmp_path) -> dict[str, Path]:
    """Column a: mean 3, population std 2 of 1, 5; b is constant; the NaN row does not count."""
    path = tmp_path / "templates.parquet"
    table = pl.DataFrame({"a": [1.0, 5.0, NAN], "b": [7.0, 7.0, 7.0]})
    path.write_bytes(encode_table(table.with_columns(pl.col("b").cast(pl.Float32))))
    return {"templates": path}


def test_contract_and_values(templates):
    """(5 - 3)/2 = 1; NaN passes; a constant column is centred; other columns stay."""
    columns = {"a": [5, 1, None], "b": [7.0, 8.0, NAN], "c": [1.0, 2.0, 3.0]}
    table = toy_values(columns).with_columns(pl.col("b").cast(pl.Float32))
    result = check_feature(GlobalScaler, table, PARAMS, state_from=templates)
    np.testing.assert_array_equal(result["a"], [1, -1, NAN])
    np.testing.assert_array_equal(result["b"], [0, 1, NAN])
    assert result["c"].to_list() == [1, 2, 3]
    assert (result.schema["a"], result.schema["b"]) == (pl.Float64, pl.Float32)


def test_scaled_templates_keep_their_rows(templates, tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    feature = make_ready(GlobalScaler(params=PARAMS), templates)
    feature.save_state(folder)
    scaled = read_table(folder / "scaled_templates.parquet")
    np.testing.assert_array_equal(scaled["a"], [-1, 1, NAN])
    assert feature.state_notes() == {"n_templates": 2, "n_columns": 2}


def test_the_schema_before_the_fit_is_known_only_where_it_cannot_change():
    feature = GlobalScaler(params=PARAMS)
    floats, whole = toy_values({"a": [1.0]}).schema, toy_values({"a": [1]}).schema
    assert feature.output_schema(floats) == floats
    assert feature.output_schema(whole) is None
