"""SLEAP projects."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from polars.testing import assert_frame_equal

from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.sleap_analysis import SleapAnalysisH5, SleapParams
from mosaic_dagster.dataset.readers.sleap_slp import SleapSlp
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = SleapSlp()
NODES = ["head", "tail"]
NAN = float("nan")


def points(x: float, score: float = 0.9) -> list[tuple[float, float, bool, float]]:
    """Head at (x, x + 1), tail at (x + 2, x + 3)."""
    return [(x, x + 1, True, score), (x + 2, x + 3, True, score)]


def read(path: Path, **params: Any) -> Any:
    (recording,) = READER.read(path, SleapParams(**params))
    return recording


def test_instances_become_rows_of_their_tracks(files: ModuleType, tmp_path: Path) -> None:
    """Two flies that swap places in the list, and a frame that is not predicted."""
    instances = [
        (0, 0, 0, True, points(10)),
        (0, 0, 1, True, points(20)),
        (0, 2, 1, True, points(21)),
        (0, 2, 0, True, points(11)),
    ]
    path = files.write_slp(tmp_path / "a.slp", instances, NODES, ["male", "female"])
    assert detect(path).name == READER.name
    recording = read(path)
    assert recording.keypoints == ("head", "tail") == READER.keypoints(path, SleapParams())
    rows = recording.table.select("frame", "id", "individual", "poseX0", "poseY1", "poseP1").rows()
    assert rows == [
        (0, 0, "male", 10, 13, 0.9),
        (2, 0, "male", 11, 14, 0.9),
        (0, 1, "female", 20, 23, 0.9),
        (2, 1, "female", 21, 24, 0.9),
    ]
    assert (recording.sequence, recording.fps) == ("a", None)
    assert "author" not in str(recording.notes)


def test_points_that_are_not_visible_are_missing(files: ModuleType, tmp_path: Path) -> None:
    """An instance without a visible point gives no row."""
    hidden = (5.0, 5.0, False, 0.0)
    instances = [(0, 0, 0, True, [hidden, points(1)[1]]), (0, 1, 0, True, [hidden, hidden])]
    table = read(files.write_slp(tmp_path / "a.slp", instances, NODES, ["fly"])).table
    assert table["frame"].to_list() == [0]
    assert np.isnan(table["poseX0"][0])


def test_a_correction_replaces_the_prediction(files: ModuleType, tmp_path: Path) -> None:
    """Somebody moved the point by hand: that is where it is, and nobody scored it."""
    instances = [
        (0, 0, 0, True, points(1)),
        (0, 0, 0, False, points(5)),
        (0, 1, 0, True, points(2)),
    ]
    recording = read(files.write_slp(tmp_path / "a.slp", instances, NODES, ["fly"]))
    assert recording.table["poseX0"].to_list() == [5.0, 2.0]
    assert np.isnan(recording.table["poseP0"][0])
    assert recording.notes["corrected_predictions_left_out"] == 1


def test_old_files_count_from_the_corner_of_a_pixel(files: ModuleType, tmp_path: Path) -> None:
    """Before format 1.1 the centre of the first pixel was (0.5, 0.5)."""
    instances = [(0, 0, 0, True, points(1))]
    path = files.write_slp(tmp_path / "a.slp", instances, NODES, ["fly"], format_id=1.0)
    assert read(path).table["poseX0"].to_list() == [0.5]


def test_one_animal_need_not_be_tracked(files: ModuleType, tmp_path: Path) -> None:
    instances = [(0, frame, -1, True, points(frame)) for frame in range(3)]
    recording = read(files.write_slp(tmp_path / "a.slp", instances, NODES))
    assert recording.table["id"].to_list() == [0, 0, 0]
    assert recording.notes == {"tracks_in_file": 1, "tracks_left_out": 0}


def test_several_untracked_animals_are_refused(files: ModuleType, tmp_path: Path) -> None:
    """Numbered by their place in the list they would swap from frame to frame."""
    instances = [(0, 4, -1, True, points(1)), (0, 4, -1, True, points(9))]
    path = files.write_slp(tmp_path / "a.slp", instances, NODES)
    with pytest.raises(ReaderError, match=r"a.slp: frame 4 has several untracked instances"):
        read(path)


def test_untracked_instances_beside_tracks_are_counted(files: ModuleType, tmp_path: Path) -> None:
    instances = [(0, 0, 0, True, points(1)), (0, 0, -1, True, points(9))]
    recording = read(files.write_slp(tmp_path / "a.slp", instances, NODES, ["fly"]))
    assert recording.table.height == 1
    assert recording.notes["untracked_instances_left_out"] == 1


def test_each_video_is_a_recording(files: ModuleType, tmp_path: Path) -> None:
    """Named by the file of the video, of which no folder is kept, whatever its system."""
    instances = [(0, 0, 0, True, points(1)), (1, 5, 0, True, points(2))]
    videos = ["C:\\Users\\author\\day1.mp4", "/home/author/day2.avi"]
    path = files.write_slp(tmp_path / "a.slp", instances, NODES, ["fly"], videos)
    assert READER.sequences(path) == [(None, "a/day1"), (None, "a/day2")]
    recordings = READER.read(path, SleapParams())
    assert [recording.sequence for recording in recordings] == ["a/day1", "a/day2"]
    assert [recording.table["frame"].to_list() for recording in recordings] == [[0], [5]]
    tables = read_tracks(path, fps=30)
    assert list(tables) == [EntryKey("", "a/day1"), EntryKey("", "a/day2")]


def test_videos_of_one_name_are_told_apart(files: ModuleType, tmp_path: Path) -> None:
    """Two recordings of one name would overwrite each other."""
    instances = [(0, 0, 0, True, points(1)), (1, 5, 0, True, points(2))]
    videos = ["/day1/cam.mp4", "/day2/cam.mp4"]
    path = files.write_slp(tmp_path / "a.slp", instances, NODES, ["fly"], videos)
    assert READER.sequences(path) == [(None, "a/cam_0"), (None, "a/cam_1")]


@pytest.mark.parametrize(
    ("name", "field", "value", "told"),
    [
        ("frames", "instance_id_end", 9, "a frame has instances that are not in the file"),
        ("instances", "point_id_start", 7, "points that are not in 'pred_points'"),
    ],
)
def test_references_out_of_the_file_are_refused(
    files: ModuleType, tmp_path: Path, name: str, field: str, value: int, told: str
) -> None:
    """A project that was saved in part must not read another animal's points."""
    path = files.write_slp(tmp_path / "a.slp", [(0, 0, 0, True, points(1))], NODES, ["fly"])
    with files.h5py().File(path, "a") as file:
        records = file[name][()]
        records[field] = value
        file[name][...] = records
    with pytest.raises(ReaderError, match=told):
        read(path)


@pytest.mark.parametrize(
    "metadata", ["{", "[]", "{}", '{"nodes": [], "skeletons": [{"nodes": [{"id": 3}]}]}']
)
def test_a_skeleton_that_is_not_there_is_an_error(
    files: ModuleType, tmp_path: Path, metadata: str
) -> None:
    path = files.write_slp(tmp_path / "a.slp", [(0, 0, 0, True, points(1))], NODES, ["fly"])
    with files.h5py().File(path, "a") as file:
        file["metadata"].attrs["json"] = metadata
    with pytest.raises(ReaderError, match=r"a.slp.*metadata"):
        read(path)


def test_a_project_without_predictions_is_empty(files: ModuleType, tmp_path: Path) -> None:
    """An entry without rows, not a crash: SLEAP saves such projects before the first run."""
    path = files.write_slp(tmp_path / "a.slp", [], NODES)
    assert READER.sequences(path) == [(None, "a")]
    with files.h5py().File(path, "a") as file:
        file["metadata"].attrs["json"] = (
            '{"nodes": [{"name": "n"}], "skeletons": [{"nodes": [{"id": 0}]}]}'
        )
    assert read(path).table.shape == (0, 5)


def test_real_fragments(fetched: Callable[[str], Path]) -> None:
    """27 tracks for two flies: two complete ones of 1100 frames, 25 fragments of 1 to 15 frames.

    The fragments have 2274 - 2 x 1100 = 74 of the instances.
    """
    path = fetched("flies_sleap/centered_pair_predictions.slp")
    everything = read(path)
    assert everything.table.height == 2274
    assert everything.table["id"].n_unique() == 27
    assert len(everything.keypoints) == 24
    pair = read(path, n_longest=2)
    assert pair.table["id"].value_counts().sort("id").rows() == [(0, 1100), (1, 1100)]
    assert pair.notes == {
        "tracks_in_file": 27, "tracks_left_out": 25, "rows_left_out": 74, "longest_left_out": 15
    }  # fmt: skip
    ((_, table),) = read_tracks(path, fps=30, n_longest=2).items()
    assert table["id"].unique().sort().to_list() == [0, 1]


def test_the_real_project_and_its_export_hold_the_same(fetched: Callable[[str], Path]) -> None:
    """101 frames of a mouse: two formats, two orders of axes and nodes, the same numbers."""
    project = read(fetched("mice_dlc_h5/testDLC_sleap.slp"))
    (export,) = SleapAnalysisH5().read(
        fetched("mice_dlc_h5/testDLC_sleap.analysis.h5"), SleapParams()
    )
    assert project.keypoints == export.keypoints
    assert project.table.height == 101
    points = [column for column in export.table.columns if column[:5] in ("poseX", "poseY")]
    assert_frame_equal(
        project.table.select("frame", *points), export.table.select("frame", *points)
    )
