"""The action key of tracks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset.identity import SourceKeys, source_action_key
from mosaic_dagster.hashing import digest
from mosaic_dagster.keys import EntryKey

BASE: dict[str, Any] = {
    "asset": "tracks",
    "key": EntryKey("g", "s"),
    "source_sha256": ["a" * 64, "b" * 64],
    "reader": "keypoint_csv",
    "reader_version": "1",
    "params": {"fps": 16.0, "unit": "mm", "keypoints": ["head"]},
}


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "labels/behavior"},
        {"key": EntryKey("g", "t")},
        {"key": EntryKey("gs", "s")},
        {"source_sha256": ["a" * 64]},
        {"source_sha256": ["a" * 64, "c" * 64]},
        {"reader": "deeplabcut"},
        {"reader_version": "2"},
        {"params": {"fps": 30.0, "unit": "mm", "keypoints": ["head"]}},
        {"params": {"fps": 16.0, "unit": "px", "keypoints": ["head"]}},
        {"params": {"fps": 16.0, "unit": "mm", "keypoints": ["tail"]}},
    ],
)
def test_whatever_changes_the_tracks_changes_the_key(change: dict[str, Any]) -> None:
    """Otherwise a changed file or rate would go unnoticed and all features stay as they were."""
    assert source_action_key(**BASE) != source_action_key(**(BASE | change))


def test_the_order_of_files_and_the_kind_of_number_do_not_count() -> None:
    """Listing a folder in another order must not recompute it."""
    same = {"source_sha256": ["b" * 64, "a" * 64], "params": BASE["params"] | {"fps": 16}}
    assert source_action_key(**BASE) == source_action_key(**(BASE | same))


@given(st.text(), st.text(min_size=1), st.lists(st.text("0123456789abcdef", min_size=1)))
def test_any_names_are_written_as_in_canonical_json(
    group: str, sequence: str, sources: list[str]
) -> None:
    """Keys of names with quotes, line breaks or unicode would be those of nothing stored."""
    asked = {
        "kind": "tracks", "group": group, "sequence": sequence, "sources": sorted(sources),
        "reader": "csv", "reader_version": "1", "params": {"fps": 16.0, "a": [None, "ä"]},
    }  # fmt: skip
    keys = SourceKeys("tracks", "csv", "1", {"a": (None, "ä"), "fps": 16})
    assert keys.of(EntryKey(group, sequence), sources) == digest(asked)


def test_the_key_is_fixed() -> None:
    """Another formula would make every stored result of every lab stale."""
    assert source_action_key(**BASE) == GOLDEN


GOLDEN = "1679603dfc35a46c359592fa47e505385b940a0cbc9a8dfd9080883146a5661b"
