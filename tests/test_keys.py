"""The text form of an entry key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import KeyFormatError
from mosaic_dagster.keys import EntryKey

# Lone surrogates included: file systems give them for names that are not UTF-8.
names = st.text(st.characters(exclude_categories=()))
keys = st.builds(EntryKey, names, names.filter(bool))


@given(keys)
def test_any_name_survives_the_text_form(key: EntryKey) -> None:
    """Without it a recording with an unusual name could not be found again."""
    text = str(key)
    assert EntryKey.parse(text) == key
    assert text.isascii()
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_%/")
    assert text.count("/") == 1


@given(keys, keys)
def test_two_recordings_never_share_a_key(one: EntryKey, other: EntryKey) -> None:
    """Without it one recording would overwrite the results of another."""
    assert (str(one) == str(other)) == (one == other)


@pytest.mark.parametrize(
    ("group", "sequence", "text"),
    [
        ("dish01", "larva_007", "dish01/larva_007"),
        ("", "a", "/a"),
        ("dish 01", "a|b,c", "dish%2001/a%7Cb%2Cc"),
        ("a/b", "c...d~e", "a%2Fb/c%2E%2E%2Ed%7Ee"),
        ("ä", "\n", "%C3%A4/%0A"),
        ("%", "%41", "%25/%2541"),
        ("a", "\udc80", "a/%ED%B2%80"),
    ],
)
def test_the_text_form_is_fixed(group: str, sequence: str, text: str) -> None:
    """Another spelling would orphan every result that was stored under this one."""
    assert str(EntryKey(group, sequence)) == text


def test_what_looks_alike_before_encoding_differs_after() -> None:
    """("a/b", "c") and ("a", "b/c") are two recordings."""
    assert str(EntryKey("a/b", "c")) != str(EntryKey("a", "b/c"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a/",
        "/",
        "a/b/c",
        "a b/c",
        "a/%4",
        "a/%41",
        "a/%e4",
        "a/b.c",
        "a/%FF",
        "ä/b",
        "a/b\n",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    """A mistyped key must not be taken for a recording."""
    with pytest.raises(KeyFormatError, match="is not an entry key"):
        EntryKey.parse(text)


def test_an_empty_sequence_is_refused() -> None:
    with pytest.raises(KeyFormatError, match="sequence of an entry in group 'g' is empty"):
        EntryKey("g", "")


def test_keys_sort_group_by_group() -> None:
    """Listings and ranges rely on a group being contiguous."""
    keys = [EntryKey("b", "a"), EntryKey("a", "z"), EntryKey("a", "b")]
    assert sorted(keys) == [EntryKey("a", "b"), EntryKey("a", "z"), EntryKey("b", "a")]
