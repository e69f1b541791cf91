"""Pose files of JABS."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.jabs import KEYPOINTS, Jabs, JabsParams
from mosaic_dagster.dataset.reading import read_entry, read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = Jabs()


class Facts:
    fps = 30.0
    unit = "px"
    keypoints = ()


def mouse(y: int, x: int) -> list[list[int]]:
    """Twelve points, as (y, x): point k is at (y + k, x + 2 k)."""
    return [[y + k, x + 2 * k] for k in range(12)]


def read(path: Path, **params: Any) -> Any:
    (recording,) = READER.read(path, JabsParams(**params))
    return recording


def two_frames(**more: Any) -> dict[str, Any]:
    """Two frames of three slots; y tells the frame, x the slot: (100 + f, 10 s + 1).

    In frame 0 two slots are used, in frame 1 three; the rest holds junk with confidence 0.
    """
    confidence = np.ones((2, 3, 12))
    confidence[0, 2] = 0
    return {
        "points": [[mouse(100 + f, 10 * s + 1) for s in range(3)] for f in range(2)],
        "confidence": confidence,
        "instance_count": np.array([2, 3], np.uint8),
        "instance_track_id": np.array([[4, 7, 0], [7, 9, 4]], np.uint32),
    } | more


IDENTITIES = {
    "id_mask": np.array([[False, True, True], [False, False, True]]),
    "instance_embed_id": np.array([[2, 97, 0], [1, 2, 88]], np.uint32),
}
"""Identities 1 and 2; under the mask 97, 0 and 88, which are junk."""


def test_version_2_has_one_mouse(files: ModuleType, tmp_path: Path) -> None:
    path = files.write_jabs(tmp_path / "a_pose_est_v2.h5", [mouse(5, 50)] * 2, np.ones((2, 12)))
    assert detect(path).name == READER.name
    recording = read(path)
    assert recording.keypoints == KEYPOINTS == READER.keypoints(path, JabsParams())
    assert recording.table.select("frame", "id").rows() == [(0, 0), (1, 0)]
    assert recording.notes == {"pose_version": 2}
    assert recording.fps is None


def test_y_comes_before_x(files: ModuleType, tmp_path: Path) -> None:
    """The file has (y, x); taken as (x, y) the mouse would walk through a mirror."""
    path = files.write_jabs(tmp_path / "a_pose_est_v2.h5", [mouse(5, 50)], np.ones((1, 12)))
    row = read(path).table.row(0, named=True)
    assert (row["poseX0"], row["poseY0"]) == (50, 5)
    assert (row["poseX11"], row["poseY11"]) == (72, 16)


def test_confidence_0_is_missing(files: ModuleType, tmp_path: Path) -> None:
    """A point without confidence is stored at some place, mostly (0, 0); it is nowhere."""
    confidence = np.array([[0, 5.6, *[1] * 10]])
    path = files.write_jabs(tmp_path / "a_pose_est_v2.h5", [mouse(5, 50)], confidence)
    row = read(path).table.row(0, named=True)
    assert np.isnan([row["poseX0"], row["poseY0"]]).all()
    assert row["poseP0"] == 0
    assert row["poseP1"] == pytest.approx(5.6)
    assert row["poseX1"] == 52


def test_slots_are_not_animals(files: ModuleType, tmp_path: Path) -> None:
    """Tracklet 7 is in slot 1, then in slot 0; the third slot of frame 0 is not in use."""
    path = files.write_jabs(tmp_path / "a_pose_est_v3.h5", **two_frames())
    recording = read(path)
    rows = recording.table.select("id", "frame", "poseX0", "poseY0").rows()
    assert rows == [
        (4, 0, 1, 100),
        (4, 1, 21, 101),
        (7, 0, 11, 100),
        (7, 1, 1, 101),
        (9, 1, 11, 101),
    ]
    assert recording.notes == {"pose_version": 3, "identity": "track"}
    table = read_tracks(path, fps=30)[EntryKey("", path.stem)]
    assert table["id"].unique().sort().to_list() == [0, 1, 2]
    assert table["source_track_id"].unique().sort().to_list() == [4, 7, 9]


def test_identities_count_from_1_and_masked_ones_are_junk(
    files: ModuleType, tmp_path: Path
) -> None:
    """Identity 1 becomes id 0; two of the five instances in use are masked and left out."""
    path = files.write_jabs(tmp_path / "a_pose_est_v4.h5", **two_frames(**IDENTITIES))
    recording = read(path)
    rows = recording.table.select("id", "frame", "poseX0").rows()
    assert rows == [(0, 1, 1), (1, 0, 1), (1, 1, 11)]
    assert recording.notes == {
        "pose_version": 4, "identity": "identity", "instances_without_identity": 2
    }  # fmt: skip


def test_tracks_can_be_asked_for(files: ModuleType, tmp_path: Path) -> None:
    path = files.write_jabs(tmp_path / "a_pose_est_v5.h5", **two_frames(**IDENTITIES))
    assert read(path, identity="track").table["id"].unique().sort().to_list() == [4, 7, 9]


def test_identities_that_are_not_there_are_not_made_up(files: ModuleType, tmp_path: Path) -> None:
    path = files.write_jabs(tmp_path / "a_pose_est_v3.h5", **two_frames())
    with pytest.raises(ReaderError, match="version 3 has tracks and no identities"):
        read(path, identity="identity")
    path = files.write_jabs(tmp_path / "a_pose_est_v5.h5", **two_frames())
    with pytest.raises(ReaderError, match="has no array 'instance_embed_id'"):
        read(path)


def test_the_name_decides_the_version(files: ModuleType, tmp_path: Path) -> None:
    """The attribute says 3.0 in files of version 5; without a name the content decides."""
    path = files.write_jabs(tmp_path / "a_pose_est_v5.h5", **two_frames(**IDENTITIES))
    assert read(path).notes["pose_version"] == 5
    renamed = path.rename(tmp_path / "renamed.h5")
    assert read(renamed).notes["identity"] == "identity"
    wrong = renamed.rename(tmp_path / "a_pose_est_v2.h5")
    with pytest.raises(ReaderError, match="the points of version 2 cannot have 4 axes"):
        read(wrong)


def test_the_scale_is_told_and_not_applied(files: ModuleType, tmp_path: Path) -> None:
    path = files.write_jabs(
        tmp_path / "a_pose_est_v5.h5", **two_frames(**IDENTITIES), cm_per_pixel=0.5
    )
    recording = read(path)
    assert recording.notes["cm_per_pixel"] == 0.5
    assert recording.table["poseY0"].to_list() == [101, 100, 101]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"points": np.zeros((2, 3, 5, 2)), "confidence": np.zeros((2, 3, 5))}, "'poseest/points'"),
        ({"confidence": np.zeros((2, 3))}, "'poseest/confidence' has the shape"),
        ({"instance_count": np.zeros(3)}, r"'poseest/instance_count' has the shape \(3,\)"),
        ({"instance_track_id": np.zeros((2, 2))}, "'poseest/instance_track_id'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    files: ModuleType, tmp_path: Path, wrong: Any, told: str
) -> None:
    path = files.write_jabs(tmp_path / "a_pose_est_v3.h5", **two_frames(**wrong))
    with pytest.raises(ReaderError, match=told):
        read(path)


@pytest.mark.parametrize(
    ("version", "animals", "rows", "slots"),
    [(2, 1, 1800, 1), (3, 232, 5918, 5), (5, 3, 1747 + 1800 + 1782, 4)],
)
def test_real_files(
    fetched: Callable[[str], Path], version: int, animals: int, rows: int, slots: int
) -> None:
    """1800 frames each: a mouse; 232 tracklets, 2 to 5 in a frame; three identities."""
    path = fetched(f"mice_jabs/sample_pose_est_v{version}.h5")
    rule = SourceRule(path=str(path), format=READER.name)
    table, repairs = read_entry([path], rule, Facts(), EntryKey("", path.stem))
    assert (repairs.individuals, table.height) == (animals, rows)
    assert table["frame"].n_unique() == 1800
    assert table["frame"].value_counts()["count"].max() <= slots


def test_real_identities(fetched: Callable[[str], Path]) -> None:
    """The three mice are found in 1747, 1800 and 1782 frames; 0.07334 cm per pixel."""
    recording = read(fetched("mice_jabs/sample_pose_est_v5.h5"))
    counts = recording.table["id"].value_counts().sort("id").rows()
    assert counts == [(0, 1747), (1, 1800), (2, 1782)]
    assert recording.notes["cm_per_pixel"] == pytest.approx(0.07334, abs=5e-6)
