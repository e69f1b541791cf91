"""Canonical values and their digests."""

import enum
import hashlib
import json
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mosaic_dagster.errors import HashingError
from mosaic_dagster.hashing import canonical, canonical_json, digest, digest_bytes, digest_file

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    a: int = 1
    b: tuple[float, ...] = (0.5,)


@settings(max_examples=50)
@given(plain)
def test_a_canonical_value_is_its_own_canonical_form(value: object) -> None:
    """Without it a value read back from JSON would get another identity."""
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_names_does_not_count(values: dict[str, int]) -> None:
    """Two people who write parameters in another order share results."""
    assert digest(values) == digest(dict(reversed(values.items())))


@given(plain, plain)
def test_digests_tell_different_values_apart(one: object, other: object) -> None:
    """Without it changed parameters would find old results."""
    assert (digest(one) == digest(other)) == (canonical_json(one) == canonical_json(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (30, 30.0),
        (-0.0, 0),
        ((1, 2), [1, 2]),
        ({"b", "a"}, ["a", "b"]),
        (Colour.RED, "red"),
        (PurePosixPath("a/b"), "a/b"),
        (np.float64(0.5), 0.5),
        (np.int32(3), 3),
        (np.array([1.0, 2.5]), [1, 2.5]),
        (Model(), {"a": 1, "b": [0.5]}),
        ({1: "x"}, {"1": "x"}),
    ],
)
def test_equal_values_have_equal_digests(one: object, other: object) -> None:
    """Without it the same parameters written another way would be computed again."""
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"), [(True, 1), (None, "null"), ("1", 1), ([], {}), ([1, 2], [2, 1]), (0.1, 0.2)]
)
def test_unequal_values_have_unequal_digests(one: object, other: object) -> None:
    """Without it changed parameters would find old results."""
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"fps": float("nan")}, "value.fps is nan"),
        ({"fps": [1, float("inf")]}, r"value.fps\[1\] is inf"),
        ({"f": print}, "value.f is a builtin_function_or_method"),
        (b"bytes", "value is a bytes"),
        ({(1, 2): 3}, r"the key \(1, 2\)"),
    ],
)
def test_what_has_no_value_of_its_own_is_refused(value: object, named: str) -> None:
    """An identity made of a type name or an address would match by accident, or never."""
    with pytest.raises(HashingError, match=named):
        canonical(value)


def test_a_digest_is_sha256_of_the_canonical_text() -> None:
    """The rule may be followed by other programs: {"a":1,"b":[0.5]} and nothing else."""
    assert canonical_json({"b": (0.5,), "a": 1.0}) == '{"a":1,"b":[0.5]}'
    expected = hashlib.sha256(b'{"a":1,"b":[0.5]}').hexdigest()
    assert digest({"b": (0.5,), "a": 1.0}) == expected


@given(data=st.binary(max_size=64))
def test_a_file_has_the_digest_of_its_bytes(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without it a file and its stored copy would not be known to be the same."""
    path: Path = tmp_path_factory.mktemp("hash") / "file"
    path.write_bytes(data)
    assert digest_file(path) == digest_bytes(data) == hashlib.sha256(data).hexdigest()


def test_a_file_longer_than_one_piece(tmp_path: Path) -> None:
    """Files are read in pieces of 1 MiB; the last, shorter one counts too."""
    path = tmp_path / "long"
    path.write_bytes(b"x" * ((1 << 20) + 1))
    assert digest_file(path) == digest_bytes(b"x" * ((1 << 20) + 1))
