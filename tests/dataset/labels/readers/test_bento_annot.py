"""Annotations of Bento, made here in the layout of its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset.labels import Labels, encode_labels
from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording
from mosaic_dagster.dataset.labels.readers.bento_annot import BentoAnnot, BentoParams
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

Write = Callable[..., Path]

READER = BentoAnnot()
HEAD = """Bento annotation file
Movie file(s):  C:\\ann\\mouse 1.seq

Stimulus name:
Annotation start frame: 1
Annotation stop frame: 20
Annotation framerate: 10

List of channels:
Ch1
Ch2

List of annotations:
attack
mount

"""


def channel(name: str, **bouts: list[tuple[object, object]]) -> str:
    lines = [f"{name}----------"]
    for behavior, spans in bouts.items():
        lines += [f">{behavior}", "Start\tStop\tDuration"]
        lines += [f"{start}\t{stop}\t1" for start, stop in spans]
        lines += [""]
    return "\n".join(lines) + "\n"


def read(path: Path, **params: Any) -> LabelledRecording:
    (found,) = READER.read(path, BentoParams(**params))
    assert READER.labelled(path, BentoParams()) == [(None, found.sequence)]
    return found


def events(recording: LabelledRecording) -> list[tuple[int, str]]:
    labels = recording.labels
    assert isinstance(labels, Labels)
    assert set(labels.events.select("id1", "id2").rows()) <= {(-1, -1)}
    return [(frame, labels.names[c]) for frame, _, _, c in labels.events.rows()]


def test_frames_count_from_one_and_the_stop_belongs_to_it(write: Write) -> None:
    """1 to 3 are the frames 0, 1, 2; 5 to 5 is frame 4."""
    path = write("m.annot", HEAD + channel("Ch1", attack=[(1, 3)], mount=[(5, 5)]) + channel("Ch2"))
    assert detect_labels(path) is not None
    found = read(path)
    assert events(found) == [(0, "attack"), (1, "attack"), (2, "attack"), (4, "mount")]
    assert (found.sequence, found.labels.fps) == ("m", 10.0)  # type: ignore[union-attr]
    assert found.notes == {"counted_in": "frames"}
    assert b"ann\\" not in encode_labels(found.labels, EntryKey("", "m")), "no author's path"


def test_classes_are_all_that_the_file_lists(write: Write) -> None:
    """A file without a mount must number attack as one with a mount does."""
    found = read(write("m.annot", HEAD + channel("Ch1", attack=[(1, 3)])))
    assert found.labels.names == {0: "none", 1: "attack", 2: "mount"}  # type: ignore[union-attr]


def test_some_files_hold_seconds(write: Write) -> None:
    """With decimal points: 0.1 to 0.3 s at 10 fps are frames 1 and 2, the stop is not of it."""
    path = write("m.annot", HEAD + channel("Ch1", attack=[("0.1", "0.3")], mount=[(1, 2)]))
    found = read(path)
    assert events(found) == [(1, "attack"), (2, "attack"), *((f, "mount") for f in range(10, 20))]
    assert found.notes == {"counted_in": "seconds"}
    with pytest.raises(ReaderError, match=r"line 20: 'attack' goes from 0.1 to 0.3. .*at frames"):
        read(path, count="frames")


def test_seconds_may_be_whole(write: Write) -> None:
    """1 to 2 s at 10 fps: frames 10 to 19, if the user says that they are seconds."""
    path = write("m.annot", HEAD + channel("Ch1", attack=[(1, 2)]))
    assert [frame for frame, _ in events(read(path, count="seconds"))] == list(range(10, 20))
    untold = write("u.annot", path.read_text().replace("framerate: 10", "framerate:"))
    with pytest.raises(ReaderError, match="frames per second are not known"):
        read(untold, count="seconds")
    assert len(events(read(untold))) == 2, "frames need no rate"


def test_channels_are_merged_only_as_asked(write: Write) -> None:
    """Two people may say different things of one frame."""
    text = HEAD + channel("Ch1", attack=[(1, 2)]) + channel("Ch2", mount=[(2, 2)])
    path = write("m.annot", text)
    with pytest.raises(ReaderError, match=r"in several channels: Ch1, Ch2. .*channels"):
        read(path)
    one = read(path, channels=["Ch2"])
    assert events(one) == [(1, "mount")]
    assert one.notes["channels_left_out"] == ["Ch1"]
    with pytest.raises(ReaderError, match=r"no channel 'Ch3'. Its channels are: Ch1, Ch2"):
        read(path, channels=["Ch3"])


@pytest.mark.parametrize(
    ("channels", "last"), [(("Ch1", "Ch2"), "mount"), (("Ch2", "Ch1"), "attack")]
)
def test_the_later_channel_counts(write: Write, channels: tuple[str, ...], last: str) -> None:
    """Both say something of frame 0; the later of the list must be the last of the rows."""
    text = HEAD + channel("Ch1", attack=[(1, 1)]) + channel("Ch2", mount=[(1, 1)])
    assert events(read(write("m.annot", text), channels=channels))[-1] == (0, last)


def test_the_background_lies_between_start_and_stop(write: Write) -> None:
    """Annotated are the frames 5 to 8 of the movie, from 0: 4 to 7."""
    text = HEAD.replace("start frame: 1", "start frame: 5").replace(
        "stop frame: 20", "stop frame: 8"
    )
    path = write("m.annot", text + channel("Ch1", attack=[(6, 7)]))
    found = read(path, label_background=True)
    assert sorted(events(found)) == [(4, "none"), (5, "attack"), (6, "attack"), (7, "none")]
    untold = write("u.annot", path.read_text().replace("stop frame: 8", "stop frame:"))
    with pytest.raises(ReaderError, match="does not tell its annotation stop frame"):
        read(untold, label_background=True)


def test_rates_must_agree(write: Write) -> None:
    path = write("m.annot", HEAD + channel("Ch1", attack=[(1, 3)]))
    with pytest.raises(ReaderError, match=r"says 10.0 frames per second, and the recording has 30"):
        read(path, fps=30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("something else\n", "does not begin with 'Bento annotation file'"),
        ("Bento annotation file\n", "lists no channels and has no bouts"),
        (HEAD + "Ch1----------\n1\t2\t3\n", "line 18 is no bout of a behaviour: '1 2 3'"),
        (HEAD + channel("Ch1", attack=[(3, 1)]), "line 20: 'attack' goes from 3 to 1"),
        (HEAD + channel("Ch1", attack=[("x", 1)]), "line 20: 'attack' goes from x to 1"),
        (HEAD.replace("framerate: 10", "framerate: ten"), "Annotation framerate is 'ten'"),
    ],
)
def test_damaged_files_are_refused(write: Write, text: str, message: str) -> None:
    with pytest.raises(ReaderError, match=message):
        read(write("m.annot", text))
