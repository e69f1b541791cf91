"""References and how the files that they name are read."""

from __future__ import annotations

import cloudpickle
import joblib
import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features import (
    ArtifactSpec,
    JoblibLoadSpec,
    NpzLoadSpec,
    ParquetLoadSpec,
    Result,
    StepRef,
)
from mosaic_dagster.features.references import LoadSpec
from mosaic_dagster.store.content.codecs import save_arrays


def test_a_step_reference_survives_a_process_and_a_file():
    ref = StepRef("tmpl", artifact="templates.parquet")
    assert ref == StepRef("tmpl", "templates.parquet")
    assert cloudpickle.loads(cloudpickle.dumps(ref)) == ref
    assert StepRef.model_validate(ref.model_dump()) == ref
    with pytest.raises(ValidationError, match="frozen"):
        ref.step = "other"


@pytest.mark.parametrize(
    ("spec", "pattern"),
    [
        ({}, "*.parquet"),
        ({"load": NpzLoadSpec(key="a")}, "*.npz"),
        ({"load": JoblibLoadSpec()}, "*.joblib"),
        ({"load": NpzLoadSpec(key="a"), "pattern": "centres_*.npz"}, "centres_*.npz"),
    ],
)
def test_the_pattern_follows_from_the_way_of_reading(spec, pattern):
    assert ArtifactSpec(feature="pca", **spec).pattern == pattern


def test_a_pattern_that_cannot_be_read_is_refused():
    with pytest.raises(ValidationError, match=r"'\*\.npz' does not fit the load spec 'parquet'"):
        ArtifactSpec(feature="pca", pattern="*.npz")


def test_an_artifact_of_a_result_is_of_the_same_run():
    spec = ArtifactSpec.from_result(Result(feature="pca", run_id="1-a"), pattern="mean.parquet")
    assert (spec.feature, spec.run_id, spec.pattern) == ("pca", "1-a", "mean.parquet")


def test_the_way_of_reading_is_told_by_its_kind():
    read = TypeAdapter(LoadSpec).validate_python
    assert read({"kind": "npz", "key": "a"}) == NpzLoadSpec(key="a")
    with pytest.raises(ValidationError, match="pickle"):
        read({"kind": "pickle"})


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"name": ["n", "m"], "a": [1.0, 2.0], "b": [3, 4]}).write_parquet(path)
    return path


def test_a_table_is_read_as_its_numbers(table):
    assert ParquetLoadSpec().load(table).columns == ["a", "b"]
    assert ParquetLoadSpec(drop_columns=("b", "zzz")).load(table).columns == ["a"]
    assert ParquetLoadSpec(numeric_only=False).load(table).columns == ["name", "a", "b"]
    assert ParquetLoadSpec(columns=("name",)).load(table).columns == ["name"]
    assert ParquetLoadSpec(columns=("a", "b"), transpose=True).load(table).rows() == [
        (1.0, 2.0), (3.0, 4.0),
    ]  # fmt: skip


def test_an_array_is_read_as_rows_of_float32(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, one=np.arange(3), two=np.arange(6.0).reshape(2, 3))
    one = NpzLoadSpec(key="one").load(path)
    assert (one.shape, one.dtype) == ((1, 3), np.float32)
    assert NpzLoadSpec(key="two", transpose=True).load(path).shape == (3, 2)
    with pytest.raises(ParamsError, match=r"no array 'three'; it has one, two"):
        NpzLoadSpec(key="three").load(path)


def test_a_value_of_a_joblib_file_is_found_by_its_key(tmp_path):
    joblib.dump({"mean": 1.5}, tmp_path / "m.joblib")
    assert JoblibLoadSpec(key="mean").load(tmp_path / "m.joblib") == 1.5
    assert JoblibLoadSpec().load(tmp_path / "m.joblib") == {"mean": 1.5}
    with pytest.raises(ParamsError, match=r"no value 'std'; it has mean"):
        JoblibLoadSpec(key="std").load(tmp_path / "m.joblib")
