"""MARS pose files, made here in their layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.mars_json import MarsJson
from mosaic_dagster.dataset.readers.pose_arrays import NamedParams
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError

READER = MarsJson()


def write(folder: Path, **content: Any) -> Path:
    """Point k of mouse m in frame t is at x = 100 m + 10 k + t, y = -x."""
    t, m, k = np.ogrid[:2, :2, :7]
    x = 100.0 * m + 10 * k + t
    made = {
        "bbox": [[[0.1, 0.2, 0.3, 0.4]] * 2] * 2,
        "keypoints": np.stack([x, -x], axis=2).tolist(),
        "scores": np.full((2, 2, 7), 0.5).tolist(),
    }
    path = folder / "night1.json"
    path.write_text(json.dumps({k: v for k, v in (made | content).items() if v is not None}))
    return path


def test_points_are_in_the_order_of_calms21(tmp_path: Path) -> None:
    """Mouse 1, point 3 (neck), frame 1: x = 100 + 30 + 1 = 131."""
    path = write(tmp_path)
    assert detect(path).name == "mars_json"
    (recording,) = READER.read(path, NamedParams())
    assert recording.sequence == "night1"
    assert recording.keypoints == READER.keypoints(path, NamedParams())
    assert recording.keypoints[3] == "neck"
    row = recording.table.filter(id=1, frame=1).row(0, named=True)
    assert (row["poseX3"], row["poseY3"], row["poseP3"]) == (131.0, -131.0, 0.5)


def test_a_file_of_long_boxes_is_recognised_by_them(tmp_path: Path) -> None:
    """The keypoints of a long recording begin far behind what is looked at."""
    assert READER.sniff(write(tmp_path, bbox=[[[0.123456, 0.2, 0.3, 0.4]] * 2] * 5000))


def test_other_names_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path, scores=None, fps=25)
    names = tuple("abcdefg")
    (tracks,) = read_tracks(path, format="mars_json", names=names).values()
    assert tracks["fps"][0] == 25.0
    assert READER.keypoints(path, NamedParams(names=names)) == names
    with pytest.raises(ReaderError, match=r"has 7 keypoints; names has 2: a, b"):
        READER.read(path, NamedParams(names=("a", "b")))
    with pytest.raises(ReaderError, match="names has 7"):
        READER.read(path, NamedParams(names=("a",) * 7))


def test_files_of_features_hold_no_tracks(tmp_path: Path) -> None:
    path = write(tmp_path, keypoints=None)
    with pytest.raises(ReaderError, match="has no 'keypoints'; it has bbox, scores"):
        READER.read(path, NamedParams())
    path.write_text("[1]")
    with pytest.raises(ReaderError, match="is no object with keypoints, but list"):
        READER.read(path, NamedParams())
