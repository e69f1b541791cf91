"""Label files of JABS, made here in their layout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset.labels import Labels
from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.jabs_annotations import JabsAnnotations, JabsLabelParams
from mosaic_dagster.errors import ReaderError

Write = Callable[..., Path]

READER = JabsAnnotations()


def block(start: Any, end: Any, present: Any = True) -> dict[str, Any]:
    return {"start": start, "end": end, "present": present}


def text(labels: Any, frames: Any = 10) -> str:
    content = {"version": 1, "file": "/home/ann/v.avi", "num_frames": frames, "labels": labels}
    return json.dumps(content | {"unfragmented_labels": labels, "annotations": []})


def read(path: Path, **params: Any) -> Labels:
    (found,) = READER.read(path, JabsLabelParams(**params))
    assert READER.labelled(path, JabsLabelParams()) == [(None, path.stem)]
    assert isinstance(found.labels, Labels)
    return found.labels


def test_there_are_three_states(write: Write) -> None:
    """Present, not present, and not labelled: frames 3 to 5 and 7 to 9 have no row.

    The end belongs to a block: 0 to 2 are three frames, 6 to 6 is one.
    """
    path = write(
        "v.json", text({"1": {"Rear": [block(0, 2), block(6, 6, present=False)]}, "0": {}})
    )
    labels = read(path)
    assert labels.events.rows() == [(0, 1, -1, 1), (1, 1, -1, 1), (2, 1, -1, 1), (6, 1, -1, 0)]
    assert labels.names == {0: "not_Rear", 1: "Rear"}


def test_it_is_recognised(write: Write) -> None:
    for content in (text({}), json.dumps({"labels": {"0": {"Rear": [block(0, 1)]}}})):
        assert detect_labels(write("v.json", content)).name == "jabs_annotations"


def test_one_of_several_behaviours_is_chosen(write: Write) -> None:
    """Rear and not-Groom in one frame are no contradiction, but one table holds one of them."""
    path = write("v.json", text({"0": {"Rear": [block(0, 0)]}, "2": {"Groom": [block(1, 1)]}}))
    with pytest.raises(ReaderError, match=r"several behaviours: Groom, Rear. Choose one"):
        read(path)
    assert read(path, behavior="Groom").events.rows() == [(1, 2, -1, 1)]
    (found,) = READER.read(path, JabsLabelParams(behavior="Groom"))
    assert found.notes["behaviors_left_out"] == ["Rear"]
    with pytest.raises(ReaderError, match=r"no labels of 'Goom'. It has labels of: Groom, Rear"):
        read(path, behavior="Goom")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text({"0": {"Rear": [block(0, 10)]}}), "from frame 0 to 10, in 10 frames"),
        (text({"0": {"Rear": [block(3, 2)]}}), "from frame 3 to 2"),
        (text({"0": {"Rear": [block(0, 2, None)]}}), "identity 0 has the block"),
        (text({"0": {"Rear": [block(True, 2)]}}), "identity 0 has the block"),
        (text({"0": {"Rear": [[0, 2]]}}), "identity 0 has the block"),
        (text({"0": {"Rear": {}}}), "identity 0 has the block"),
        (text({"Tom": {"Rear": [block(0, 2)]}}), "identity 'Tom' is no number"),
        (text({"0": {}}), "has no labels of any behaviour. No identity has a label"),
        (text({"0": {"Rear": []}}, frames=None), "num_frames is None"),
        (text([]), "no object 'labels'"),
        (text({"0": []}), "no object 'labels'"),
        ("[]", "no object 'labels'"),
    ],
)
def test_damaged_files_are_refused(write: Write, content: str, message: str) -> None:
    with pytest.raises(ReaderError, match=message):
        READER.read(write("v.json", content), JabsLabelParams())
