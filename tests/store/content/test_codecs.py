import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes

from mosaic_dagster.errors import ObjectDamagedError
from mosaic_dagster.store.content.codecs import (
    encode_arrays,
    encode_table,
    load_arrays,
    read_notes,
    read_schema,
    read_table,
    save_arrays,
)

TYPES = [pl.Int64, pl.Int32, pl.UInt8, pl.Float64, pl.Float32, pl.Boolean, pl.String, pl.Date]
QUICK = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(table=dataframes(max_cols=5, max_size=20, allowed_dtypes=TYPES))
@QUICK
def test_tables_come_back(table, tmp_path):
    """Else values, nulls, NaN or types change by being stored; the bytes are always the same."""
    path = tmp_path / "t.parquet"
    path.write_bytes(encode_table(table))
    assert_frame_equal(read_table(path), table)
    assert read_schema(path) == table.schema
    assert encode_table(read_table(path)) == encode_table(table)


def test_some_columns_can_be_read(tmp_path):
    """Else a step pays for columns that it does not need."""
    path = tmp_path / "t.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"a": [1], "b": [2], "c": [3]})))
    assert read_table(path, ["c", "a"]).rows() == [(3, 1)]


@given(
    notes=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        max_size=4,
    )
)
@QUICK
def test_notes_come_back(notes, tmp_path):
    """Else units and skip reasons are lost."""
    path = tmp_path / "t.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"a": [1]}), notes))
    assert read_notes(path) == notes


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_a_damaged_table_is_named(tmp_path, content):
    """Else a user sees an error of another library without the file's name."""
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(ObjectDamagedError, match=r"t\.parquet is not a readable"):
        read_table(path)


ARRAYS = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_, np.dtype("U4")]),
    hnp.array_shapes(min_dims=0, max_dims=3, max_side=4, min_side=0),
)


@given(arrays=st.dictionaries(st.sampled_from(["a", "b", "mean_", "x y"]), ARRAYS))
@QUICK
def test_arrays_come_back(arrays, tmp_path):
    """Else a fitted state would change by being stored."""
    path = tmp_path / "a.npz"
    path.write_bytes(encode_arrays(arrays))
    loaded = load_arrays(path)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)
    assert encode_arrays(loaded) == encode_arrays(arrays)


def test_the_order_of_arrays_does_not_matter(tmp_path):
    """Else two equal states would have two digests, and everything below be recomputed."""
    one, two = np.arange(3), np.zeros((2, 2))
    assert encode_arrays({"a": one, "b": two}) == encode_arrays({"b": two, "a": one})
    save_arrays(tmp_path / "a.npz", b=two, a=one)
    assert (tmp_path / "a.npz").read_bytes() == encode_arrays({"a": one, "b": two})


def test_objects_are_refused(tmp_path):
    """Else loading would run code that a file contains."""
    with pytest.raises(TypeError, match="'bad' holds Python objects"):
        encode_arrays({"bad": np.array([{}], dtype=object)})
    np.savez(tmp_path / "a.npz", bad=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "a.npz")
