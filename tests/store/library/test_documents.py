"""Documents: what is read back equals what was given, or the giver was told."""

from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store.library.documents import document_bytes, read_document

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def types_of(value):
    """A value with the type of every number beside it, since 1 == 1.0 == True."""
    if isinstance(value, dict):
        return {key: types_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [types_of(item) for item in value]
    return (type(value), value)


@given(document=st.dictionaries(st.text(), VALUES, max_size=4))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_documents_come_back(document, tmp_path):
    """Else ``max_features=1.0`` (all of them) comes back as ``1`` (one of them)."""
    path = tmp_path / "d.json"
    path.write_bytes(document_bytes(document, "document"))
    assert types_of(read_document(path)) == types_of(document)


def test_values_of_other_libraries_are_written_plainly(tmp_path):
    """Else a configuration from numpy, pydantic or pathlib could not be saved."""

    class Kind(Enum):
        A = "a"

    class Params(BaseModel):
        window: int = 5

    value = {
        "numpy": [np.int64(3), np.float32(0.5), np.bool_(True), np.arange(2), np.longdouble(2)],
        "day": np.datetime64("2024-05-01"),
        "tuple": (1, 2),
        "set": {"b", "a"},
        "path": Path("a") / "b",
        "date": date(2024, 5, 1),
        "time": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "enum": Kind.A,
        "model": Params(),
    }
    path = tmp_path / "d.json"
    path.write_bytes(document_bytes(value, "config"))
    assert read_document(path) == {
        "numpy": [3, 0.5, True, [0, 1], 2.0],
        "day": "2024-05-01",
        "tuple": [1, 2],
        "set": ["a", "b"],
        "path": "a/b",
        "date": "2024-05-01",
        "time": "2024-05-01T12:00:00+00:00",
        "enum": "a",
        "model": {"window": 5},
    }


def test_a_number_that_is_missing_is_refused_or_null():
    """Else the file is no JSON, or a configuration's NaN silently becomes None."""
    assert document_bytes({"a": float("nan")}, "metrics", missing_as_null=True) == (
        b'{\n  "a": null\n}\n'
    )
    with pytest.raises(StoreValueError, match=r"config\.a\[0\] is inf"):
        document_bytes({"a": [float("inf")]}, "config")


@pytest.mark.parametrize("value", [b"x", object(), {1: 2}, {"a": {None: 1}}])
def test_what_json_cannot_hold_is_refused_by_place(value):
    """Else a key 0 comes back as "0", and class weights no longer fit their classes."""
    with pytest.raises(StoreTypeError, match=r"^config\.here"):
        document_bytes({"here": value}, "config")


def test_a_value_that_contains_itself_is_refused():
    value = {}
    value["self"] = value
    with pytest.raises(StoreValueError, match="contains itself"):
        document_bytes(value, "config")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff", b"null", b"[" * 200_000], ids=range(6)
)
def test_a_damaged_file_is_named(tmp_path, content):
    """Else a user sees an error of the JSON parser without the file's name."""
    path = tmp_path / "d.json"
    path.write_bytes(content)
    with pytest.raises(StoreValueError, match=r"d\.json"):
        read_document(path)
