"""Annotations of CalMS21, made here in the layout of the originals."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.dataset.label_reading import read_labels
from mosaic_dagster.dataset.labels import Labels
from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording
from mosaic_dagster.dataset.labels.readers.calms21_annotations import (
    Calms21AnnotationsJson,
    Calms21AnnotationsNpy,
    Calms21LabelParams,
    Calms21NpyLabelParams,
)
from mosaic_dagster.dataset.readers.calms21 import Calms21Json, Calms21Params
from mosaic_dagster.dataset.readers.parsed_file import PARSED
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

Write = Callable[..., Path]

READER = Calms21AnnotationsJson()
GROUP = "annotator-id_0"
TRAIN, TEST = "task1/train/mouse001_task1_annotator1", "task1/test/mouse071_task1_annotator1"
VOCAB = {"attack": 0, "investigation": 1, "mount": 2, "other": 3}


@pytest.fixture(autouse=True)
def nothing_parsed() -> Iterator[None]:
    PARSED.forget()
    yield
    PARSED.forget()


def clip(annotations: Any, **metadata: Any) -> dict[str, Any]:
    """Two mice of seven points in each of three frames."""
    made = {
        "keypoints": np.zeros((3, 2, 2, 7)).tolist(),
        "annotations": annotations,
        "metadata": {"annotator-id": 0, "vocab": VOCAB} | metadata,
    }
    return {name: value for name, value in made.items() if value is not None}


def text(clips: dict[str, Any]) -> str:
    return json.dumps({GROUP: clips})


def read(path: Path, **params: Any) -> list[LabelledRecording]:
    asked = Calms21LabelParams(**params)
    found = READER.read(path, asked)
    assert [(one.group, one.sequence) for one in found] == READER.labelled(path, asked)
    return found


def labels_of(path: Path, **params: Any) -> Labels:
    (found,) = read(path, **params)
    assert isinstance(found.labels, Labels)
    return found.labels


def test_every_frame_has_a_class_of_resident_and_intruder(write: Write) -> None:
    """Mouse 0 is the resident; class 0 is attack here, so a default of 0 would be an attack."""
    labels = labels_of(write("c.json", text({TRAIN: clip([3, 0, 3])})))
    assert labels.events.rows() == [(0, 0, 1, 3), (1, 0, 1, 0), (2, 0, 1, 3)]
    assert labels.names == {number: name for name, number in VOCAB.items()}


def test_names_are_those_of_the_file(write: Write) -> None:
    """In task 3 the number 0 is 'other'; the names of task 1 would turn it into attacks."""
    path = write(
        "c.json", text({"task3/groom/train/m": clip([0, 1, 0], vocab={"other": 0, "groom": 1})})
    )
    assert labels_of(path).names == {0: "other", 1: "groom"}


def test_sequences_are_called_as_those_of_the_tracks(write: Write) -> None:
    """Labels of other names would find no tracks."""
    path = write("calms21_x.json", text({TRAIN: clip([3, 0, 3]), TEST: clip([3, 3, 3])}))
    tracks = Calms21Json()
    assert READER.labelled(path, Calms21LabelParams()) == tracks.sequences(path)
    selected = Calms21LabelParams(select="calms21_task1_test")
    assert READER.labelled(path, selected) == tracks.listed(
        path, Calms21Params(select="calms21_task1_test")
    )
    assert list(read_labels(path)) == [
        EntryKey(GROUP, TEST.replace("/", "__")),
        EntryKey(GROUP, TRAIN.replace("/", "__")),
    ]


def test_the_first_annotator_counts(write: Write) -> None:
    path = write("c.json", text({TRAIN: clip([[3, 0], [0, 0], [1, 0]])}))
    assert labels_of(path).events["label"].to_list() == [3, 0, 1]


def test_sequences_without_annotations_are_not_listed(write: Write) -> None:
    """An entry with empty labels would look as if it had been scored."""
    path = write("c.json", text({TEST: clip(None), TRAIN: clip([3, 0, 3])}))
    assert [one.sequence for one in read(path)] == [TRAIN.replace("/", "__")]
    with pytest.raises(ReaderError, match="has no annotated sequences of 'task1_test'"):
        READER.labelled(path, Calms21LabelParams(select="task1_test"))
    # The files of unlabelled videos lie beside the others, and feed the tracks.
    bare = write("b.json", text({TEST: clip(None)}))
    assert READER.labelled(bare, Calms21LabelParams()) == []
    assert READER.read(bare, Calms21LabelParams()) == []


def test_frame_rates(write: Write) -> None:
    """Needed by nobody here, kept where told, and refused where two are told."""
    told = write("t.json", text({TRAIN: clip([3, 0, 3], fps=30)}))
    assert labels_of(told).fps == 30.0
    with pytest.raises(ReaderError, match=r"says 30.0 frames per second, and the recording has 25"):
        read(told, fps=25)
    untold = write("u.json", text({TRAIN: clip([3, 0, 3])}))
    assert labels_of(untold).fps is None
    assert labels_of(untold, fps=25).fps == 25.0


def test_a_vocabulary_may_be_given(write: Write) -> None:
    path = write("c.json", text({TRAIN: clip([1, 0, 1], vocab=None)}))
    with pytest.raises(ReaderError, match=r"does not tell the names of its classes .*vocab"):
        read(path)
    assert labels_of(path, vocab={"other": 0, "groom": 1}).names == {0: "other", 1: "groom"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (clip([3, 0]), "has 3 frames and 2 annotations"),
        (clip([3, 0, 7]), "has the class 7, which is not in its vocabulary"),
        (clip([3, 0, 0.5]), "not one whole number per frame"),
        (clip([3, 0, 3], vocab={"a": "x"}), "does not give numbers"),
        (clip([3, 0, 3], vocab={"a": 0, "b": 0}), "two names of the vocabulary"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(
    write: Write, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReaderError, match=rf"sequence '{TRAIN}'.*{message}"):
        READER.read(write("c.json", text({TRAIN: fields})), Calms21LabelParams())


def test_the_pickled_form(tmp_path: Path) -> None:
    """The same content as arrays; opened only when that is allowed."""
    fields = clip(np.array([3, 0, 3])) | {"keypoints": np.zeros((3, 2, 2, 7))}
    path = tmp_path / "calms21.npy"
    np.save(path, np.array({GROUP: {TRAIN: fields}}), allow_pickle=True)
    reader = detect_labels(path)
    assert isinstance(reader, Calms21AnnotationsNpy)
    with pytest.raises(ReaderError, match="allow_pickle=true"):
        reader.labelled(path, Calms21NpyLabelParams())
    (found,) = reader.read(path, Calms21NpyLabelParams(allow_pickle=True))
    assert isinstance(found.labels, Labels)
    assert found.labels.events["label"].to_list() == [3, 0, 3]


def test_it_is_recognised(write: Write) -> None:
    path = write("c.json", text({TRAIN: clip([3, 0, 3])}))
    assert detect_labels(path).name == "calms21_annotations_json"
