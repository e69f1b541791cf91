"""Aggregated events of BORIS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset.labels import Labels
from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording
from mosaic_dagster.dataset.labels.readers.boris_aggregated import (
    BorisAggregated,
    BorisAggregatedParams,
)
from mosaic_dagster.errors import ReaderError, UnknownFormatError

Shared = Callable[[str], Path]
Write = Callable[..., Path]

READER = BorisAggregated()
COLUMNS = ["Observation id", "FPS", "Subject", "Behavior", "Behavior type", "Start (s)", "Stop (s)"]
EXPORTS = "from_fetch/boris_exports/test_export_aggregated_events_test_full"
HEADERLESS = (
    "Observation id", "date", "Media file", "Total length", "FPS", "a", "b", "c", "Subject",
    "Behavior", "category", "Modifiers", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)",
    "Comment start", "Comment stop",
)  # fmt: skip


def table(*rows: str, columns: list[str] = COLUMNS) -> str:
    return "\n".join(["\t".join(columns), *(row.replace(",", "\t") for row in rows)]) + "\n"


def read(path: Path, **params: Any) -> list[LabelledRecording]:
    asked = BorisAggregatedParams(**params)
    found = READER.read(path, asked)
    assert [(one.group, one.sequence) for one in found] == READER.labelled(path, asked)
    return found


def frames(recording: LabelledRecording) -> list[int]:
    assert isinstance(recording.labels, Labels)
    return recording.labels.events["frame"].to_list()


def test_a_real_export_with_variables_of_its_own(shared: Shared) -> None:
    """Three independent variables shift every later column; one recording per subject.

    subject1 was seen from 266.165 to 276.690 s and from 280.965 to 294.215 s; at 25 fps these
    are 6655 to 6917 and 7025 to 7355: 263 + 331 frames.
    """
    found = read(shared(f"{EXPORTS}_1.tsv"))
    assert [one.sequence for one in found] == [
        "observation #2", "observation #2__subject1", "observation #2__subject2",
    ]  # fmt: skip
    assert frames(found[1]) == [*range(6655, 6918), *range(7025, 7356)]
    assert found[1].labels.names == {0: "none", 1: "p", 2: "s"}  # type: ignore[union-attr]


def test_point_events_of_a_real_export(shared: Shared) -> None:
    """Of its 18 events, 8 are points, 2 of them of subject2."""
    path = shared(f"{EXPORTS}_1.tsv")
    left_out = [
        one.notes.get("point_events_left_out") for one in read(path, include_point_events=False)
    ]
    assert left_out == [6, None, 2]


def test_an_export_without_a_header_is_refused(shared: Shared) -> None:
    """Its first event would be taken as names of columns, and lost."""
    path = shared(f"{EXPORTS}_3.tsv")
    with pytest.raises(UnknownFormatError):
        detect_labels(path)
    with pytest.raises(ReaderError, match=r"names no column 'Subject'.*parameter header"):
        READER.read(path, BorisAggregatedParams())


def test_an_export_without_a_header_is_read_with_one_given(shared: Shared) -> None:
    found = read(shared(f"{EXPORTS}_3.tsv"), header=HEADERLESS)
    assert [one.sequence for one in found] == [
        "observation #2", "observation #2__subject1", "observation #2__subject2",
    ]  # fmt: skip
    assert frames(found[1]) == [*range(6655, 6918), *range(7025, 7356)]


def test_a_header_given_must_fit(shared: Shared, write: Write) -> None:
    path = shared(f"{EXPORTS}_3.tsv")
    with pytest.raises(ReaderError, match="line 1 has 18 cells, not 17"):
        READER.read(path, BorisAggregatedParams(header=HEADERLESS[:-1]))
    with pytest.raises(ReaderError, match="has no column 'Subject"):
        READER.read(path, BorisAggregatedParams(header=("x",) * 18))
    there = write("x.tsv", table("A,10,m,run,STATE,0,1"))
    with pytest.raises(ReaderError, match="has a header, and the parameter header gives another"):
        READER.read(there, BorisAggregatedParams(header=tuple(COLUMNS)))


def test_columns_are_found_by_name(write: Write) -> None:
    """The same in another order, and comma-separated; no column of types or observations."""
    columns = ["Stop (s)", "Behavior", "x", "Start (s)", "Subject"]
    path = write("day 1.csv", ",".join(columns) + "\n1.2,run,9,1.0,\n")
    assert detect_labels(path) is not None
    (found,) = read(path, fps=10)
    assert (found.sequence, frames(found)) == ("day 1", [10, 11])


def test_a_point_needs_no_stop(write: Write) -> None:
    """Versions write NA there; a state without a stop is an unfinished bout."""
    (found,) = read(write("x.tsv", table("A,10,,nod,POINT,1.0,NA")))
    assert frames(found) == [10]
    with pytest.raises(ReaderError, match=r"line 3, column 'Stop \(s\)' is empty"):
        READER.read(
            write("y.tsv", table("A,10,,nod,POINT,1.0,NA", "A,10,,run,STATE,1.0,NA")),
            BorisAggregatedParams(),
        )


def test_a_stop_before_the_start_is_refused(write: Write) -> None:
    path = write("x.tsv", table("A,10,,run,STATE,2.0,1.0"))
    with pytest.raises(ReaderError, match=r"line 2, column 'Stop \(s\)' is 1.0, before the start"):
        READER.read(path, BorisAggregatedParams())


def test_a_repeated_column_is_refused(write: Write) -> None:
    """An independent variable called Subject hides who did it."""
    path = write("x.tsv", table("A,10,m,run,STATE,0,1,b", columns=[*COLUMNS, "Subject"]))
    with pytest.raises(ReaderError, match="has 2 columns called 'Subject'"):
        READER.read(path, BorisAggregatedParams())


def test_a_behaviour_called_none_is_a_class(write: Write) -> None:
    """Someone scored it; it is the background then, and stays class by name."""
    path = write("x.tsv", table("A,10,,none,STATE,0,0.1", "A,10,,groom,STATE,0.1,0.2"))
    (found,) = read(path)
    assert found.labels.names == {0: "groom", 1: "none"}  # type: ignore[union-attr]
    assert frames(found) == [0, 1]


def test_an_observation_without_an_id_names_the_line(write: Write) -> None:
    path = write("x.tsv", table("A,10,,run,STATE,0,1", ",10,,run,STATE,0,1"))
    with pytest.raises(ReaderError, match="line 3, column 'Observation id' is empty"):
        READER.labelled(path, BorisAggregatedParams())


def test_a_rate_that_is_none_names_the_line(write: Write) -> None:
    path = write("x.tsv", table("A,0,,run,STATE,0,1"))
    with pytest.raises(ReaderError, match="line 2, FPS: '0' is no frame rate"):
        READER.read(path, BorisAggregatedParams())


def test_a_file_with_a_header_alone_is_refused(write: Write) -> None:
    with pytest.raises(ReaderError, match="has no events"):
        READER.labelled(write("x.tsv", table()), BorisAggregatedParams())
