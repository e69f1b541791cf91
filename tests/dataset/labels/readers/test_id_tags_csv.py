"""Tags of individuals in tables of text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset.labels import IdTags
from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording
from mosaic_dagster.dataset.labels.readers.id_tags_csv import IdTagsCsv, IdTagsParams
from mosaic_dagster.errors import LabelsError, ReaderError

Write = Callable[..., Path]

READER = IdTagsCsv()
TYPES = {"focal": "focal", "diet": "multi", "weight": "number"}


def read(path: Path, **params: Any) -> list[LabelledRecording]:
    asked = IdTagsParams(**params)
    found = READER.read(path, asked)
    assert [(one.group, one.sequence) for one in found] == READER.labelled(path, asked)
    return found


def tags_of(recording: LabelledRecording) -> IdTags:
    assert isinstance(recording.labels, IdTags)
    return recording.labels


def test_tags_have_the_types_that_were_told(write: Write) -> None:
    """A group called '1' stays text, in every file; an empty cell is null."""
    path = write(
        "dish 1.csv",
        "id,focal,group_no,diet,weight\n0,yes,1, a ; b;a,20.5\n1,FALSE,2x,,\n",
    )
    assert detect_labels(path).name == "id_tags_csv"
    (found,) = read(path, types=TYPES)
    assert found.sequence == "dish 1"
    assert tags_of(found).as_mapping() == {
        "0": {"focal": True, "group_no": "1", "diet": "a;b", "weight": 20.5},
        "1": {"focal": False, "group_no": "2x", "diet": None, "weight": None},
    }


def test_a_file_may_tag_several_recordings(write: Write) -> None:
    """Id 0 of one recording is not id 0 of another; facts of a recording are its own."""
    path = write(
        "tags.tsv",
        "group\tsequence\tid\tsex\tmeta__rig\nd1\ts\t0\tf\tB\nd2\ts\t0\tm\tC\nd1\ts\t1\tm\t\n",
    )
    first, second = read(path)
    assert [(one.group, one.sequence) for one in (first, second)] == [("d1", "s"), ("d2", "s")]
    assert tags_of(first).as_mapping() == {"0": {"sex": "f"}, "1": {"sex": "m"}}
    assert (tags_of(first).meta, tags_of(second).meta) == ({"rig": "B"}, {"rig": "C"})


@pytest.mark.parametrize(
    ("text", "params", "message"),
    [
        ("id,focal\n0,maybe\n", {"types": TYPES | {"diet": "multi"}}, "no tag 'diet'"),
        ("id,f\n0,maybe\n", {"types": {"f": "focal"}}, "line 2, column 'f' is 'maybe'. .* yes or"),
        ("id,w\n0,heavy\n", {"types": {"w": "number"}}, "line 2, column 'w' is 'heavy'"),
        ("id,w\n,1\n", {}, "line 2, column 'id' is empty"),
        ("name,w\n0,1\n", {}, "no column 'id'"),
        ("id,w,w\n0,1,2\n", {}, "2 columns called 'w'"),
        ("id,w\n", {}, "a header and no rows"),
        ("id,meta__rig\n0,B\n1,C\n", {}, "'meta__rig' says 'B' and 'C' of one recording"),
        ("id,sequence\n0,\n", {}, "line 2, column 'sequence' is empty"),
    ],
)
def test_what_does_not_fit_is_refused(
    write: Write, text: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReaderError, match=message):
        READER.read(write("t.csv", text), IdTagsParams(**params))


def test_an_individual_with_two_rows_is_refused(write: Write) -> None:
    """One of its two sexes would be taken by chance."""
    with pytest.raises(LabelsError, match="'0' has two rows"):
        read(write("t.csv", "id,sex\n0,f\n0,m\n"))


def test_types_are_of_tags() -> None:
    with pytest.raises(ValueError, match="types names 'id', which is no tag"):
        IdTagsParams(types={"id": "number"})


def test_tracks_are_not_taken_for_tags(write: Write) -> None:
    assert not READER.sniff(write("t.csv", "frame,id,nose_x,nose_y\n0,0,1,2\n"))
