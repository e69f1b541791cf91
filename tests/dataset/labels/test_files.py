"""Labels as stored objects."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mosaic_dagster.dataset.labels import IdTags, Labels, encode_labels, read_labels_file
from mosaic_dagster.errors import LabelsError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table

KEY = EntryKey("dish 01", "larva/7")
WHOM = st.sampled_from([(-1, -1), (0, -1), (0, 1), (1, 0)])
ROWS = st.lists(st.tuples(st.integers(0, 99), WHOM, st.sampled_from([0, 2])), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, fps=st.none() | st.floats(1, 200), note=st.text(max_size=5))
def test_labels_come_back_as_they_were_stored(
    tmp_path: Path, rows: list[tuple[int, tuple[int, int], int]], fps: float | None, note: str
) -> None:
    """In their order too, which decides what class counts."""
    spans = [(frame, frame + 1, *whom, label) for frame, whom, label in rows]
    labels = Labels.from_spans(spans, {2: "groom", 0: "none"}, fps=fps, notes={"by": note})
    path = tmp_path / "labels.parquet"
    path.write_bytes(encode_labels(labels, KEY))
    again = read_labels_file(path)
    assert isinstance(again, Labels)
    assert_frame_equal(again.events, labels.events)
    assert (again.names, again.fps, again.notes) == (labels.names, fps, {"by": note})


def test_a_stored_table_speaks_for_itself(tmp_path: Path) -> None:
    """Someone who opens it in another program sees the recording and the names of the classes."""
    path = tmp_path / "labels.parquet"
    path.write_bytes(encode_labels(Labels.per_frame([1], {1: "groom"}), KEY))
    assert pl.read_parquet(path).to_dicts() == [
        {"frame": 0, "id1": -1, "id2": -1, "label": 1, "name": "groom", "group": "dish 01",
         "sequence": "larva/7"}
    ]  # fmt: skip


def test_equal_labels_are_equal_bytes() -> None:
    """Another digest would make every feature that uses them stale for nothing."""
    one = Labels.per_frame([1, 0], {0: "none", 1: "groom"})
    other = Labels.per_frame([1, 0], {1: "groom", 0: "none"})
    assert encode_labels(one, KEY) == encode_labels(other, KEY)
    assert encode_labels(one, KEY) != encode_labels(one, EntryKey("", "x"))


def test_labels_without_events_or_classes_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    for names in ({}, {0: "none"}):
        path.write_bytes(encode_labels(Labels.per_frame([None], names), KEY))
        again = read_labels_file(path)
        assert isinstance(again, Labels)
        assert (again.events.height, again.names) == (0, names)


def test_tags_come_back_as_they_were_stored(tmp_path: Path) -> None:
    tags = IdTags.from_mapping({0: {"focal": True, "w": 20.5, "meta__rig": "B"}, 1: {"w": None}})
    path = tmp_path / "tags.parquet"
    path.write_bytes(encode_labels(tags, KEY))
    again = read_labels_file(path)
    assert isinstance(again, IdTags)
    assert_frame_equal(again.table, tags.table)
    assert again.meta == {"rig": "B"}


def test_other_tables_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"frame": [0]})))
    with pytest.raises(LabelsError, match=r"x.parquet holds no labels"):
        read_labels_file(path)
