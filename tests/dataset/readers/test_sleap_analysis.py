"""SLEAP analysis files."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.sleap_analysis import SleapAnalysisH5, SleapParams
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = SleapAnalysisH5()
NODES = ["head", "thorax", "tail"]
AXES = ("frame", "track", "node", "xy")


def two_flies() -> np.ndarray[Any, Any]:
    """Four frames, two tracks, three nodes, two coordinates c: 1000 f + 100 t + 10 n + c.

    Track 1 is not found in frame 2; the head of track 0 is missing in frame 3.
    """
    points = np.array(
        [
            [
                [[1000 * f + 100 * t + 10 * n + c for c in range(2)] for n in range(3)]
                for t in (0, 1)
            ]
            for f in range(4)
        ],
        dtype=np.float64,
    )
    points[2, 1] = np.nan
    points[3, 0, 0] = np.nan
    return points


def check(path: Path) -> None:
    """The seven rows of two_flies, each number in its place."""
    (recording,) = READER.read(path, SleapParams())
    assert recording.keypoints == tuple(NODES) == READER.keypoints(path, SleapParams())
    rows = recording.table.select("frame", "id", "poseX1", "poseY2").rows()
    assert sorted(rows) == sorted(
        (f, t, 1000 * f + 100 * t + 10, 1000 * f + 100 * t + 21)
        for f in range(4)
        for t in range(2)
        if (f, t) != (2, 1)
    )
    assert np.isnan(recording.table.filter(frame=3, id=0)["poseX0"][0])
    assert recording.notes == {"tracks_in_file": 2, "tracks_left_out": 0}
    assert recording.fps is None


def test_the_old_layout_without_scores(files: ModuleType, tmp_path: Path) -> None:
    """(track, xy, node, frame) and no point_scores: no confidence is made up."""
    path = files.write_analysis(tmp_path / "a.analysis.h5", two_flies(), NODES)
    check(path)
    table = READER.read(path, SleapParams())[0].table
    assert not [column for column in table.columns if column.startswith("poseP")]
    assert table["individual"].unique().sort().to_list() == ["fly0", "fly1"]


@pytest.mark.parametrize("order", list(permutations(AXES)), ids="-".join)
def test_axes_follow_the_attribute_dims(
    files: ModuleType, tmp_path: Path, order: tuple[str, ...]
) -> None:
    """Read in another order than it was written, x would be y and frames would be animals."""
    points = two_flies()
    path = files.write_analysis(
        tmp_path / "a.h5", points, NODES, scores=points[..., 0] / 1e4, order=order, dims=True
    )
    check(path)
    row = READER.read(path, SleapParams())[0].table.filter(frame=1, id=1)
    assert row["poseP2"].to_list() == [0.112]


def test_files_that_say_that_nothing_was_turned(files: ModuleType, tmp_path: Path) -> None:
    """An older way to say it: the attribute transpose of the file."""
    order = ("frame", "node", "xy", "track")
    path = files.write_analysis(tmp_path / "a.h5", two_flies(), NODES, order=order)
    with files.h5py().File(path, "a") as file:
        file.attrs["transpose"] = False
    check(path)


@pytest.mark.parametrize("dims", ['["track", "xy"]', "no list", '["a", "b", "c", "d"]'])
def test_dims_that_name_other_axes_are_refused(
    files: ModuleType, tmp_path: Path, dims: str
) -> None:
    path = files.write_analysis(tmp_path / "a.h5", two_flies(), NODES)
    with files.h5py().File(path, "a") as file:
        file["tracks"].attrs["dims"] = dims
    with pytest.raises(ReaderError, match=r"a.h5: the attribute 'dims' of 'tracks' is"):
        READER.read(path, SleapParams())


def test_axes_in_an_order_that_is_not_told_are_refused(files: ModuleType, tmp_path: Path) -> None:
    """With two tracks (4, 2, 3, 2) fits (track, xy, node, frame) too, but not two names."""
    path = files.write_analysis(tmp_path / "a.h5", two_flies(), NODES, order=AXES)
    with pytest.raises(ReaderError, match="'tracks' has 4 tracks, 'track_names' 2"):
        READER.read(path, SleapParams())
    path = files.write_analysis(tmp_path / "b.h5", two_flies()[:, :1], NODES, order=AXES)
    with pytest.raises(ReaderError, match=r"the shape \(4, 1, 3, 2\).*does not fit 3 nodes"):
        READER.read(path, SleapParams())


def test_fragments_are_left_out_and_told(files: ModuleType, tmp_path: Path) -> None:
    """Track 0 has four rows, track 1 three; ids stay those of the file until tracks are made."""
    path = files.write_analysis(tmp_path / "a.h5", two_flies()[:, ::-1], NODES)
    (recording,) = READER.read(path, SleapParams(n_longest=1))
    assert recording.table["id"].unique().to_list() == [1]
    assert recording.notes == {
        "tracks_in_file": 2, "tracks_left_out": 1, "rows_left_out": 3, "longest_left_out": 3
    }  # fmt: skip


def test_the_author_s_paths_stay_out(files: ModuleType, tmp_path: Path) -> None:
    """The file holds the path of a video on somebody's machine."""
    path = files.write_analysis(tmp_path / "a.analysis.h5", two_flies(), NODES)
    (recording,) = READER.read(path, SleapParams())
    assert "author" not in f"{recording}{recording.table.to_dicts()}"
    assert recording.sequence == "a"


def test_tracks_without_names_get_numbers(files: ModuleType, tmp_path: Path) -> None:
    path = files.write_analysis(tmp_path / "a.h5", two_flies(), NODES, names=[])
    (recording,) = READER.read(path, SleapParams())
    assert set(recording.table["individual"]) == {"track_0", "track_1"}


def test_real_flies(fetched: Callable[[str], Path]) -> None:
    """Two flies, 13 nodes, 3000 frames; 1.96 % of the coordinates are NaN; no scores, no rate."""
    path = fetched("flies_sleap/predictions.analysis.h5")
    assert detect(path).name == READER.name
    with pytest.raises(ReaderError, match="does not tell the frames per second"):
        read_tracks(path)
    ((key, table),) = read_tracks(path, fps=30).items()
    assert key == EntryKey("", "predictions")
    pose = table.select([f"pose{axis}{k}" for k in range(13) for axis in "XY"])
    assert pose.width == 26
    missing = np.isnan(pose.to_numpy()).sum() + 26 * (6000 - table.height)
    assert missing / (2 * 2 * 13 * 3000) == pytest.approx(0.0196, abs=5e-5)


def test_real_jumps(fetched: Callable[[str], Path]) -> None:
    """Track 1 jumps more than 30 px 31 times between frames, track 0 never: axes are right."""
    table = READER.read(fetched("flies_sleap/predictions.analysis.h5"), SleapParams())[0].table
    thorax = [table.filter(id=track).sort("frame") for track in (0, 1)]
    steps = [np.hypot(np.diff(t["poseX1"]), np.diff(t["poseY1"])) for t in thorax]
    assert [int((step > 30).sum()) for step in steps] == [0, 31]


def test_a_real_mouse_with_scores(fetched: Callable[[str], Path]) -> None:
    """One track of 14 nodes in 101 frames; the project file of the same run holds the same."""
    table = READER.read(fetched("mice_dlc_h5/testDLC_sleap.analysis.h5"), SleapParams())[0].table
    assert table.shape == (101, 2 + 3 * 14)
    assert "individual" not in table.columns
