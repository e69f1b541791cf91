"""Samples from files: numbers as they stand there, and clear words about files that have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mosaic_dagster.cli.models.matrix import prediction_table, read_matrix, write_table
from mosaic_dagster.errors import ReaderError

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 4))


@given(arrays(np.float64, shapes, elements=finite), st.sampled_from([".csv", ".parquet", ".npy"]))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, matrix: np.ndarray, suffix: str
) -> None:
    """A value that changes on its way gives another prediction without a word."""
    path = tmp_path_factory.mktemp("matrix") / f"samples{suffix}"
    if suffix == ".npy":
        np.save(path, matrix)
    else:
        write_table(pl.DataFrame(matrix, schema=[f"c{i}" for i in range(matrix.shape[1])]), path)
    read, left_out = read_matrix(path, None)
    np.testing.assert_array_equal(read, matrix)
    assert left_out == []


def test_order_and_missing_values(tmp_path: Path) -> None:
    """Columns come in the order asked for; an empty cell is NaN, not 0."""
    path = tmp_path / "samples.csv"
    path.write_text("name,a,b\nx,1,2.5\ny,,4\n")
    read, left_out = read_matrix(path, ["b", "a"])
    np.testing.assert_array_equal(read, [[2.5, 1.0], [4.0, np.nan]])
    assert left_out == []
    assert read_matrix(path, None)[1] == ["name"]


def test_several_outputs_are_several_columns() -> None:
    table = prediction_table(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert table.to_dict(as_series=False) == {
        "prediction_0": [1.0, 3.0], "prediction_1": [2.0, 4.0]}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("words.csv", b"a,b\nx,y\n"),
        ("empty.csv", b""),
        ("cut.parquet", b"PAR1"),
        ("cut.npy", b"\x93NUMPY"),
        ("empty.npy", b""),
    ],
)
def test_a_file_without_samples(tmp_path: Path, name: str, data: bytes) -> None:
    """The name of the file is told; a traceback would look like a fault of the model."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ReaderError, match=name):
        read_matrix(path, None)


@pytest.mark.parametrize("array", [np.zeros(3), np.array([["a"]]), np.zeros((1, 1, 1))], ids=repr)
def test_an_array_that_is_no_matrix(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ReaderError, match="no matrix of numbers"):
        read_matrix(tmp_path / "a.npy", None)


def test_a_named_column_of_words(tmp_path: Path) -> None:
    """A column with one word among its numbers is text as a whole."""
    path = tmp_path / "samples.csv"
    path.write_text("a,b\n1,2\nn/a,3\n")
    with pytest.raises(ReaderError, match=r"'a' of .* holds no numbers"):
        read_matrix(path, ["a", "b"])


def test_a_named_column_without_values(tmp_path: Path) -> None:
    """Nothing in it is text, so it is missing values; a table without rows is the extreme."""
    path = tmp_path / "samples.csv"
    path.write_text("a,b\n1,\n")
    np.testing.assert_array_equal(read_matrix(path, ["a", "b"])[0], [[1.0, np.nan]])
    path.write_text("a,b\n")
    assert read_matrix(path, ["a", "b"])[0].shape == (0, 2)
