"""Json files, whole and from their beginning."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.dataset.readers.json_text import Member, json_outline, read_json, walk_json
from mosaic_dagster.errors import ReaderError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_outline_names_members_and_how_they_open(tmp_path: Path) -> None:
    """Members inside lists are not told; brackets and colons in texts are no structure."""
    path = write(
        tmp_path, '{"a:[": {"b\\"": [[1, {"no": 2}]], "c": {}}, "d": "{", "e": [{"x": 1}]}'
    )
    assert json_outline(path) == [
        Member(("a:[",), "{"),
        Member(("a:[", 'b"'), "[["),
        Member(("a:[", "c"), "{"),
        Member(("d",), ""),
        Member(("e",), "[{"),
    ]


@pytest.mark.parametrize("text", [b"", b"[1, 2]", b"}]", b"\xff\xfe{", b'{"a', b'{"a":'])
def test_no_beginning_makes_the_outline_fail(tmp_path: Path, text: bytes) -> None:
    """Looking for tracks among foreign files must not stop at one of them."""
    assert all(member.opens == "" for member in json_outline(write(tmp_path, text)))


def test_a_cut_file_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"a.json, line 2, column 3: "):
        read_json(write(tmp_path, '{"a":\n ['))


@pytest.mark.parametrize("text", [b'{"a": "\xff"}', b"[" * 100_000])
def test_other_damage_is_an_error_too(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(ReaderError, match=r"a.json is not readable json"):
        read_json(write(tmp_path, text))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="cannot be read: No such file"):
        read_json(tmp_path / "gone.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def flat(value: Any, depth: int, names: tuple[str, ...] = ()) -> list[Any]:
    if not depth or not isinstance(value, dict):
        return [(names, value)]
    return [pair for name in value for pair in flat(value[name], depth - 1, (*names, name))]


@settings(max_examples=50, deadline=None)
@given(value=VALUES, depth=st.integers(0, 3), indent=st.sampled_from([None, 2]))
def test_a_walk_finds_what_reading_finds(
    tmp_path_factory: pytest.TempPathFactory, value: Any, depth: int, indent: int | None
) -> None:
    """A sequence that the walk loses would be missing without an error."""
    path = tmp_path_factory.getbasetemp() / "walk.json"
    path.write_text(json.dumps(value, indent=indent))
    assert list(walk_json(path, depth)) == flat(value, depth)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1', "column 8: Expecting ',' or '}'"),
        ('{"a" 1}', "column 6: Expecting ':'"),
        ("{1: 2}", "column 2: Expecting a name"),
        ('{"a": 1, }', "column 10: Expecting a name"),
        ('{"a": 1} 2', "column 10: Extra data"),
        ("", "column 1: Expecting value"),
    ],
)
def test_a_walk_through_damage_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ReaderError, match=re.escape(f"a.json, line 1, {told}")):
        list(walk_json(write(tmp_path, text), 2))
