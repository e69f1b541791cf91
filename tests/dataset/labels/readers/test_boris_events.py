"""Tabular events of BORIS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset.label_reading import read_labels
from mosaic_dagster.dataset.labels import Labels
from mosaic_dagster.dataset.labels.files import encode_labels
from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording
from mosaic_dagster.dataset.labels.readers.boris_events import BorisEvents
from mosaic_dagster.dataset.labels.readers.boris_scores import BorisParams
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

Shared = Callable[[str], Path]
Write = Callable[..., Path]

READER = BorisEvents()
HEADER = "Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Comment,Status"
NEW = "Observation id,FPS (frame/s),Media duration (s),a,Subject,Behavior,Modifier #1,Behavior type,Time,Media file name"  # noqa: E501
REGISTRY = "from_registry/boris_events"
BOUTS = {
    "e3v813a-20210610T120637-121213_reencode": 15,
    "e3v813a-20210610T121558-122141_reencode": 29,
    "e3v813a-20210610T122332-122642_reencode": 10,
    "e3v813a-20210610T122758-123309_reencode": 8,
    "e3v813a-20210610T123521-124106_reencode": 32,
}


def old(*rows: str, id: str = "obs", variables: int = 0, length: str = "10.0") -> str:
    """The old layout; a row is time,subject,behaviour,status."""
    lines = [f"Observation id,{id},,,,,,,", ",,,,,,,,", "Player #1,/home/ann/v/clip 1.avi,,,,,,,"]
    lines += ["Time offset (s),0.0,,,,,,,", "variable,value,,,,,,,"]
    lines += [f"Time,{n},,,,,,," for n in range(variables)]
    lines += [HEADER]
    for row in rows:
        time, subject, behavior, status = row.split(",")
        lines.append(f"{time},/home/ann/v/clip 1.avi,{length},10.0,{subject},{behavior},,,{status}")
    return "\n".join(lines) + "\n"


def new(*rows: str) -> str:
    """The new layout; a row is observation,subject,behaviour,modifier,type,time,media."""
    lines = [NEW]
    for row in rows:
        of, subject, behavior, modifier, kind, time, media = row.split(",")
        lines.append(f"{of},10.0,10.0,1,{subject},{behavior},{modifier},{kind},{time},{media}")
    return "\n".join(lines) + "\n"


def read(path: Path, **params: Any) -> list[LabelledRecording]:
    found = READER.read(path, BorisParams(**params))
    listed = READER.labelled(path, BorisParams(**params))
    assert [(one.group, one.sequence) for one in found] == listed, "listed as they are read"
    return found


def events(recording: LabelledRecording) -> list[tuple[int, int, int, str]]:
    labels = recording.labels
    assert isinstance(labels, Labels)
    return [(f, a, b, labels.names[c]) for f, a, b, c in labels.events.rows()]


def frames(recording: LabelledRecording, behavior: str) -> list[int]:
    return [frame for frame, _, _, name in events(recording) if name == behavior]


def stretches(numbers: list[int]) -> int:
    return sum(number - 1 not in numbers for number in numbers)


@pytest.mark.parametrize("name", BOUTS)
def test_bouts_of_real_files(shared: Shared, name: str) -> None:
    """Counted by hand: as many START lines as bouts; none are closer than a frame."""
    (found,) = read(shared(f"{REGISTRY}/{name}.csv"), subjects={"adult": [0, 1]})
    assert stretches(frames(found, "interact")) == BOUTS[name]
    assert {(a, b) for _, a, b, _ in events(found)} == {(0, 1)}
    assert found.labels.fps == 30.0  # type: ignore[union-attr]
    assert found.notes == {}


def test_exact_half_frames_are_rounded_up(shared: Shared) -> None:
    """29.850 s × 30 is 895.5; floor and round would give 665 and 663 frames instead of 662."""
    path = shared(f"{REGISTRY}/e3v813a-20210610T122332-122642_reencode.csv")
    (found,) = read(path, label_background=True)
    interact = frames(found, "interact")
    assert (interact[0], len(interact)) == (896, 662)
    assert len(events(found)) == 190 * 30 == 5700, "total length × FPS, each frame once"


def test_rows_need_not_be_sorted_by_time(shared: Shared) -> None:
    """Mount comes first in the file and later in time: paired by the row, bouts would be mixed."""
    path = shared(f"{REGISTRY}/multiple_behaviors").glob("*.csv")
    (found,) = read(next(path), observation="media", subjects={"adult": 0})
    assert found.sequence == "e3v813a-20210610T120637-121213_reencode"
    assert stretches(frames(found, "mount")) == 2
    assert stretches(frames(found, "interact")) == 15
    assert found.labels.names == {0: "none", 1: "interact", 2: "mount"}  # type: ignore[union-attr]


def test_a_stop_may_stand_before_its_start(write: Write) -> None:
    """Rows 1.2 STOP, 1.0 START, 2.1 STOP, 2.0 START are the bouts 1.0 to 1.2 and 2.0 to 2.1 s."""
    rows = ["1.2,a,run,STOP", "1.0,a,run,START", "2.1,a,run,STOP", "2.0,a,run,START"]
    (found,) = read(write("x.csv", old(*rows)))
    assert [frame for frame, *_ in events(found)] == [10, 11, 20]


def test_a_broken_observation_can_be_left_out(write: Write) -> None:
    """One forgotten STOP must not take the other observations of the file with it."""
    rows = ["A,m,run,,START,1.0,a.avi", "B,m,run,,POINT,1.0,b.avi"]
    path = write("x.csv", new(*rows))
    with pytest.raises(ReaderError, match="in the observation 'A'"):
        READER.read(path, BorisParams())
    assert [one.sequence for one in read(path, only=["B"])] == ["B__m"]


def test_behaviours_at_one_time_are_both_kept(shared: Shared) -> None:
    """mm from 26.605 s (frame 799) to 31.705 s holds aa from 28.205 s (847) to 30.630 s."""
    path = shared("from_fetch/mice_pair_dlc_boris/boris_multi/test-simultaneous-events.csv")
    (found,) = read(path)
    assert set(range(847, 919)) <= set(frames(found, "aa")) & set(frames(found, "mm"))
    rows = [name for frame, _, _, name in events(found) if frame == 850]
    assert rows == ["mm", "aa"], "aa began later and counts"


@pytest.mark.parametrize(("name", "positive"), [("pair_a", 195), ("pair_b", 89)])
def test_frames_of_the_quick_start(shared: Shared, name: str, positive: int) -> None:
    """26.667 s × 30 is 800.01: 800 frames, not 801."""
    path = shared(f"from_fetch/quickstart_mice_pair/boris/{name}.csv")
    (found,) = read(path, subjects={"adult": 0}, label_background=True)
    assert found.sequence == name
    assert (len(frames(found, "interact")), len(events(found))) == (positive, 800)


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_preambles_of_another_length(shared: Shared, ending: str) -> None:
    """The header stands in line 19 here, in line 16 elsewhere; 25 fps: 3.3 s is frame 83."""
    path = shared(f"from_fetch/boris_exports/test_export_events_tabular.{ending}")
    assert detect_labels(path).name == "boris_events"
    first, second = read(path)
    assert [first.sequence, second.sequence] == [
        "observation #1__subject1",
        "observation #1__subject2",
    ]
    assert (frames(first, "s")[0], stretches(frames(first, "s"))) == (83, 3)


@pytest.mark.parametrize("variables", [0, 1, 5])
def test_a_variable_called_time_is_not_the_header(write: Write, variables: int) -> None:
    """It would make a table of nine nameless columns."""
    path = write("x.csv", old("1.0,a,run,START", "1.2,a,run,STOP", variables=variables))
    assert READER.sniff(path)
    (found,) = read(path)
    assert events(found) == [(10, -1, -1, "run"), (11, -1, -1, "run")]


def test_abutting_bouts_share_no_frame(write: Write) -> None:
    """STOP and START at 1.0 s in any order of the rows: two bouts, and 1.0 s is of the second."""
    rows = ["0.8,a,run,START", "1.0,a,run,START", "1.0,a,run,STOP", "1.2,a,run,STOP"]
    (found,) = read(write("x.csv", old(*rows)))
    assert [frame for frame, *_ in events(found)] == [8, 9, 10, 11]


@pytest.mark.parametrize("rows", [["1.0,a,nod,POINT"], ["1.0,a,nod,START", "1.0,a,nod,STOP"]])
def test_a_moment_takes_one_frame(write: Write, rows: list[str]) -> None:
    path = write("x.csv", old(*rows, "2.0,a,run,START", "2.1,a,run,STOP"))
    assert events(read(path)[0]) == [(10, -1, -1, "nod"), (20, -1, -1, "run")]
    (without,) = read(path, include_point_events=False)
    assert events(without) == [(20, -1, -1, "run")]
    assert without.notes == {"point_events_left_out": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1.0,a,run,START"], r"line 7: 'run' of 'a' has a START at 1 s without a STOP"),
        (["1.0,a,run,START", "2.0,b,run,STOP"], r"line 7: 'run' of 'a' has a START"),
        (["1.0,a,run,START", "2.0,a,dig,STOP"], r"line 7: 'run' .*without a STOP"),
        (["2.0,,run,STOP"], r"line 7: 'run' has a STOP at 2 s without a START"),
        (["1.0,a,run,START", "1.5,a,run,START", "2.0,a,run,STOP"], r"line 7: .*without a STOP"),
        (["1.0,a,run,BEGIN"], r"line 7, column 'Status' is 'BEGIN'. It must be START, STOP or"),
        (["1.0,a,run,"], r"line 7, column 'Status' is empty"),
        (["1.0,a,,POINT"], r"line 7, column 'Behavior' is empty"),
        (["00:01,a,run,POINT"], r"line 7, column 'Time' is '00:01'"),
    ],
)
def test_an_event_that_is_not_whole_is_refused(write: Write, rows: list[str], message: str) -> None:
    """A bout without an end, taken with the next one's, covers everything between them."""
    path = write("x.csv", old(*rows))
    with pytest.raises(ReaderError, match=message) as caught:
        READER.read(path, BorisParams())
    assert str(path) in str(caught.value)


def test_the_new_layout_has_several_observations(write: Write) -> None:
    """No preamble; pairs are made within an observation; ``No focal subject`` is nobody."""
    path = write(
        "x.csv",
        new(
            "A,mum,run,,START,1.0,a.avi",
            "B,No focal subject,run,,START,1.1,b.avi",
            "A,mum,run,,STOP,1.2,a.avi",
            "B,No focal subject,run,,STOP,1.3,b.avi",
        ),
    )
    assert READER.sniff(path)
    first, second = read(path)
    assert (first.sequence, events(first)[0]) == ("A__mum", (10, -1, -1, "run"))
    assert (second.sequence, events(second)[0]) == ("B", (11, -1, -1, "run"))


def test_one_behaviour_with_two_modifiers_at_a_time(write: Write) -> None:
    """START left, START right, STOP left, STOP right are two bouts, and no missing STOP."""
    path = write(
        "x.csv",
        new(
            "A,m,turn,left,START,0.0,a.avi",
            "A,m,turn,right,START,0.1,a.avi",
            "A,m,turn,left,STOP,0.2,a.avi",
            "A,m,turn,right,STOP,0.3,a.avi",
        ),
    )
    assert [frame for frame, *_ in events(read(path)[0])] == [0, 1, 2]


def test_subjects_become_individuals_of_one_recording(write: Write) -> None:
    rows = ["1.0,mum,run,POINT", "1.1,pup,run,POINT", "1.2,No focal subject,dark,POINT"]
    path = write("x.csv", old(*rows))
    (found,) = read(path, subjects={"mum": 0, "pup": (1, 0)})
    assert found.sequence == "obs"
    assert events(found) == [(10, 0, -1, "run"), (11, 1, 0, "run"), (12, -1, -1, "dark")]


def test_the_background_is_of_the_subjects_where_there_are_any(write: Write) -> None:
    """Of frames 0 to 2 the dark one is of the scene; a background of the scene as well would
    give the mother's frame two classes."""
    path = write("x.csv", old("0.0,mum,run,POINT", "0.1,,dark,POINT", length="0.3"))
    (found,) = read(path, subjects={"mum": 0}, label_background=True)
    assert sorted(events(found)) == [(0, 0, -1, "run"), (1, -1, -1, "dark"), (2, 0, -1, "none")]


def test_without_subjects_each_is_a_recording(write: Write) -> None:
    rows = ["1.0,mum,run,POINT", "1.1,pup,run,POINT", "1.2,No focal subject,dark,POINT"]
    found = read(write("x.csv", old(*rows)))
    assert [one.sequence for one in found] == ["obs", "obs__mum", "obs__pup"]
    assert [events(one) for one in found] == [
        [(12, -1, -1, "dark")], [(10, -1, -1, "run")], [(11, -1, -1, "run")],
    ]  # fmt: skip
    names = {0: "none", 1: "dark", 2: "run"}
    assert all(one.labels.names == names for one in found), "one file, one numbering"  # type: ignore[union-attr]


def test_a_subject_that_nobody_mapped_is_refused(write: Write) -> None:
    """Its events would be lost, or given to somebody else."""
    path = write("x.csv", old("1.0,mum,run,POINT", "1.1,pup,run,POINT"))
    with pytest.raises(ReaderError, match=r"not say who 'pup' is. .*the subjects: mum, pup"):
        READER.read(path, BorisParams(subjects={"mum": 0}))


def test_the_media_file_may_name_the_recording(write: Write) -> None:
    """Tracks are called as the video; its folder is of another computer and is not kept."""
    path = write("x.csv", old("1.0,a,run,POINT"))
    (found,) = read(path, observation="media", subjects={"a": 0})
    assert found.sequence == "clip 1"
    stored = encode_labels(found.labels, EntryKey("", found.sequence))
    assert b"ann" not in stored
    assert "ann" not in str(found.notes)
    windows = write("w.csv", new("A,m,run,,POINT,1.0,C:\\v\\a.b.avi"))
    assert read(windows, observation="media", subjects={"m": 0})[0].sequence == "a.b"
    (by_file,) = read(path, observation="file", subjects={"a": 0})
    assert by_file.sequence == "x"


def test_an_observation_without_a_name_is_called_as_the_file(write: Write) -> None:
    assert read(write("x.csv", old("1.0,,run,POINT", id="")))[0].sequence == "x"


@pytest.mark.parametrize(
    ("medias", "observation", "message"),
    [
        (("a.avi", "b.avi"), "media", r"'A' has several media files: a, b, so none can name"),
        (("", ""), "media", r"'A' has no media, so none"),
    ],
)
def test_several_media_cannot_name_a_recording(
    write: Write, medias: tuple[str, str], observation: str, message: str
) -> None:
    """Times run on from one media file to the next: frames of the second would be beyond it."""
    path = write("x.csv", new(*(f"A,m,run,,POINT,{t}.0,{m}" for t, m in enumerate(medias))))
    with pytest.raises(ReaderError, match=message):
        READER.labelled(path, BorisParams(observation=observation))  # type: ignore[arg-type]


@pytest.mark.parametrize("observation", ["media", "file"])
def test_two_observations_of_one_name_are_refused(write: Write, observation: Any) -> None:
    """Two people scored one video: their labels must not be mixed unseen."""
    path = write("x.csv", new("A,m,run,,POINT,1.0,a.avi", "B,m,run,,POINT,1.0,a.avi"))
    with pytest.raises(ReaderError, match=r"observations 'A' and 'B' are both called '(a|x)__m'"):
        READER.labelled(path, BorisParams(observation=observation))
    (found,) = read(path, observation=observation, only=["B"])
    assert found.sequence in ("a__m", "x__m")
    with pytest.raises(ReaderError, match=r"no events of an observation 'C'. It has: A, B"):
        READER.labelled(path, BorisParams(only=("C",)))


def test_names_that_run_together_are_refused(write: Write) -> None:
    """a__b scored for c, and a scored for b__c."""
    path = write("x.csv", new("a__b,c,run,,POINT,1.0,v", "a,b__c,run,,POINT,1.0,v"))
    with pytest.raises(ReaderError, match="both called 'a__b__c'"):
        READER.labelled(path, BorisParams())


def test_the_rates_of_file_and_dataset_must_agree(write: Write) -> None:
    """At 25 instead of 10 fps every label would be in the wrong place."""
    path = write("x.csv", old("1.0,a,run,POINT"))
    with pytest.raises(ReaderError, match=r"says 10.0 frames per second, and the recording has 25"):
        READER.read(path, BorisParams(fps=25))
    text = path.read_text()
    ntsc = write("n.csv", text.replace(",10.0,10.0,", ",10.0,29.97,"))
    assert events(read(ntsc, fps=30000 / 1001)[0])[0][0] == 30, "written with two decimals"
    untold = write("u.csv", text.replace(",10.0,10.0,", ",10.0,NA,"))
    with pytest.raises(ReaderError, match="tells times, and the frames per second are not known"):
        READER.read(untold, BorisParams())
    assert events(read(untold, fps=5)[0])[0][0] == 5


@pytest.mark.parametrize("rates", [("10.0", "25.0"), ("10.0;25.0", "10.0")])
def test_an_observation_of_two_rates_is_refused(write: Write, rates: tuple[str, str]) -> None:
    text = new(*(f"A,m,run,,POINT,{n}.0,a.avi" for n in (1, 2)))
    first, second = (
        text.splitlines()[n].replace("A,10.0", f"A,{r}") for n, r in enumerate(rates, 1)
    )
    path = write("x.csv", "\n".join([NEW, first, second]))
    with pytest.raises(ReaderError, match=r"'A' has 10.0 and 25.0 frames per second"):
        READER.read(path, BorisParams())
    same = write(
        "y.csv", "\n".join([NEW, first.replace("25.0", "10.0"), second.replace("25.0", "10.0")])
    )
    assert len(events(read(same)[0])) == 2


def test_events_before_the_video_are_dropped_and_counted(write: Write) -> None:
    """-0.2 s to 0.1 s at 10 fps: frames -2, -1, 0."""
    (found,) = read(write("x.csv", old("-0.2,a,run,START", "0.1,a,run,STOP")))
    assert [frame for frame, *_ in events(found)] == [0]
    assert found.notes == {"negative_frames_dropped": 2}


def test_an_offset_is_told(write: Write) -> None:
    """Whether the times hold it differs between versions, so a person must look."""
    text = old("1.0,a,run,POINT").replace("Time offset (s),0.0", "Time offset (s),2.5")
    assert read(write("x.csv", text))[0].notes == {"time_offset_told": 2.5}


def test_the_background_needs_a_length(write: Write) -> None:
    path = write("x.csv", old("1.0,a,run,POINT", length="NA"))
    with pytest.raises(ReaderError, match=r"'obs' does not say how long it is. .*label_background"):
        READER.read(path, BorisParams(label_background=True))


@pytest.mark.parametrize("text", [old(), "Observation id,x,,\n,,,\n", "a,b\n1,2\n"])
def test_files_without_events_are_refused(write: Write, text: str) -> None:
    """An entry without a word about its labels would look as if nothing was scored."""
    path = write("x.csv", text)
    with pytest.raises(ReaderError, match=r"has no events|no line with the columns"):
        READER.labelled(path, BorisParams())
    with pytest.raises(ReaderError, match=r"has no events|no line with the columns"):
        READER.read(path, BorisParams())


def test_a_folder_of_real_files_is_read(shared: Shared) -> None:
    """The way a person calls it: found, recognised, named."""
    found = read_labels(shared("from_fetch/quickstart_mice_pair/boris"), subjects={"adult": 0})
    assert list(found) == [EntryKey("", "pair_a"), EntryKey("", "pair_b")]


def test_an_individual_cannot_pair_with_itself() -> None:
    with pytest.raises(ValueError, match="a is a pair of 1 and itself"):
        BorisParams(subjects={"a": (1, 1)})
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        BorisParams(subjects={"a": -1})
