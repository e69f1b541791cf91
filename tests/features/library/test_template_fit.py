"""Templates or a model: a wrong file must not pass for a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, FitError, MissingColumnError, ParamsError
from mosaic_dagster.features import ArtifactSpec, NpzLoadSpec, ParquetLoadSpec, StepRef
from mosaic_dagster.features.library.fitted.global_pca import GlobalPca
from mosaic_dagster.features.library.fitted.global_scaler import GlobalScaler
from mosaic_dagster.store.content.codecs import encode_table, save_arrays
from mosaic_dagster.testing import make_ready, toy_values

REF = StepRef("tmpl", "templates.parquet")


def write(folder: Path, table: pl.DataFrame) -> dict[str, Path]:
    path = folder / "templates.parquet"
    path.write_bytes(encode_table(table))
    return {"templates": path}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "neither is given"),
        ({"templates": REF, "model": REF}, "both are given"),
        ({"templates": StepRef("tmpl")}, "names no artifact"),
    ],
)
def test_exactly_one_file_is_given(params, message):
    with pytest.raises(ParamsError, match=message):
        GlobalScaler(params=params)


def test_inputs_may_be_empty_for_a_fit_alone():
    assert GlobalScaler((), {"templates": REF}).inputs == ()


def test_a_model_is_taken_up_without_a_fit(tmp_path):
    templates = write(tmp_path, pl.DataFrame({"v": [0.0, 2.0]}))
    first = make_ready(GlobalScaler(params={"templates": REF}), templates)
    first.save_state(tmp_path)
    second = GlobalScaler(params={"model": StepRef("scaled", "scaler.npz")})
    assert second.load_state(None, {"model": tmp_path / "scaler.npz"}, {})
    assert second.apply(toy_values({"v": [4.0]}))["v"].to_list() == [3.0]
    assert second.state_notes() == first.state_notes()


def test_the_state_of_another_feature_is_refused(tmp_path):
    save_arrays(tmp_path / "scaler.npz", columns=np.array(["v"]), mean=np.zeros(1))
    feature = GlobalPca(params={"model": StepRef("scaled", "scaler.npz")})
    for name in ("scaler.npz", "templates.parquet"):
        with pytest.raises(ParamsError, match=f"{name} is not a state of global-pca"):
            feature.load_state(None, {"model": tmp_path / name}, {})


def test_key_columns_labels_and_text_are_not_fitted(tmp_path):
    table = pl.DataFrame({"frame": [1, 2], "label": [0, 1], "split": ["a", "b"], "v": [0.0, 2.0]})
    feature = make_ready(GlobalScaler(params={"templates": REF}), write(tmp_path, table))
    assert feature.columns() == ["v"]


def test_the_load_spec_chooses_the_columns(tmp_path):
    spec = ArtifactSpec(
        feature="extract-templates",
        pattern="templates.parquet",
        load=ParquetLoadSpec(drop_columns=("w",)),
    )
    table = pl.DataFrame({"v": [0.0, 2.0], "w": [1.0, 1.0]})
    feature = make_ready(GlobalScaler(params={"templates": spec}), write(tmp_path, table))
    assert feature.columns() == ["v"]


def test_what_cannot_be_fitted_is_refused(tmp_path):
    feature = GlobalScaler(params={"templates": REF})
    with pytest.raises(FeatureError, match="neither the file of its templates"):
        feature.load_state(None, {}, {})
    with pytest.raises(FitError, match="no templates to fit on"):
        feature.fit(None)
    with pytest.raises(FeatureError, match="is not fitted"):
        feature.apply(toy_values({"v": [1.0]}))
    with pytest.raises(FitError, match="none of the 2 templates is free of missing"):
        make_ready(feature, write(tmp_path, pl.DataFrame({"v": [np.nan, None]})))
    with pytest.raises(FitError, match="0 numeric columns"):
        make_ready(feature, write(tmp_path, pl.DataFrame({"name": ["a"]})))
    npz = ArtifactSpec(feature="extract-templates", load=NpzLoadSpec(key="Y"))
    with pytest.raises(ParamsError, match="column names"):
        make_ready(GlobalScaler(params={"templates": npz}), {"templates": tmp_path / "x.npz"})


def test_a_table_that_lacks_a_fitted_column_is_refused(tmp_path):
    templates = write(tmp_path, pl.DataFrame({"v": [0.0, 2.0]}))
    feature = make_ready(GlobalScaler(params={"templates": REF}), templates)
    with pytest.raises(MissingColumnError, match=r"needs the column\(s\) v"):
        feature.apply(toy_values({"other": [1.0]}))
