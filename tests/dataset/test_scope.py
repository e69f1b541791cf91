"""Choosing entries."""

from typing import Any

import pytest

from mosaic_dagster.dataset.scope import Scope
from mosaic_dagster.errors import KeyFormatError, ScopeError
from mosaic_dagster.keys import EntryKey

A1, A2, B1 = EntryKey("dish01", "one"), EntryKey("dish01", "two"), EntryKey("dish02", "one")
ALL = [B1, A2, A1]


@pytest.mark.parametrize(
    ("scope", "chosen"),
    [
        (Scope(), [A1, A2, B1]),
        (Scope(groups=["dish01"]), [A1, A2]),
        (Scope(groups="dish02"), [B1]),
        (Scope(sequences=["one"]), [A1, B1]),
        (Scope(groups=["dish01"], sequences=["one"]), [A1]),
        (Scope(entries=[B1, "dish01/two"]), [A2, B1]),
        (Scope(entries=[("dish01", "one")], groups=["dish01", "dish02"]), [A1]),
        (Scope(frames=(0, 10)), [A1, A2, B1]),
    ],
)
def test_what_is_chosen(scope: Scope, chosen: list[EntryKey]) -> None:
    """A scope that took more or less would fit models on the wrong recordings."""
    assert scope.select(ALL) == chosen


@pytest.mark.parametrize("field", ["groups", "sequences", "entries"])
def test_an_empty_list_is_not_everything(field: str) -> None:
    """A list that came out empty by mistake must not select all recordings, or none in silence."""
    with pytest.raises(ScopeError, match=f"empty list of {field}.*None for all"):
        Scope(**{field: []})


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        (Scope(groups=["dish1"]), r"no group 'dish1'. Did you mean 'dish01'"),
        (Scope(sequences=["twoo"]), r"no sequence 'twoo'. Did you mean 'two'"),
        (Scope(entries=["dish01/on"]), r"no entry 'dish01/on'. Did you mean 'dish01/one'"),
        (Scope(groups=["zebra"]), r"no group 'zebra'. There are: dish01, dish02"),
        (Scope(groups=["dish02"], sequences=["two"]), "no entry has all of them"),
    ],
)
def test_unknown_names_are_errors_with_the_nearest_known(scope: Scope, told: str) -> None:
    """A typing error must not silently leave recordings out."""
    with pytest.raises(ScopeError, match=told):
        scope.select(ALL)


def test_without_entries_everything_is_nothing() -> None:
    """A new dataset has an empty scope, which is no error; a name in it is one."""
    assert Scope().select([]) == []
    with pytest.raises(ScopeError, match="There are none"):
        Scope(groups=["dish01"]).select([])


@pytest.mark.parametrize("frames", [(5, 5), (5, 2), (-1, 4), (0, 0), (1.5, 3), (True, 3)])
def test_impossible_frames_are_refused(frames: Any) -> None:
    with pytest.raises(ScopeError, match="frame"):
        Scope(frames=frames)


def test_a_malformed_key_is_refused() -> None:
    with pytest.raises(KeyFormatError, match="is not an entry key"):
        Scope(entries=["dish 01"])


def test_equal_scopes_have_equal_identities() -> None:
    """The order of names does not make another model."""
    one, other = (
        Scope(groups=["b", "a", "b"], entries=[A1]),
        Scope(groups=("a", "b"), entries=[str(A1)]),
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one.identity() == {
        "groups": ["a", "b"],
        "sequences": None,
        "entries": ["dish01/one"],
        "frames": None,
    }
    assert one.identity() != Scope(groups=["a"]).identity()
    assert Scope().is_everything
    assert not one.is_everything


def test_a_scope_in_words() -> None:
    assert Scope().describe() == "all entries"
    assert Scope(groups=["a"], frames=(10, 20)).describe() == "groups: a; frames: 10 to 19"
    assert Scope(groups=[""], frames=(None, 20)).describe() == "groups: ''; frames: 0 to 19"
