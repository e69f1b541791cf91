"""Files of poses read through movement."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mosaic_dagster.dataset.readers import detect, hdf5
from mosaic_dagster.dataset.readers.movement_poses import MovementParams, MovementPoses
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import MissingExtraError, ReaderError
from mosaic_dagster.keys import EntryKey

pytestmark = pytest.mark.usefixtures("movement")

READER = MovementPoses()
LIGHTNING = (
    "scorer,heatmap_tracker,heatmap_tracker,heatmap_tracker\n"
    "bodyparts,nose,nose,nose\ncoords,x,y,likelihood\n0,1,2,0.9\n1,3,4,0.8\n"
)
_CAMERAS = [f"center_{i}" for i in range(3)] + [f"M_{i}{j}" for i in range(3) for j in range(3)]
ANIPOSE = f"fnum,nose_x,nose_y,nose_z,nose_score,nose_error,nose_ncams,{','.join(_CAMERAS)}\n" + (
    "".join(f"{frame},{frame}.5,2,7,0.9,0.1,2{',0' * len(_CAMERAS)}\n" for frame in range(3))
)


@pytest.fixture
def walk(files: ModuleType, tmp_path: Path) -> Path:
    """Three frames at 20 per second, without a nose in the second."""
    nan = float("nan")
    points = [[[1, 2], [3, 4]], [[nan, nan], [5, 6]], [[7, 8], [9, 10]]]
    path: Path = files.write_nwb(tmp_path / "walk.nwb", points, ["nose", "tail"], 20.0)
    return path


def test_nwb_files_are_recognised_and_tell_their_rate(walk: Path) -> None:
    """A rate that the file tells must win over a default, or speeds are wrong."""
    assert detect(walk).name == "movement"
    (recording,) = READER.read(walk, MovementParams())
    assert recording.fps == 20.0
    assert recording.keypoints == ("nose", "tail")
    assert recording.table.select("frame", "poseX1", "poseP1").rows() == [
        (0, 3.0, 0.5), (1, 5.0, 0.5), (2, 9.0, 0.5)
    ]  # fmt: skip
    table = read_tracks(walk)[EntryKey("", "walk")]
    assert table["time"].to_list() == [0.0, 0.05, 0.1]
    assert table["X"].to_list() == [2.0, 5.0, 8.0]


def test_lightning_pose_files_are_read_when_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(LIGHTNING)
    params = {"source_software": "LightningPose"}
    table = read_tracks(path, "movement", fps=10, **params)[EntryKey("", "a")]
    assert table.select("frame", "time", "poseX0", "poseP0").rows() == [
        (0, 0.0, 1.0, 0.9), (1, 0.1, 3.0, 0.8)
    ]  # fmt: skip
    with pytest.raises(ReaderError, match="'movement' does not tell the frames per second"):
        read_tracks(path, "movement", **params)


def test_a_third_coordinate_is_kept(tmp_path: Path) -> None:
    """Anipose triangulates; without the height the table would look like a flat recording."""
    path = tmp_path / "a.csv"
    path.write_text(ANIPOSE)
    table = read_tracks(path, "movement", fps=10, source_software="Anipose")[EntryKey("", "a")]
    assert table["z_nose"].to_list() == [7.0, 7.0, 7.0]
    assert table["X"].to_list() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("name", "content", "software", "told"),
    [
        ("a.csv", b"x,y\n1,2\n", "LightningPose", "could not be read as a file of LightningPose"),
        ("a.csv", b"x,y\n1,2\n", "NWB", r"does not end in \.nwb"),
        ("a.nwb", b"x,y\n1,2\n", "NWB", "is not an HDF5 file"),
        ("a.h5", hdf5.MAGIC, "DeepLabCut", "Take the format 'deeplabcut_h5'"),
        ("a.slp", hdf5.MAGIC, "SLEAP", "Take the format 'sleap_slp'"),
    ],
)
def test_what_movement_cannot_read_is_an_error_with_the_file(
    tmp_path: Path, name: str, content: bytes, software: str, told: str
) -> None:
    """Its own errors have many types; none of them may stop the other files of a folder."""
    path = tmp_path / name
    path.write_bytes(content)
    params = MovementParams.model_validate({"source_software": software})
    with pytest.raises(ReaderError, match=told) as caught:
        READER.read(path, params)
    assert str(path) in str(caught.value)


def test_the_missing_extra_is_named(
    walk: Path, without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "movement"]:
        monkeypatch.delitem(sys.modules, name)
    without("movement.io.load_poses")
    with pytest.raises(MissingExtraError, match=r"pip install 'mosaic-dagster\[movement\]'"):
        READER.read(walk, MovementParams())


SCRIPT = """
import os, sys, warnings
from pathlib import Path
shown, home = warnings.showwarning, os.environ["HOME"]
from mosaic_dagster.dataset import read_tracks
tables = read_tracks(sys.argv[1], "movement", fps=10, source_software="LightningPose")
assert [table.height for table in tables.values()] == [2]
assert "movement" in sys.modules
assert warnings.showwarning is shown
assert os.environ["HOME"] == home
assert not (Path(home) / ".movement").exists(), "a log folder"
"""


@pytest.mark.slow
def test_a_process_is_as_before_after_movement_was_imported(tmp_path: Path) -> None:
    """By itself it makes a log folder in the home folder and swallows Python's warnings."""
    path, home = tmp_path / "a.csv", tmp_path / "home"
    path.write_text(LIGHTNING)
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(path)],
        env={**os.environ, "HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_missing_confidences_stay_missing(files: ModuleType, walk: Path) -> None:
    """NaN is 'not scored'; as 0 the points would be filtered away."""
    with files.h5py().File(walk, "a") as file:
        del file["processing/behavior/PoseEstimation/nose/confidence"]
    (recording,) = READER.read(walk, MovementParams())
    assert np.isnan(recording.table["poseP0"].to_numpy()).all()
    assert recording.table["poseP1"].to_list() == [0.5] * 3
