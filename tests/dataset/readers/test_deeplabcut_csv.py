"""DeepLabCut csv files."""

from pathlib import Path

import numpy as np
import pytest

from mosaic_dagster.dataset.readers.base import ReaderParams
from mosaic_dagster.dataset.readers.deeplabcut_csv import DeepLabCutCsv
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = DeepLabCutCsv()
ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "deeplabcut"
FETCHED = ROOT.parent / "shared" / "data" / "from_fetch"

SINGLE = """scorer,S,S,S,S,S,S
bodyparts,nose,nose,nose,tail,tail,tail
coords,x,y,likelihood,x,y,likelihood
5,1,2,0.9,3,4,0.8
6,1.5,2.5,0.1,,,
"""
MULTI = """scorer,S,S.1,S.2,S.3,S.4,S.5
individuals,adult,adult,adult,young,young,young
bodyparts,nose,nose,nose,nose,nose,nose
coords,x,y,likelihood,x,y,likelihood
0,1,2,0.9,3,4,0.8
1,0.0,0.0,0.0,5,6,0.7
"""


def write(folder: Path, content: str) -> Path:
    path = folder / "videoDLC.csv"
    path.write_text(content, encoding="utf-8")
    return path


def test_one_animal(tmp_path: Path) -> None:
    """Three header lines; frames as the file says; likelihoods become confidences."""
    (recording,) = READER.read(write(tmp_path, SINGLE), ReaderParams())
    assert recording.keypoints == ("nose", "tail")
    assert recording.table.columns == [
        *("frame", "id", "poseX0", "poseY0", "poseP0", "poseX1", "poseY1", "poseP1")
    ]
    assert recording.table.row(0) == (5, 0, 1.0, 2.0, 0.9, 3.0, 4.0, 0.8)
    assert np.isnan(recording.table.row(1)[5:]).all()
    assert recording.unparsable == 0
    assert recording.fps is None


def test_two_animals_with_numbered_scorer_cells(tmp_path: Path) -> None:
    """Animals are numbered as they appear and keep their names; the scorer does not matter."""
    (recording,) = READER.read(write(tmp_path, MULTI), ReaderParams())
    assert recording.keypoints == ("nose",)
    rows = recording.table.select("frame", "id", "individual", "poseX0").rows()
    assert rows == [(0, 0, "adult", 1), (1, 0, "adult", 0), (0, 1, "young", 3), (1, 1, "young", 5)]
    tracks = read_tracks(tmp_path, "deeplabcut", fps=30)[EntryKey("", "videoDLC")]
    assert tracks.select("id", "frame").rows() == [(0, 0), (1, 0), (1, 1)]


def test_animals_need_not_have_the_same_keypoints(tmp_path: Path) -> None:
    """A keypoint that only the other animal has is missing, not shifted."""
    content = MULTI.replace("bodyparts,nose,nose,nose,nose", "bodyparts,nose,nose,nose,tail")
    content = content.replace("tail,nose,nose", "tail,tail,tail")
    (recording,) = READER.read(write(tmp_path, content), ReaderParams())
    assert recording.keypoints == ("nose", "tail")
    assert np.isnan(recording.table["poseX1"][0])
    assert np.isnan(recording.table["poseX0"][2])
    assert recording.table["poseX1"][2] == 3.0


def test_cells_that_are_no_numbers_are_missing_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, SINGLE.replace("1.5,2.5", "bad,2.5"))
    (recording,) = READER.read(path, ReaderParams())
    assert recording.unparsable == 1
    assert np.isnan(recording.table["poseX0"][1])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("scorer", "network", "first cells are 'network', 'bodyparts', 'coords', '5'"),
        ("bodyparts", "parts", "not 'scorer', 'bodyparts', 'coords'"),
        ("coords", "0", "not 'scorer', 'bodyparts', 'coords'"),
        ("x,y,likelihood,x", "x,y,score,x", "column 4: coords says 'score'"),
        ("x,y,likelihood,x", "x,x,likelihood,x", "nose has 'x' twice"),
        ("nose,nose,nose,tail", "nose,nose,tails,tail", "tails has no "),
        ("bodyparts,nose,", "bodyparts,", "'bodyparts' has 6 cells and 'scorer' 7"),
        ("5,1,2,0.9,", "5,1,2,", "line 4 has 6 cells, not 7"),
        ("6,1.5", "six,1.5", "line 5, column 'frame' is 'six'"),
        ("5,1,2", "labeled-data/img05.png,1,2", "line 4, column 'frame' is 'labeled-data"),
        ("6,1.5", "-6,1.5", "column 'frame' is '-6'"),
    ],
)
def test_damage_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    """A half-written or foreign file must not become numbers in the wrong columns."""
    path = write(tmp_path, SINGLE.replace(old, new, 1))
    with pytest.raises(ReaderError, match=told) as caught:
        READER.read(path, ReaderParams())
    assert str(path) in str(caught.value)


def test_a_frame_that_comes_twice_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, SINGLE.replace("6,1.5", "5,1.5"))
    with pytest.raises(ValueError, match=r"videoDLC.csv: .*id 0 has more than one row in frame 5"):
        read_tracks(path, fps=30)


def test_header_only_is_an_empty_recording(tmp_path: Path) -> None:
    path = write(tmp_path, SINGLE.split("5,", maxsplit=1)[0])
    (recording,) = READER.read(path, ReaderParams())
    assert recording.table.shape == (0, 8)


@pytest.mark.parametrize(
    "content", ["scorer,S\n", "scorer,S\nbodyparts,a\n", "scorer\nbodyparts\ncoords\n"]
)
def test_a_header_cut_short_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(ReaderError, match=r"first cells are|names no keypoints"):
        READER.read(write(tmp_path, content), ReaderParams())


def test_the_rate_must_be_given(tmp_path: Path) -> None:
    """DeepLabCut files have none; a guess would scale every speed."""
    with pytest.raises(ReaderError, match=r"'deeplabcut' does not tell the frames per second.*fps"):
        read_tracks(write(tmp_path, SINGLE))


def test_a_real_mouse() -> None:
    """40 frames of a mouse; in the second file the snout of frames 0 and 1 is blank."""
    tracks = read_tracks(FIXTURES, fps=30)
    whole = tracks[EntryKey("", "openfield")]
    gaps = tracks[EntryKey("", "openfield_missing")]
    assert whole.height == gaps.height == 40
    assert whole["poseX0"][0] == 76.67398834228516
    assert np.flatnonzero(np.isnan(gaps["poseX0"].to_numpy())).tolist() == [0, 1]
    # The mean of the other three points: (72.5047… + 87.5722… + 142.5127…) / 3
    assert gaps["X"][0] == pytest.approx(
        (72.50476837158203 + 87.57228088378906 + 142.51271057128906) / 3
    )


@pytest.mark.parametrize(
    ("name", "animals", "keypoints", "rows"),
    [
        (
            "mice_dlc_h5/testDLC_csv_table_madlc.csv",
            ("mouse_black_tail", "mouse_white_tail"),
            14,
            191,
        ),
        ("quickstart_mice_pair/dlc/pair_aDLC.csv", ("adult", "juvenile"), 7, 1600),
    ],
)
def test_real_pairs_of_mice(name: str, animals: tuple[str, str], keypoints: int, rows: int) -> None:
    """Files as other laboratories have them; 97 x 2 rows less 3 without an animal."""
    path = FETCHED / name
    if not path.is_file():
        pytest.skip(f"the shared file {name} is not here")
    ((key, tracks),) = read_tracks(path, fps=30).items()
    assert key == EntryKey("", path.stem)
    assert tuple(tracks["individual"].unique(maintain_order=True)) == animals
    assert sum(column.startswith("poseX") for column in tracks.columns) == keypoints
    assert tracks.height == rows
