import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.formats.values import describe_value, restore_value

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda items: (
        st.lists(items, max_size=3)
        | st.tuples(items, items)
        | st.dictionaries(st.integers() | st.text(max_size=3), items, max_size=3)
    ),
    max_leaves=8,
)


def through(value):
    """The value after its description went through strict JSON."""
    arrays = {}
    text = json.dumps(describe_value(value, "v", arrays), allow_nan=False)
    return restore_value(json.loads(text), arrays)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_plain_values_come_back(value):
    """Else a parameter changes: tuples become lists, whole-number keys text, 30.0 becomes 30."""
    back = through(value)
    assert back == value
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.1),
        np.float32(0.1),
        np.int64(-3),
        np.uint8(200),
        np.bool_(True),
        np.float64("inf"),
    ],
)
def test_numpy_scalars_keep_their_type(value):
    """Else arithmetic after loading is done in another precision."""
    back = through(value)
    assert type(back) is type(value)
    assert back == value


def test_values_that_are_not_finite_come_back():
    """Else a noise variance of NaN cannot be stored, or is not JSON."""
    assert np.isnan(through(float("nan")))
    assert through([float("inf"), -float("inf")]) == [float("inf"), -float("inf")]


def test_arrays_of_text_keep_their_text():
    """Else names of columns lose trailing NULs, or become another kind of text."""
    names = np.array([["a\0", "é"], ["", "|"]], dtype=object)
    back = through(names)
    assert back.dtype == object
    assert back.tolist() == names.tolist()


def test_arrays_keep_their_memory_order():
    """Else a product after loading differs in its last bits: rows first, columns first, gaps."""
    whole = np.arange(24.0).reshape(4, 6)
    parts = (whole[:, :3], whole[:, :1], whole[:1, 2:5], whole[1:], whole.T[:3], whole.T[:1])
    for array in (whole, whole.T, *parts):
        back = through({"a": array})["a"]
        assert (back == array).all()
        assert back.strides == array.strides or array.flags.contiguous


def test_other_steps_come_back_without_gaps():
    """Else every second column, turned rows or one number are lost or come back in disorder."""
    whole = np.arange(24.0).reshape(4, 6)
    for array in (whole[:, ::2], whole[::-1], whole[0, ::2], whole[:, 0], whole[:0], np.array(2.5)):
        back = through(array)
        assert back.shape == array.shape
        assert back.tolist() == array.tolist()
        assert back.flags.c_contiguous or back.strides == array.strides


@pytest.mark.parametrize(
    "value",
    [
        len,
        np.random.RandomState(0),
        {"a": [object()]},
        np.array([object()]),
        np.ma.masked_array([1], mask=[True]),
        np.longdouble(1),
        np.datetime64("2024-01-01"),
    ],
)
def test_what_is_not_plain_is_refused(value):
    """Else code, or a value that comes back as another, is stored as if it were data."""
    with pytest.raises(StoreValueError, match=r"^v"):
        describe_value(value, "v", {})
