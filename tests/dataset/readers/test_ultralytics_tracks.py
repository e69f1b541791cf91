"""Tracked detections as parquet, made here."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.ultralytics_tracks import UltralyticsParams, UltralyticsTracks
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = UltralyticsTracks()


def write(folder: Path, drop: tuple[str, ...] = (), **columns: list[Any]) -> Path:
    """Tracks 4 and 9, which is in frame 1 only."""
    made: dict[str, list[Any]] = {
        "frame": [0, 1, 1],
        "track_id": [4, 9, 4],
        "x1": [0.0, 10.0, 2.0],
        "y1": [0.0, 10.0, 2.0],
        "x2": [4.0, 20.0, 6.0],
        "y2": [2.0, 30.0, 4.0],
        "conf": [0.5, 0.6, 0.7],
        "cls": [0, 1, 0],
    }
    path = folder / "dish.parquet"
    pl.DataFrame(made | columns).drop(drop).write_parquet(path)
    return path


def test_boxes_without_keypoints_have_their_middle_as_centre(tmp_path: Path) -> None:
    """Track 4 in frame 0: ((0 + 4) / 2, (0 + 2) / 2) = (2, 1). Ids follow the tracker's order."""
    path = write(tmp_path)
    assert detect(path).name == "ultralytics_tracks"
    tracks = read_tracks(path, fps=10)[EntryKey("", "dish")]
    columns = ["frame", "id", "X", "Y", "bbox_x1", "det_conf", "det_cls", "source_track_id"]
    assert tracks.select(columns).rows() == [
        (0, 0, 2.0, 1.0, 0.0, 0.5, 0, 4),
        (1, 0, 4.0, 3.0, 2.0, 0.7, 0, 4),
        (1, 1, 15.0, 20.0, 10.0, 0.6, 1, 9),
    ]


POINTS = {"kpx0": [1.0, 0.0, 3.0], "kpy0": [1.0, 0.0, 3.0], "kpp0": [0.9, 0.4, 0.8]} | {
    "kpx1": [3.0, 5.0, 0.0],
    "kpy1": [3.0, 5.0, 0.0],
    "kpp1": [0.9, 0.9, 0.6],
}


def test_a_point_that_was_not_found_is_at_the_origin(tmp_path: Path) -> None:
    """Below a confidence of 0.5 the detector writes (0, 0); a real (0, 0) is surer than that.

    Centre of track 9: its one point (5, 5), not (2.5, 2.5).
    """
    path = write(tmp_path, **POINTS)
    tracks = read_tracks(path, fps=10)[EntryKey("", "dish")]
    assert tracks["X"].to_list() == [2.0, 1.5, 5.0]
    assert tracks["poseX0"].is_nan().to_list() == [False, False, True]
    assert tracks["poseP0"].to_list() == [0.9, 0.8, 0.4]
    assert READER.keypoints(path, UltralyticsParams()) == ("keypoint0", "keypoint1")
    assert READER.keypoints(path, UltralyticsParams(names=("head", "tail"))) == ("head", "tail")


def test_points_without_confidence(tmp_path: Path) -> None:
    path = write(tmp_path, drop=("kpp0", "kpp1"), **POINTS)
    (recording,) = READER.read(path, UltralyticsParams())
    assert recording.table["poseX0"].to_list() == [1.0, 0.0, 3.0]


@pytest.mark.parametrize("number", [None, -1])
def test_detections_without_a_track_are_never_dropped_unasked(
    tmp_path: Path, number: int | None
) -> None:
    """Their animal is not known; as one more id they would be a ghost that jumps about."""
    path = write(tmp_path, track_id=[4, number, 4])
    with pytest.raises(ReaderError, match="1 of 3 detections belong to no track"):
        READER.read(path, UltralyticsParams())
    (recording,) = READER.read(path, UltralyticsParams(drop_untracked=True))
    assert recording.table["source_track_id"].to_list() == [4, 4]


@pytest.mark.parametrize(
    ("columns", "drop", "told"),
    [
        ({}, ("y2",), "has no column 'y2'"),
        ({"x1": ["a", "b", "c"]}, (), "the column 'x1' holds String"),
        (POINTS, ("kpy1",), "has 2 keypoints and no column 'kpy1'"),
        (POINTS, ("kpx0",), "no column 'kpx0'|'poseX1'"),
    ],
)
def test_missing_or_wrong_columns_are_named(
    tmp_path: Path, columns: dict[str, list[Any]], drop: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ReaderError, match=told):
        READER.read(write(tmp_path, drop, **columns), UltralyticsParams())
