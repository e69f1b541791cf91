"""Projects of BORIS."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset.labels import Labels
from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording
from mosaic_dagster.dataset.labels.readers.boris_events import BorisEvents
from mosaic_dagster.dataset.labels.readers.boris_project import BorisProject
from mosaic_dagster.dataset.labels.readers.boris_scores import BorisParams
from mosaic_dagster.errors import ReaderError

Shared = Callable[[str], Path]
Write = Callable[..., Path]

READER = BorisProject()
EXPORTS = "from_fetch/boris_exports"


def project(events: list[Any], **facts: Any) -> str:
    media = "/home/ann/v/clip.avi"
    observation = {
        "type": "MEDIA",
        "file": {"1": [media], "2": []},
        "media_info": {"fps": {media: 10.0}, "length": {media: 4.0}},
        "events": events,
    }
    types = {"run": "State event", "nod": "Point event"}
    return json.dumps(
        {
            "project_name": "p",
            "observations": {"A": observation | facts, "empty": observation | {"events": []}},
            "behaviors_conf": {
                str(n): {"code": code, "type": told} for n, (code, told) in enumerate(types.items())
            },
        }
    )


def read(path: Path, **params: Any) -> list[LabelledRecording]:
    found = READER.read(path, BorisParams(**params))
    listed = READER.labelled(path, BorisParams(**params))
    assert [(one.group, one.sequence) for one in found] == listed
    return found


def events(recording: LabelledRecording) -> list[tuple[int, str]]:
    labels = recording.labels
    assert isinstance(labels, Labels)
    return [(frame, labels.names[c]) for frame, _, _, c in labels.events.rows()]


def test_marks_are_taken_by_turns_in_time(write: Write) -> None:
    """1.2, 1.0, 2.1, 2.0 in the file are the bouts 1.0 to 1.2 and 2.0 to 2.1 s, at 10 fps."""
    times = [1.2, 1.0, 2.1, 2.0]
    path = write("p.boris", project([[t, "", "run", "", ""] for t in times] + [[3, "", "nod"]]))
    (found,) = read(path)
    assert found.sequence == "A", "observations without events are not listed"
    assert events(found) == [(10, "run"), (11, "run"), (20, "run"), (30, "nod")]


def test_it_is_recognised(write: Write) -> None:
    assert detect_labels(write("p.json", project([]))).name == "boris_project"


def test_a_project_says_the_same_as_its_export(shared: Shared) -> None:
    """Observation #1 was exported as tabular events, too."""
    (one, two) = read(shared(f"{EXPORTS}/test.boris.json"), only=["observation #1"])
    path = shared(f"{EXPORTS}/test_export_events_tabular.csv")
    exported = BorisEvents().read(path, BorisParams())
    assert [events(one), events(two)] == [events(found) for found in exported]


def test_what_was_never_ended_is_refused_and_can_be_left_out(shared: Shared) -> None:
    """Its observation 'live not paired' has an odd number of marks."""
    path = shared(f"{EXPORTS}/test.boris.json")
    with pytest.raises(ReaderError, match=r"'live not paired', event 12: 's' has a START at 26.86"):
        READER.read(path, BorisParams(fps=25))
    wanted = [
        "observation #1", "observation #2", "live", "modifiers", "2 video",
        "live export behavioral sequences", "observation #2 (copy)",
    ]  # fmt: skip
    observations = json.loads(path.read_text())["observations"]
    subjects = {(id, event[1]) for id in wanted for event in observations[id]["events"]}
    assert len(read(path, fps=25, only=wanted)) == len(subjects) == 15


def test_a_live_observation_has_no_rate(shared: Shared) -> None:
    path = shared(f"{EXPORTS}/test.boris.json")
    with pytest.raises(ReaderError, match="the frames per second are not known"):
        READER.read(path, BorisParams(only=("live",)))


def test_media_name_and_length(write: Write) -> None:
    """4 s at 10 fps: 40 frames, 2 of them run."""
    path = write("p.json", project([[1.0, "m", "run", "", ""], [1.2, "m", "run", "", ""]]))
    params = {"observation": "media", "subjects": {"m": 0}, "label_background": True}
    (found,) = read(path, **params)
    assert (found.sequence, len(events(found))) == ("clip", 40)


def test_two_media_cannot_name_a_recording(write: Write) -> None:
    """Played one after another, the second begins in the middle of the times."""
    path = write("p.json", project([[1.0, "", "nod"]], file={"1": ["a.avi", "b.avi"]}))
    with pytest.raises(ReaderError, match="'A' has several media files: a, b, so none"):
        READER.labelled(path, BorisParams(observation="media"))


def test_modifiers_tell_bouts_apart(write: Write) -> None:
    marks = [[0.0, "", "run", "l", ""], [0.1, "", "run", "r", ""]]
    marks += [[0.2, "", "run", "l", ""], [0.3, "", "run", "r", ""]]
    (found,) = read(write("p.json", project(marks)))
    assert [frame for frame, _ in events(found)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (project([[1.0, "", "fly", "", ""]]), "'A', event 1: the behaviour 'fly' is not in"),
        (project([["x", "", "nod", "", ""]]), "event 1: the time is 'x'"),
        (project([[float("nan"), "", "nod"]]), "event 1: the time is nan"),
        (project([[1.0, ""]]), r"event 1 is \[1.0, ''\], not"),
        (project({}), "'A' has no list of events"),  # type: ignore[arg-type]
        (project([]), "has no events"),
        ('{"observations": {}}', "no object 'behaviors_conf'"),
        ("[]", "no object 'observations'"),
        ('{"observations": {}, "behaviors_conf": {"0": {}}}', "'0' of the ethogram has no code"),
        (
            project([[1, "", "nod"]], media_info={"fps": {"/home/ann/v/clip.avi": -1}}),
            "-1 is no frame rate",
        ),
    ],
)
def test_damaged_projects_are_refused(write: Write, text: str, message: str) -> None:
    with pytest.raises(ReaderError, match=message):
        READER.labelled(write("p.json", text), BorisParams())
