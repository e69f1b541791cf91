"""Behaviour labels of a recording, and how seconds become frames."""

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset.labels import Labels, event_frames
from mosaic_dagster.errors import LabelsError

NAMES = {0: "none", 1: "groom"}
SECONDS = st.integers(0, 4_000_000).map(lambda ms: ms / 1000)
RATES = st.sampled_from([16.0, 24.0, 25.0, 29.97, 30.0, 60.0, 100.0])


def events(*rows: tuple[object, ...]) -> pl.DataFrame:
    columns = ["frame", "id1", "id2", "label"]
    return pl.DataFrame([dict(zip(columns, row, strict=True)) for row in rows])


@pytest.mark.parametrize(
    ("start", "stop", "fps", "frames"),
    [
        (0.0, 1.0, 30.0, (0, 30)),
        (0.1, 0.2, 30.0, (3, 6)),
        (0.28, 0.56, 25.0, (7, 14)),
        (29.850, 34.725, 30.0, (896, 1042)),
        (4.0, 4.0, 25.0, (100, 101)),
        (4.01, 4.02, 25.0, (101, 102)),
        (-0.1, 0.1, 10.0, (-1, 1)),
    ],
)
def test_seconds_become_frames_by_one_rule(
    start: float, stop: float, fps: float, frames: tuple[int, int]
) -> None:
    """Half-open and rounded up: 29.850 s × 30 = 895.5 is frame 896, 34.725 × 30 = 1041.75 ends
    before 1042; and 0.28 s × 25, which floating point makes 7.000000000000001, is frame 7."""
    assert event_frames(start, stop, fps) == frames


@given(times=st.tuples(SECONDS, SECONDS, SECONDS).map(sorted), fps=RATES)
def test_abutting_events_share_no_frame(times: list[float], fps: float) -> None:
    """A frame in two classes is one label lost. (An event between two frames still takes one.)"""
    start, middle, stop = times
    before, after = event_frames(start, middle, fps), event_frames(middle, stop, fps)
    assert before[0] < before[1]
    if before[1] > before[0] + 1 or math.ceil(middle * fps - 1e-6) > before[0]:
        assert before[1] == after[0]


def test_labels_keep_whole_numbers_and_the_order_of_rows() -> None:
    """Later rows win, so sorting them would change which class counts."""
    given_rows = events((3.0, 0, -1, 1), (1.0, -1, -1, 0)).with_columns(extra=pl.lit("x"))
    labels = Labels(given_rows, {"0": "none", 1: "groom"})  # type: ignore[dict-item]
    assert labels.events.rows() == [(3, 0, -1, 1), (1, -1, -1, 0)]
    assert set(labels.events.dtypes) == {pl.Int64}
    assert labels.names == NAMES


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((-1, 0, -1, 1), "hold the event .*'frame': -1"),
        ((0, -2, -1, 1), "hold the event .*'id1': -2"),
        ((0, -1, 0, 1), "hold the event .*'id2': 0"),
        ((0, 0, -1, 7), "the class 7, which has no name"),
        ((1.5, 0, -1, 1), "frame 1.5 in row 0"),
        ((0, math.nan, -1, 1), "id1 nan in row 0"),
        ((0, 0, -1, None), "label None in row 0"),
        (("x", 0, -1, 1), "frame 'x' in row 0"),
    ],
)
def test_impossible_events_are_refused(row: tuple[object, ...], message: str) -> None:
    """They would fit no row of any table, and the loss would go unseen."""
    with pytest.raises(LabelsError, match=message):
        Labels(events(row), NAMES)


def test_a_missing_column_and_an_impossible_rate_are_named() -> None:
    with pytest.raises(LabelsError, match=r"no column 'id2'; they have frame, id1, label. Their"):
        Labels(events((0, 0, -1, 1)).drop("id2"), NAMES)
    for fps in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(LabelsError, match="no frame rate"):
            Labels(events((0, 0, -1, 1)), NAMES, fps)


def test_a_class_per_frame() -> None:
    """None is unlabelled: frame 1 has no row, not a row of class 0."""
    labels = Labels.per_frame([1, None, 0], NAMES, id1=0, id2=1, fps=30.0)
    assert labels.events.rows() == [(0, 0, 1, 1), (2, 0, 1, 0)]
    assert labels.fps == 30.0


def test_spans_become_frames() -> None:
    """[5, 7) and [6, 7): frames 5, 6 and then 6 again."""
    labels = Labels.from_spans([(5, 7, 0, -1, 1), (6, 7, -1, -1, 0)], NAMES, notes={"a": 1})
    assert labels.events.rows() == [(5, 0, -1, 1), (6, 0, -1, 1), (6, -1, -1, 0)]
    assert labels.notes == {"a": 1}
    assert Labels.from_spans([], NAMES).events.height == 0


def test_an_empty_span_is_refused() -> None:
    """It says that something happened, and gives no frame in which it did."""
    with pytest.raises(LabelsError, match="from frame 5 to before frame 5"):
        Labels.from_spans([(0, 1, 0, -1, 1), (5, 5, 0, -1, 1)], NAMES)


def test_classes_are_found_by_name() -> None:
    labels = Labels.per_frame([1], {1: "groom", 0: "none"})
    assert list(labels.label_map) == [0, 1]
    assert labels.number("groom") == 1
    with pytest.raises(LabelsError, match=r"no class 'grooming'. Their classes are: none, groom"):
        labels.number("grooming")


def test_events_of_an_individual_and_of_a_frame() -> None:
    """Alone or as either one of a pair; [1, 3) holds frames 1 and 2."""
    rows = [(0, 4, -1, 1), (1, 4, 2, 1), (2, 2, 4, 0), (3, 4, -1, 1), (1, -1, -1, 0), (1, 2, -1, 1)]
    labels = Labels(events(*rows), NAMES)
    assert labels.of_individual(4).rows() == rows[:4]
    assert labels.of_individual(4, (1, 3)).rows() == rows[1:3]
    assert labels.at_frame(1).rows() == [rows[1], rows[4], rows[5]]
