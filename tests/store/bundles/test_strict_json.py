import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import BundleError
from mosaic_dagster.store.bundles.strict_json import MAX_JSON, parse_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(value=VALUES)
def test_what_json_writes_comes_back(value):
    """Else parameters change on their way through a bundle."""
    assert parse_json(json.dumps(value).encode(), "x") == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nope",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"[-Infinity]",
        b"[1e999]",
        b'["\\ud800"]',
        b'"\xff"',
        b"[" + b"9" * 5000 + b"]",
    ],
)
def test_what_readers_understand_differently_is_refused(data):
    """Else two programs read two different chains from one file."""
    with pytest.raises(BundleError, match=r"f\.n4a is not strict JSON"):
        parse_json(data, "f.n4a")


def test_depth_is_bounded_and_brackets_in_texts_do_not_count():
    """Else a small file exhausts the stack, or a harmless label makes a bundle unreadable."""
    assert parse_json(b"[" * 100 + b"]" * 100, "x")
    assert parse_json(json.dumps({"a": "[{" * 500 + '"\\'}).encode(), "x")
    with pytest.raises(BundleError, match="nested deeper than 100"):
        parse_json(b"[" * 101 + b"]" * 101, "x")


def test_a_million_brackets_or_open_quotes_take_no_time():
    """Else a crafted text makes opening a bundle hang; each case is linear or never ends."""
    for data in (b"[" * 10**6, b'"' + b'\\"' * 10**6, b'"' + b'\\"' * 10**6 + b"\\"):
        with pytest.raises(BundleError):
            parse_json(data, "x")


def test_long_text_is_refused():
    """Else a manifest alone fills the memory."""
    with pytest.raises(BundleError, match="longer"):
        parse_json(b" " * (MAX_JSON + 1), "x")
