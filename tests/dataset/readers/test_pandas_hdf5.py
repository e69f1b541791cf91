"""Tables that pandas stored in HDF5."""

from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset.readers.hdf5 import find, open_hdf5
from mosaic_dagster.dataset.readers.pandas_hdf5 import (
    PandasFrame,
    frame_columns,
    frame_keys,
    parse_literal,
    read_frame,
)
from mosaic_dagster.errors import ReaderError

COLUMNS = [("S", "nose", "x"), ("S", "nose", "y"), ("S", "ear", "x")]
VALUES = [[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]]
LAYOUTS = ("write_fixed", "write_table")


def read(path: Path, key: str = "df_with_missing") -> PandasFrame:
    with open_hdf5(path, "The test") as file:
        return read_frame(find(file, key))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_are_read(files: ModuleType, tmp_path: Path, layout: str) -> None:
    """Trackers write one or the other; the header order is kept, which is not alphabetical."""
    path = getattr(files, layout)(tmp_path / "a.h5", COLUMNS, VALUES, [5, 9])
    frame = read(path)
    assert frame.columns == tuple(COLUMNS)
    assert frame.index.tolist() == [5, 9]
    np.testing.assert_array_equal(frame.values, VALUES)
    with open_hdf5(path, "The test") as file:
        assert frame_columns(find(file, "df_with_missing")) == tuple(COLUMNS)


def test_tables_are_found_under_any_key(files: ModuleType, tmp_path: Path) -> None:
    path = files.write_fixed(tmp_path / "a.h5", COLUMNS, VALUES, [0, 1], key="deep/tracks")
    files.write_table(path, COLUMNS, VALUES, [0, 1], key="df")
    with open_hdf5(path, "The test") as file:
        assert frame_keys(file) == ["deep/tracks", "df"]
    assert read(path, "deep/tracks").columns == read(path, "df").columns


def test_values_stored_the_other_way_round_are_turned(files: ModuleType, tmp_path: Path) -> None:
    """Without the mark `transposed` a block is (columns, rows)."""
    path = files.write_fixed(tmp_path / "a.h5", COLUMNS, VALUES, [0, 1])
    with files.h5py().File(path, "a") as file:
        del file["df_with_missing/block0_values"]
        file["df_with_missing/block0_values"] = np.array(VALUES).T
    np.testing.assert_array_equal(read(path).values, VALUES)


def test_a_table_without_rows_is_empty(files: ModuleType, tmp_path: Path) -> None:
    """An empty array is stored as one value and the shape that it stands for."""
    path = files.write_fixed(tmp_path / "a.h5", COLUMNS, [[0, 0, 0]], [0])
    with files.h5py().File(path, "a") as file:
        file["df_with_missing/axis1"].attrs["shape"] = np.array([0])
        file["df_with_missing/block0_values"].attrs["shape"] = np.array([0, 3])
    assert read(path).values.shape == (0, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_that_are_no_frames_are_refused(
    files: ModuleType, tmp_path: Path, layout: str
) -> None:
    """Annotated pictures are named by file; as frames 0, 1, … they would be a false recording."""
    path = getattr(files, layout)(tmp_path / "a.h5", COLUMNS, VALUES, [0, 1])
    with files.h5py().File(path, "a") as file:
        if layout == "write_fixed":
            file["df_with_missing"].move("axis1", "axis1_level0")
        else:
            records = file["df_with_missing/table"][()]
            kinds = [("level_0", "<i8"), ("values_block_0", "<f8", (3,))]
            del file["df_with_missing/table"]
            file["df_with_missing/table"] = records.astype(kinds)
    with pytest.raises(ReaderError, match=r"a.h5: the rows of .* are not numbered by frame"):
        read(path)


def test_columns_without_a_name_are_refused(files: ModuleType, tmp_path: Path) -> None:
    path = files.write_fixed(tmp_path / "a.h5", COLUMNS, VALUES, [0, 1])
    with files.h5py().File(path, "a") as file:
        file["df_with_missing/axis0_label1"][0] = -1
    with pytest.raises(ReaderError, match="a column of 'axis0' has no name"):
        read(path)


def test_a_block_without_a_part_of_its_columns_is_refused(
    files: ModuleType, tmp_path: Path
) -> None:
    path = files.write_fixed(tmp_path / "a.h5", COLUMNS, VALUES, [0, 1])
    with files.h5py().File(path, "a") as file:
        del file["df_with_missing/block0_values"]
        values = file.create_dataset("df_with_missing/block0_values", data=np.zeros((2, 2)))
        values.attrs["transposed"] = 1
    with pytest.raises(ReaderError, match="block 0 has 2 columns"):
        read(path)


Literal = st.recursive(
    st.text() | st.integers(-(2**40), 2**40) | st.none() | st.booleans(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple),
    max_leaves=20,
)


@given(value=Literal, protocol=st.sampled_from([0, 2, 4]))
def test_plain_values_survive(value: Any, protocol: int) -> None:
    """Names in any language, in any protocol that Python wrote them with."""
    read = parse_literal(cloudpickle.dumps(value, protocol=protocol))
    assert read == value
    assert repr(read) == repr(value)


class Trap:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit",))


def test_a_pickle_with_code_is_refused_and_not_run(files: ModuleType, tmp_path: Path) -> None:
    """The names of columns are pickled in the file, and pickles can run commands."""
    path = files.write_table(tmp_path / "a.h5", COLUMNS, VALUES, [0, 1])
    with files.h5py().File(path, "a") as file:
        trap = cloudpickle.dumps([(1, [Trap()])], protocol=0)
        file["df_with_missing"].attrs["non_index_axes"] = np.bytes_(trap)
    with pytest.raises(ReaderError, match=r"'non_index_axes' cannot be read \(the opcode GLOBAL"):
        read(path)


@given(data=st.binary(max_size=40))
def test_any_bytes_end_in_a_known_error(data: bytes) -> None:
    """Damage in an attribute must not end in an error that nobody catches."""
    with suppress(ValueError, IndexError, KeyError, TypeError, AttributeError):
        parse_literal(data)
