"""CalMS21 files, made here in the layout of the originals."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers import calms21, detect
from mosaic_dagster.dataset.readers.calms21 import (
    Calms21Json,
    Calms21Npy,
    Calms21NpyParams,
    Calms21Params,
)
from mosaic_dagster.dataset.readers.parsed_file import PARSED
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.dataset.scan import scan_sources
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = Calms21Json()
TRAIN, TEST = "task1/train/mouse001_task1_annotator1", "task1/test/mouse071_task1_annotator1"
GROUP = "annotator-id_0"


@pytest.fixture(autouse=True)
def nothing_parsed() -> Iterator[None]:
    PARSED.forget()
    yield
    PARSED.forget()


def clip(frames: int = 3, **fields: Any) -> dict[str, Any]:
    """Point k of mouse m in frame t is at x = 100 m + 10 k + t, y = -x; scores are (k + 1) / 10."""
    t, m, k = np.ogrid[:frames, :2, :7]
    x = 100.0 * m + 10 * k + t
    made = {
        "keypoints": np.stack([x, -x], axis=2).tolist(),
        "scores": np.broadcast_to((k + 1) / 10, (frames, 2, 7)).tolist(),
        "annotations": list(range(frames)),
        "metadata": {"annotator-id": 0, "vocab": {"attack": 0, "other": 3}},
    }
    return {name: value for name, value in (made | fields).items() if value is not None}


def write(folder: Path, content: object, name: str = "calms21_task1.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_x_and_y_come_before_the_keypoint(tmp_path: Path) -> None:
    """Read as [keypoint][xy], all mice would be scrambled without an error.

    Mouse 1, point 2 (right ear), frame 1: x = 100 + 20 + 1 = 121, y = -121.
    """
    path = write(tmp_path, {GROUP: {TRAIN: clip()}})
    (recording,) = READER.read(path, Calms21Params())
    assert recording.keypoints == calms21.mouse_names(7, (), "") != ()
    assert recording.keypoints[2] == "right_ear"
    row = recording.table.filter(id=1, frame=1).row(0, named=True)
    assert (row["poseX2"], row["poseY2"], row["poseP2"]) == (121.0, -121.0, 0.3)


def test_slashes_in_sequences_become_underscores(tmp_path: Path) -> None:
    """The group comes from the file, and the centre is the mean of the points.

    Frame 0, mouse 0: mean x of 0, 10, …, 60 = 30.
    """
    path = write(tmp_path, {GROUP: {TRAIN: clip()}})
    tracks = read_tracks(path, fps=30.0)
    key = EntryKey(GROUP, "task1__train__mouse001_task1_annotator1")
    assert list(tracks) == [key]
    assert tracks[key]["X"][0] == 30.0
    assert tracks[key]["time"][1] == 1 / 30


def test_names_that_slashes_told_apart_are_refused(tmp_path: Path) -> None:
    """Two recordings under one name would silently become one."""
    path = write(tmp_path, {GROUP: {"a/b": clip(), "a__b": clip()}})
    with pytest.raises(ReaderError, match="'a__b' and 'a/b' are both called 'a__b'"):
        READER.sequences(path)


def test_the_frame_rate_is_never_guessed(tmp_path: Path) -> None:
    """The originals store none; one recorded at 25 would be 20 % too fast at 30."""
    path = write(tmp_path, {GROUP: {TRAIN: clip()}})
    with pytest.raises(ReaderError, match="does not tell the frames per second"):
        read_tracks(path)


@pytest.mark.parametrize("name", ["fps", "frame_rate"])
def test_the_frame_rate_of_the_file_wins(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, {GROUP: {TRAIN: clip(metadata={name: 25})}})
    (tracks,) = read_tracks(path, fps=30.0).values()
    assert tracks["fps"][0] == 25.0


def test_an_impossible_frame_rate_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {GROUP: {TRAIN: clip(metadata={"fps": "fast"})}})
    with pytest.raises(ReaderError, match=r"mouse001.*the frame rate is 'fast'"):
        READER.read(path, Calms21Params())


@pytest.mark.parametrize("annotations", [[3, 0, 1], [[3, 9], [0, 9], [1, 9]]], ids=["T", "T,k"])
def test_annotations_are_kept_as_label(tmp_path: Path, annotations: list[Any]) -> None:
    """Of several annotators the first counts; both mice get the label of their frame."""
    path = write(tmp_path, {GROUP: {TRAIN: clip(annotations=annotations)}})
    (tracks,) = read_tracks(path, fps=30).values()
    assert tracks["label"].to_list() == [3, 0, 1, 3, 0, 1]


def test_unlabelled_files_have_neither_annotations_nor_scores(tmp_path: Path) -> None:
    content = {"unlabeled_videos": {"video_1": clip(annotations=None, scores=None, metadata=None)}}
    path = write(tmp_path, content, "calms21_unlabeled_videos_part1.json")
    assert detect(path).name == "calms21_json"
    (recording,) = READER.read(path, Calms21Params())
    assert not {"label", "poseP0"} & set(recording.table.columns)


def test_task_3_has_a_group_for_each_behaviour(tmp_path: Path) -> None:
    """There class 0 is the background, not attack: the numbers are left as the file has them."""
    vocab = {"annotator-id": 0, "vocab": {"other": 0, "approach": 1}}
    content = {
        behaviour: {
            f"task3/{behaviour}/train/mouse000": clip(metadata=vocab, annotations=[0, 1, 0])
        }
        for behaviour in ("approach", "groom")
    }
    tracks = read_tracks(write(tmp_path, content), fps=30)
    assert [key.group for key in tracks] == ["approach", "groom"]
    assert all(table["label"].to_list()[:3] == [0, 1, 0] for table in tracks.values())


@pytest.mark.parametrize(
    ("select", "found"),
    [
        (None, 3),
        ("calms21_task1_train", 1),
        ("task1_test", 1),
        ("task1", 2),
        ("calms21_task2", 1),
    ],
)
def test_select_chooses_by_what_is_inside_the_name(
    tmp_path: Path, select: str | None, found: int
) -> None:
    """The split is in the sequence, not in the group; training on test data is a leak."""
    content = {GROUP: {TRAIN: clip(), TEST: clip(), "task2/annotator1/train/m": clip()}}
    path = write(tmp_path, content)
    params = Calms21Params(select=select)
    assert len(READER.listed(path, params)) == len(READER.read(path, params)) == found
    assert len(read_tracks(path, format="calms21_json", fps=30, select=select)) == found


def test_select_that_fits_nothing_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, {GROUP: {TRAIN: clip()}})
    with pytest.raises(ReaderError, match="no sequences of 'task3'; one is 'task1/train"):
        READER.listed(path, Calms21Params(select="task3"))
    with pytest.raises(ReaderError, match="select"):
        read_tracks(path, format="calms21_json", fps=30, select="train")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"keypoints": [[[[1, 2]] * 7] * 2]}, r"keypoints have the shape \(1, 2, 7, 2\).*x and y"),
        ({"keypoints": [[[1], [2, 3]]]}, "keypoints: not an array of numbers"),
        ({"keypoints": None}, "has no 'keypoints'; it has scores, annotations"),
        ({"scores": [[[0.5]]]}, r"scores have the shape \(1, 1, 1\)"),
        ({"annotations": [1, 2]}, "has 3 frames and 2 annotations"),
        ({"annotations": [0.5, 1, 2]}, "not one whole number per frame"),
    ],
)
def test_one_bad_sequence_does_not_stop_the_others(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    """In a file of seventy, the good sixty-nine are read, and the bad one is named."""
    path = write(tmp_path, {GROUP: {"bad/one": clip(**fields), TRAIN: clip()}})
    names = READER.listed(path, Calms21Params())
    assert len(names) == 2
    assert READER.read_one(path, Calms21Params(), names[1]).table.height == 6
    with pytest.raises(ReaderError, match=f"sequence 'bad/one'.*{told}"):
        READER.read_one(path, Calms21Params(), names[0])


@pytest.mark.parametrize("content", [[1], {"g": [1]}, {"g": {"s": [1]}}])
def test_another_layout_is_an_error(tmp_path: Path, content: object) -> None:
    with pytest.raises(ReaderError, match="is no object"):
        READER.sequences(write(tmp_path, content))


def test_a_big_file_is_parsed_once_for_all_its_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parse of hundreds of megabytes takes a minute, and there are seventy recordings."""
    calls: list[Path] = []
    real = calms21.walk_json
    monkeypatch.setattr(calms21, "walk_json", lambda *args: calls.append(args[0]) or real(*args))
    path = write(tmp_path, {GROUP: {f"task1/train/m{i}": clip() for i in range(5)}})
    assert len(read_tracks(path, fps=30)) == 5
    assert calls == [path]


def npy(folder: Path) -> Path:
    """As the original npy files: arrays in place of lists."""
    fields = clip()
    for name in ("keypoints", "scores", "annotations"):
        fields[name] = np.asarray(fields[name])
    path = folder / "calms21_task1_train.npy"
    np.save(path, {GROUP: {TRAIN: fields}}, allow_pickle=True)  # type: ignore[arg-type]
    return path


def test_the_npy_file_gives_the_same_tracks(tmp_path: Path) -> None:
    path = npy(tmp_path)
    assert detect(path).name == "calms21_npy"
    from_npy = read_tracks(path, fps=30, allow_pickle=True)
    from_json = read_tracks(write(tmp_path, {GROUP: {TRAIN: clip()}}), fps=30)
    assert list(from_npy) == list(from_json)
    for key, table in from_npy.items():
        assert table.equals(from_json[key])


def test_the_npy_file_is_refused_unless_allowed(tmp_path: Path) -> None:
    """Also after somebody else in the process was allowed to, and already when scanning."""
    path = npy(tmp_path)
    Calms21Npy().read(path, Calms21NpyParams(allow_pickle=True))
    with pytest.raises(ReaderError, match="allow_pickle=true"):
        Calms21Npy().read(path, Calms21NpyParams())
    scan = scan_sources([SourceRule(path=str(tmp_path), format="calms21_npy")], [], tmp_path)
    assert "allow_pickle=true" in scan.refused[0].reason


def test_one_group_for_all_by_rule(tmp_path: Path) -> None:
    """Entries are found again under the group of the rule."""
    write(tmp_path, {GROUP: {TRAIN: clip(), TEST: clip()}})
    rule = SourceRule(path=str(tmp_path), group="mice")
    scan = scan_sources([rule], [], tmp_path)
    assert {source.key.group for source in scan.present} == {"mice"}
    assert len(scan.present) == 2
