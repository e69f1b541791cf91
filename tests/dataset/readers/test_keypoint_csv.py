"""Plain csv with named keypoints."""

from pathlib import Path

import numpy as np
import pytest

from mosaic_dagster.dataset.readers.base import ReaderParams, Recording
from mosaic_dagster.dataset.readers.keypoint_csv import KeypointCsv, KeypointCsvParams
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = KeypointCsv()
LARVAE = Path(__file__).parents[3] / "recordings" / "larvae"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "walk.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, **params: object) -> Recording:
    (recording,) = READER.read(path, KeypointCsvParams(**params))
    return recording


def test_columns_become_tracks_columns(tmp_path: Path) -> None:
    """Keypoints are numbered as they first appear: tail is 0 here, head 1."""
    path = write(tmp_path, "tail_y,frame,head_x,tail_x,head_y,head_p\n1,7,3,2,4,0.5\n")
    recording = read(path)
    assert recording.sequence == "walk"
    assert recording.keypoints == ("tail", "head") == READER.keypoints(path, KeypointCsvParams())
    assert recording.table.to_dicts() == [
        {"frame": 7, "id": 0, "poseY0": 1, "poseX1": 3, "poseX0": 2, "poseY1": 4, "poseP1": 0.5}
    ]


@pytest.mark.parametrize("ending", ["p", "confidence", "likelihood"])
def test_confidences_have_three_names(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, f"frame,a_x,a_y,a_{ending}\n0,1,2,0.25\n")
    assert read(path).table["poseP0"].to_list() == [0.25]


@pytest.mark.parametrize("column", ["id", "track"])
def test_several_animals_keep_their_numbers(tmp_path: Path, column: str) -> None:
    path = write(tmp_path, f"frame,{column},a_x,a_y\n0,3,1,2\n0,5,3,4\n")
    assert read(path).table["id"].to_list() == [3, 5]


def test_named_animals_are_numbered_and_keep_their_names(tmp_path: Path) -> None:
    """A name is an identity too; it must not be refused as text in a number."""
    path = write(tmp_path, "frame,id,a_x,a_y\n0,queen,1,2\n0,worker,3,4\n1,queen,1,2\n")
    table = read(path).table
    assert table["id"].to_list() == [0, 1, 0]
    assert table["individual"].to_list() == ["queen", "worker", "queen"]


def test_a_centre_and_a_time_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path, "frame,time,X,Y\n0,0.1,1,2\n")
    assert read(path).table.to_dicts() == [{"frame": 0, "id": 0, "time": 0.1, "X": 1.0, "Y": 2.0}]


@pytest.mark.parametrize("cell", ["", "  ", "nan", "NaN", "NA", "null"])
def test_missing_values_are_nan(tmp_path: Path, cell: str) -> None:
    """Spreadsheets and R spell a missing value in many ways."""
    table = read(write(tmp_path, f"frame,a_x,a_y\n0,{cell},2\n")).table
    assert np.isnan(table["poseX0"][0])
    assert table["poseX0"].null_count() == 0


@pytest.mark.parametrize(
    "content",
    [
        "frame, a_x ,a_y\n 0 , 1.5 ,2\n",
        "\ufeffframe,a_x,a_y\r\n0,1.5,2\r\n",
        'frame,"a_x",a_y\n"0","1.5",2\n',
        "\n\nframe,a_x,a_y\n\n0,1.5,2\n\n",
        "frame,a_x,a_y\n0.0,1.5e0,2",
    ],
    ids=["padded", "windows", "quoted", "blank lines", "floats"],
)
def test_spellings_of_the_same_table(tmp_path: Path, content: str) -> None:
    """Excel, R and hand-written files differ in such ways and mean the same."""
    assert read(write(tmp_path, content)).table.rows() == [(0, 0, 1.5, 2.0)]


def test_a_header_without_rows_is_an_empty_recording(tmp_path: Path) -> None:
    """An animal that was never found has a file too."""
    table = read(write(tmp_path, "frame,a_x,a_y\n")).table
    assert table.shape == (0, 4)
    tracks = read_tracks(tmp_path, fps=10)[EntryKey("", "walk")]
    assert tracks.height == 0
    assert "poseX0" in tracks.columns


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b" \n\n", r"is empty \(3 bytes\)"),
        (b"frame,a_x,a_y\n0,\xe4,1\n", "line 2 is not UTF-8 text .byte 0xe4"),
        ("frame,a_x,a_y\n0,oops,1\n", "line 2, column 'a_x' is 'oops'"),
        ("frame,a_x,a_y\n\n0,1,1\n\n1,2,1 px\n", "line 5, column 'a_y' is '1 px'"),
        ('frame,a_x,a_y\n0,"1,5",2\n', "line 2, column 'a_x' is '1,5'"),
        ("frame,a_x\n0,1\n", "'a_x' is there without 'a_y'"),
        ("frame,a_y,b_x,b_y\n0,1,1,1\n", "'a_y' is there without 'a_x'"),
        ("frame,X\n0,1\n", "'X' is there without 'Y'"),
        ("frame,a_x,a_y,b_p\n0,1,1,1\n", "confidence of 'b' without coordinates"),
        ("a_x,a_y\n1,1\n", "line 1: the header has no column 'frame'.*it is: a_x, a_y"),
        ("0,1.5,2.5\n1,1.5,2.5\n", "no column 'frame'.*it is: 0, 1.5, 2.5"),
        ("frame;a_x;a_y\n0;1;2\n", "no column 'frame'.*not separated by commas"),
        ("frame,a_x,a_y,a_x\n0,1,1,1\n", "the column 'a_x' twice"),
        ("frame,a_x,a_y,\n0,1,1,1\n", "column 4 of the header has no name"),
        ("frame,a_x,a_y,a_p,a_confidence\n0,1,1,1,1\n", "'a_p' and 'a_confidence' say the same"),
        ("frame,id,track,a_x,a_y\n0,0,0,1,1\n", "both 'id' and 'track'"),
        ("frame,a_x,a_y,speed\n0,1,1,1\n", r"'speed' is neither .*ignore=\['speed'\]"),
        ("frame,_x,_y\n0,1,1\n", "'_x' is neither"),
        ("frame,time\n0,1\n", "has no coordinates"),
        ("frame,a_x,a_y\n0,1\n", "line 2 has 2 cells, not 3"),
        ("frame,a_x,a_y\n0,1,2\n1,1,2,3\n", "line 3 has 4 cells, not 3"),
        ("frame,a_x,a_y\n,1,2\n", "line 2, column 'frame' is empty"),
        ("frame,a_x,a_y\n0,1,2\n-1,1,2\n", "line 3, column 'frame' is '-1'"),
        ("frame,a_x,a_y\n0.5,1,2\n", "line 2, column 'frame' is '0.5'"),
        ("frame,a_x,a_y\nnan,1,2\n", "line 2, column 'frame' is 'nan'"),
        ("frame,a_x,a_y\nframe,a_x,a_y\n", "line 2, column 'frame' is 'frame'"),
        ("frame,id,a_x,a_y\n0,,1,2\n", "line 2, column 'id' is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, content: str | bytes, told: str
) -> None:
    """Without file, line, column and value nobody finds one bad cell among a million."""
    path = write(tmp_path, content)
    with pytest.raises(ReaderError, match=told) as caught:
        READER.read(path, KeypointCsvParams())
    assert str(path) in str(caught.value)
    assert caught.value.remedy


def test_columns_can_be_left_out_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "frame,a_x,a_y,speed,box_x\n0,1,1,1,1\n")
    recording = read(path, ignore=("speed", "box_x"))
    assert recording.keypoints == ("a",)
    assert recording.table.columns == ["frame", "id", "poseX0", "poseY0"]
    assert READER.keypoints(path, KeypointCsvParams(ignore=("speed", "box_x"))) == ("a",)


def test_parameters_of_other_readers_are_not_needed(tmp_path: Path) -> None:
    path = write(tmp_path, "frame,a_x,a_y\n0,1,1\n")
    assert READER.read(path, ReaderParams())[0].table.height == 1


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="cannot be read: No such file"):
        READER.read(tmp_path / "gone.csv", KeypointCsvParams())


def test_one_huge_cell_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """The csv module refuses cells above 128 KiB; the user still gets a place."""
    with pytest.raises(ReaderError, match="line 1: the header has no column 'frame'"):
        READER.read(write(tmp_path, "x" * 200_000), KeypointCsvParams())


def test_real_larvae() -> None:
    """Sixteen recordings; 22,997 rows of which 827 were blanked by the lab (metadata.json)."""
    tracks = read_tracks(LARVAE, fps=16.0)
    assert len(tracks) == 16
    assert sum(table.height for table in tracks.values()) == 22_997 - 827
    first = tracks[EntryKey("dish01", "larva_007")]
    assert first["frame"][0] == 1
    assert first["time"][0] == 1 / 16
    # (7.42 + 6.71 + 6.03 + 5.29 + 4.78) / 5 = 6.046, (8.81 + 7.74 + 6.55 + 5.4 + 4.64) / 5 = 6.628
    assert (first["X"][0], first["Y"][0]) == pytest.approx((6.046, 6.628))
