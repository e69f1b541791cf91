"""Labels as this package exports them."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mosaic_dagster.dataset.labels import IdTags, Labels, encode_labels
from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.base import LabelReaderParams
from mosaic_dagster.dataset.labels.readers.label_parquet import LabelParquet
from mosaic_dagster.errors import LabelsError, ReaderError
from mosaic_dagster.keys import EntryKey

READER = LabelParquet()
PARAMS = LabelReaderParams()
KEY = EntryKey("dish 01", "larva/7")
NAMES = {0: "none", 2: "groom"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from([(0, -1), (1, 0)]), st.sampled_from([0, 2])),
        min_size=1,
        max_size=9,
    ),
    fps=st.none() | st.floats(1, 200),
)
def test_what_was_exported_comes_back(
    tmp_path: Path, rows: list[tuple[int, tuple[int, int], int]], fps: float | None
) -> None:
    """To the byte, so that importing what was exported changes nothing."""
    labels = Labels.from_spans([(f, f + 1, *who, c) for f, who, c in rows], NAMES, fps=fps)
    path = tmp_path / "x.parquet"
    path.write_bytes(encode_labels(labels, KEY))
    (found,) = READER.read(path, PARAMS)
    assert (found.group, found.sequence) == (KEY.group, KEY.sequence)
    assert READER.labelled(path, PARAMS) == [(KEY.group, KEY.sequence)]
    assert encode_labels(found.labels, KEY) == path.read_bytes()


def test_labels_without_an_event_are_called_as_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(encode_labels(Labels.per_frame([], NAMES), KEY))
    assert isinstance(detect_labels(path), LabelParquet)
    (found,) = READER.read(path, PARAMS)
    assert (found.group, found.sequence) == (None, "x")
    assert found.labels.names == NAMES  # type: ignore[union-attr]


def test_tags_come_back(tmp_path: Path) -> None:
    tags = IdTags.from_mapping({0: {"w": 20.5, "meta__rig": "B"}, 1: {"w": 3.0}})
    path = tmp_path / "x.parquet"
    path.write_bytes(encode_labels(tags, KEY))
    assert detect_labels(path).name == "label_parquet"
    (found,) = READER.read(path, PARAMS)
    assert isinstance(found.labels, IdTags)
    assert_frame_equal(found.labels.table, tags.table)
    assert (found.labels.meta, found.sequence) == ({"rig": "B"}, KEY.sequence)


def events(**columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame(
        {"frame": [0, 1], "id1": [0, 0], "id2": [-1, -1], "label": [2, 0]} | columns
    )


def test_a_table_of_another_program(tmp_path: Path) -> None:
    """Its metadata is gone; the names stand beside the labels, recordings one below another."""
    path = tmp_path / "x.parquet"
    events(name=["groom", "none"], sequence=["a", "b"]).write_parquet(path)
    first, second = READER.read(path, LabelReaderParams(fps=10))
    assert [(one.group, one.sequence) for one in (first, second)] == [(None, "a"), (None, "b")]
    assert isinstance(first.labels, Labels)
    assert (first.labels.names, first.labels.fps) == (NAMES, 10.0)
    assert first.labels.events.rows() == [(0, 0, -1, 2)]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (events(), "does not say what its classes are called"),
        (events(name=["a", None]), "do not give each class one name"),
        (events(name=["a", "b"], label=[1, 1]), "do not give each class one name"),
        (events(name=["a", "b"]).drop("id1"), "holds no labels: it has the columns frame"),
        (events(name=["a", "b"], sequence=["x", None]), "does not say which recording"),
    ],
)
def test_tables_that_do_not_say_enough_are_refused(
    tmp_path: Path, table: pl.DataFrame, message: str
) -> None:
    path = tmp_path / "x.parquet"
    table.write_parquet(path)
    with pytest.raises(ReaderError, match=message):
        READER.read(path, PARAMS)


def test_impossible_events_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    events(name=["a", "b"], frame=[-1, 0]).write_parquet(path)
    with pytest.raises(LabelsError, match="-1"):
        READER.read(path, PARAMS)


def test_frames_counted_at_another_rate_are_refused(tmp_path: Path) -> None:
    """Frame 300 is second 10 at 30 fps and second 12 at 25."""
    path = tmp_path / "x.parquet"
    path.write_bytes(encode_labels(Labels.per_frame([0], NAMES, fps=30.0), KEY))
    with pytest.raises(ReaderError, match=r"says 30.0 frames per second, and the recording has 25"):
        READER.read(path, LabelReaderParams(fps=25))


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 cut short")
    assert not READER.sniff(path)
    for look in (READER.labelled, READER.read):
        with pytest.raises(ReaderError, match="not a readable parquet file"):
            look(path, PARAMS)
