"""TRex files, one per animal."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.base import Recording
from mosaic_dagster.dataset.readers.trex_npz import TrexNpz, TrexParams
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError, TracksError
from mosaic_dagster.keys import EntryKey

READER = TrexNpz()
GUPPIES = Path(__file__).parents[4] / "shared" / "data" / "from_fetch" / "guppies_trex_npz"
INF = np.inf
FLOAT = np.float32


def write(folder: Path, name: str = "tank_fish3.npz", **arrays: Any) -> Path:
    """Four frames from frame 5 at 25 per second; not found in the third of them."""
    made: dict[str, Any] = {
        "X#wcentroid": FLOAT([1, 2, INF, 4]),
        "Y#wcentroid": FLOAT([5, 6, INF, 8]),
        "X": FLOAT([1.5, 2.5, INF, 4.5]),
        "Y": FLOAT([5.5, 6.5, INF, 8.5]),
        "ANGLE": FLOAT([0, 0.5, INF, 1]),
        "SPEED#wcentroid": FLOAT([0, 1, INF, 1]),
        "num_pixels": FLOAT([200, 210, INF, 220]),
        "frame": FLOAT([5, 6, 7, 8]),
        "time": FLOAT([0.2, 0.24, 0.28, 0.32]),
        "missing": FLOAT([0, 0, 1, 0]),
        "frame_segments": np.int32([[5, 6], [8, 8]]),
    }
    path = folder / name
    np.savez(path, **{k: v for k, v in (made | arrays).items() if v is not None})
    return path


def read(path: Path, **params: Any) -> Recording:
    (recording,) = READER.read(path, TrexParams(**params))
    return recording


def test_the_centre_is_the_weighted_one_and_the_head_is_kept(tmp_path: Path) -> None:
    """Bare X and Y are the head: taken as the centre, every distance is off by half a body.

    Infinite means missing; frames are stored as floats; what is derived is left out.
    """
    path = write(tmp_path)
    assert detect(path).name == "trex_npz"
    tracks = read_tracks(path)[EntryKey("", "tank")]
    assert tracks.select("frame", "id", "X", "Y", "X#head", "Y#head", "ANGLE").rows() == [
        (5, 0, 1.0, 5.0, 1.5, 5.5, 0.0),
        (6, 0, 2.0, 6.0, 2.5, 6.5, 0.5),
        (8, 0, 4.0, 8.0, 4.5, 8.5, 1.0),
    ]
    assert tracks["num_pixels"].to_list() == [200.0, 210.0, 220.0]
    assert not {"SPEED#wcentroid", "X#wcentroid", "missing"} & set(tracks.columns)
    assert read(path).unit == "cm"


def test_frame_rate_comes_from_the_times(tmp_path: Path) -> None:
    """Times are single precision: 0.28 - 0.24 is 0.0400000066; 25 must not become 24.999996."""
    assert read(write(tmp_path)).fps == 25.0


def test_late_times_are_too_coarse_for_one_frame(tmp_path: Path) -> None:
    """After 3 hours single precision counts in steps of 1/1024 s; 41/1024 s would be 24.98."""
    frame = np.arange(270_000, 272_000)
    values = FLOAT(np.zeros(2000))
    same = dict.fromkeys(("X#wcentroid", "Y#wcentroid", "missing"), values)
    path = write(tmp_path, frame=frame, time=FLOAT(frame / 25), X=None, Y=None, **same)
    assert read(path).fps == pytest.approx(25.0, abs=0.001)


@pytest.mark.parametrize(
    ("arrays", "fps"),
    [
        ({"time": None, "frame_rate": np.array([30.0])}, 30.0),
        ({"time": FLOAT([0, 0, 0, 0]), "frame_rate": np.array(30)}, 30.0),
        ({"time": None}, None),
        ({"frame": FLOAT([0, 2, 4, 6])}, 50.0),
    ],
    ids=["stored", "times of no use", "not told", "every second frame"],
)
def test_other_sources_of_the_frame_rate(
    tmp_path: Path, arrays: dict[str, Any], fps: float | None
) -> None:
    assert read(write(tmp_path, **arrays)).fps == fps


@pytest.mark.parametrize(
    ("name", "sequence", "animal"),
    [
        ("tank_fish3", "tank", 3),
        ("a_b_id12", "a_b", 12),
        ("hive_bee0", "hive", 0),
        ("x_animal1", "x", 1),
        ("x_ind2", "x", 2),
        ("tank", "tank", 0),
        ("_fish1", "_fish1", 0),
    ],
)
def test_the_entry_has_the_name_without_the_animal(
    tmp_path: Path, name: str, sequence: str, animal: int
) -> None:
    """Otherwise each fish of a shoal becomes a recording of its own, without neighbours."""
    path = write(tmp_path, f"{name}.npz")
    assert READER.sequences(path) == [(None, sequence)]
    assert read(path).sequence == sequence
    assert set(read(path).table["id"]) == {animal}


@pytest.mark.parametrize("told", [np.array(7), FLOAT([7, 7, INF, 7])])
def test_an_id_in_the_file_wins(tmp_path: Path, told: Any) -> None:
    assert set(read(write(tmp_path, id=told)).table["id"]) == {7}


def test_a_file_of_two_animals_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"'id' holds \[7.0, 8.0\], not one whole number"):
        read(write(tmp_path, id=FLOAT([7, 7, 8, 8])))


def test_files_of_one_video_make_one_entry(tmp_path: Path) -> None:
    """Ids become dense, the number of the file stays; fields may differ and be in any order."""
    write(tmp_path, "tank_fish3.npz")
    write(tmp_path, "tank_fish8.npz", extra=FLOAT([1, 2, 3, 4]), frame=FLOAT([9, 10, 11, 12]))
    tracks = read_tracks(tmp_path)[EntryKey("", "tank")]
    assert tracks.height == 6
    assert dict(tracks.select("id", "source_track_id").unique().rows()) == {0: 3, 1: 8}
    assert tracks["extra"].is_nan().sum() == 3


def test_two_files_for_one_animal_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "tank_fish3.npz")
    write(tmp_path, "tank_id3.npz")
    with pytest.raises(TracksError, match="id 3 has more than one row in frame 5"):
        read_tracks(tmp_path)


def test_a_frame_that_is_marked_missing_has_no_row(tmp_path: Path) -> None:
    """Whatever the position says there."""
    path = write(tmp_path, missing=FLOAT([0, 1, 1, 0]))
    assert read_tracks(path)[EntryKey("", "tank")]["frame"].to_list() == [5, 8]


def test_arrays_of_other_lengths(tmp_path: Path) -> None:
    """Short fields are filled, long ones cut, lists of other things and texts left out."""
    path = write(
        tmp_path,
        ANGLE=FLOAT([0.5, 0.5]),
        num_pixels=FLOAT([1, 2, 3, 4, 5, 6]),
        events=FLOAT([1, 2]),
        corners=np.arange(8.0).reshape(4, 2),
        video=np.array(["tank.mp4"]),
        threshold=np.array([9]),
    )
    table = read(path).table
    assert table["ANGLE"].is_nan().to_list() == [False, False, True, True]
    assert table["num_pixels"].to_list() == [1, 2, 3, 4]
    assert table["corners_1"].to_list() == [1, 3, 5, 7]
    assert table["threshold"].to_list() == [9] * 4
    assert not {"events", "frame_segments", "video", "frame_segments_0"} & set(table.columns)


def test_without_frames_and_times_rows_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, time=None, frame=None)
    assert read(path).table["frame"].to_list() == [0, 1, 2, 3]


def test_pixels_are_asked_for(tmp_path: Path) -> None:
    """With 0.5 cm per pixel 4 cm are 8 px; angles and counts of pixels stay."""
    path = write(tmp_path, cm_per_pixel=np.array([0.5]))
    recording = read(path, unit="px")
    assert recording.unit == "px"
    assert recording.table["X"][3] == 8.0
    assert recording.table["X#head"][3] == 9.0
    assert recording.table["ANGLE"][3] == 1.0
    assert recording.table["num_pixels"][3] == 220.0
    assert "cm_per_pixel" not in recording.table.columns
    assert read(path).table["X"][3] == 4.0


def test_an_uncalibrated_file_is_in_pixels(tmp_path: Path) -> None:
    """635 under the name of centimetres: one pixel was said to be 1 cm."""
    path = write(tmp_path, cm_per_pixel=np.array([1.0]), mystery=FLOAT([1, 2, 3, 4]))
    assert read(path).unit == "px"
    assert read(path, unit="px").table["mystery"].to_list() == [1, 2, 3, 4]
    assert read(path, unit="cm").unit == "cm"


@pytest.mark.parametrize(
    ("arrays", "params", "told"),
    [
        ({}, {"unit": "px"}, "does not tell cm_per_pixel.*Give cm_per_pixel"),
        ({"cm_per_pixel": np.array([0.0])}, {}, "cm_per_pixel is 0.0"),
        ({}, {"unit": "px", "cm_per_pixel": -1}, "cm_per_pixel is -1"),
        (
            {"mystery": FLOAT([1, 2, 3, 4])},
            {"unit": "px", "cm_per_pixel": 0.5},
            r"whether the field 'mystery' is a length.*ignore=\['mystery'\]",
        ),
        ({"X#wcentroid": None}, {}, "has no 'X#wcentroid'"),
        ({"Y#wcentroid": None}, {}, "has no 'Y#wcentroid'"),
        ({"odd": np.array([{}, 1], dtype=object)}, {}, "not a readable npz file of plain arrays"),
    ],
)
def test_what_cannot_be_read_is_told(
    tmp_path: Path, arrays: dict[str, Any], params: dict[str, Any], told: str
) -> None:
    with pytest.raises(ReaderError, match=told):
        read(write(tmp_path, **arrays), **params)


def test_fields_can_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, mystery=FLOAT([1, 2, 3, 4]))
    assert "mystery" not in read(path, ignore=("mystery",), unit="px", cm_per_pixel=1.0).table


def test_pose_points_are_numbered(tmp_path: Path) -> None:
    """With a pose network the files have points of the body besides the centre."""
    pose = {f"pose{axis}{k}": FLOAT([k] * 4) for axis in "XY" for k in range(2)}
    path = write(tmp_path, **pose)
    assert (
        read(path).keypoints == READER.keypoints(path, TrexParams()) == ("keypoint0", "keypoint1")
    )
    assert read(path, names=("nose", "tail")).keypoints == ("nose", "tail")
    assert read(path, unit="px", cm_per_pixel=0.5).table["poseX1"][0] == 2.0


@pytest.mark.parametrize("cut", [0, 40, -30])
def test_a_damaged_file_is_an_error(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ReaderError, match=r"tank_fish3\.npz"):
        read(path)
    with pytest.raises(ReaderError, match=r"No reader recognises|is empty"):
        detect(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="cannot be read: No such file"):
        read(tmp_path / "gone.npz")


@pytest.mark.skipif(not GUPPIES.is_dir(), reason="the recorded guppies are not here")
def test_real_guppies() -> None:
    """8 fish; fish 7 starts at frame 9 with 491 rows; 93 frames of fish 0 are missing in raw."""
    tracks = read_tracks(GUPPIES, format="trex_npz")
    assert list(tracks) == [EntryKey("corrected", "test"), EntryKey("raw", "test")]
    raw = tracks[EntryKey("raw", "test")]
    assert raw["id"].unique().sort().to_list() == list(range(8))
    assert raw["fps"][0] == 25.0
    counts = dict(raw.group_by("id").len().rows())
    assert (counts[0], counts[1], counts[2], counts[7]) == (500 - 93, 500 - 42, 500, 491 - 120)
    assert raw.filter(id=7).row(0, named=True)["frame"] == 9
    assert raw.filter(id=7)["time"][0] == pytest.approx(0.36)
    assert raw.filter(id=7)["X"][0] == pytest.approx(8.989331)
    assert not tracks[EntryKey("corrected", "test")].equals(raw)
