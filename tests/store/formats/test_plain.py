import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.formats.plain import dump_array, dump_json, load_array, load_json

DTYPES = hnp.floating_dtypes() | hnp.integer_dtypes() | hnp.boolean_dtypes()
TEXT = st.text(max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda items: st.lists(items, max_size=3) | st.dictionaries(TEXT, items, max_size=3),
    max_leaves=8,
)
QUICK = settings(max_examples=40, deadline=None)


@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0)), st.sampled_from("CF"))
@QUICK
def test_arrays_come_back(array, order):
    """Else values, NaN, shape, byte order or memory order change by being stored."""
    array = np.asarray(array, order=order)
    back = load_array(dump_array(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.flags.f_contiguous == array.flags.f_contiguous
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a", None], dtype=object),
        np.ma.masked_array([1, 2], mask=[True, False]),
        np.float64(1),
        [1, 2],
    ],
)
def test_what_npy_would_change_is_refused(array):
    """Else a mask is lost, or a list comes back as an array, without a word."""
    with pytest.raises(StoreValueError, match="npy"):
        dump_array(array)


def test_pickled_arrays_and_trailing_bytes_are_refused():
    """Else an npy file from outside runs code, or hides bytes behind its array."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_array(buffer.getvalue())
    with pytest.raises(StoreValueError, match="after the end"):
        load_array(dump_array(np.arange(3)) + b"x")


def test_a_long_header_is_read_from_trusted_files_only():
    """Else a table of many named fields cannot be loaded again, or a forged header is parsed."""
    array = np.zeros(2, dtype=[(f"a_rather_long_name_{i:04d}", "f8") for i in range(400)])
    data = dump_array(array)
    assert load_array(data).dtype == array.dtype
    with pytest.raises(ValueError, match=r"[Hh]eader"):
        load_array(data, trusted=False)


def test_what_lies_between_fields_is_not_stored():
    """Else equal arrays have other bytes in every process: 1 byte, 7 of rubbish, 8 of a number."""
    inner = np.dtype([("b", "u1"), ("x", "f8")], align=True)
    dtype = np.dtype([("flag", "u1"), ("in", inner)], align=True)
    clean, dirty = (np.full(3 * dtype.itemsize, fill, "u1").view(dtype) for fill in (0, 255))
    for array in (clean, dirty):
        array["flag"], array["in"]["b"], array["in"]["x"] = 1, 2, 3.5
    assert clean.tobytes() != dirty.tobytes()
    assert dump_array(clean) == dump_array(dirty)
    assert load_array(dump_array(dirty)).tolist() == clean.tolist()


@given(JSON)
@QUICK
def test_json_comes_back(value):
    """Else facts change by being stored; the order of keys does not change the bytes."""
    data = dump_json(value)
    assert load_json(data) == value
    assert dump_json(load_json(data)) == data


def test_keys_are_sorted_and_tuples_are_lists():
    """Else equal facts have two digests; the bytes are compact."""
    assert dump_json({"b": (1, 2.5), "a": None}) == b'{"a":null,"b":[1,2.5]}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": [{1: "x"}]}, r"value\.a\[0\] has the key 1"),
        ([float("nan")], "not JSON compliant"),
        ([float("inf")], "not JSON compliant"),
    ],
)
def test_what_json_would_change_is_refused(value, reason):
    """Else a number comes back as text, or the file is readable by Python alone."""
    with pytest.raises(StoreValueError, match=reason):
        dump_json(value)
