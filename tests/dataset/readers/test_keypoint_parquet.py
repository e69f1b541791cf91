"""Parquet tables of tracks."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.keypoint_parquet import KeypointParquet, KeypointParquetParams
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError, TracksError
from mosaic_dagster.keys import EntryKey

READER = KeypointParquet()
DISHES = Path(__file__).parents[4] / "shared" / "data" / "from_registry" / "larva_dishes"


def write(folder: Path, columns: dict[str, Any], name: str = "walk.parquet") -> Path:
    path = folder / name
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_columns_become_tracks_columns(tmp_path: Path) -> None:
    """As csv: keypoints are numbered as they first appear; what else is there stays."""
    path = write(
        tmp_path,
        {"tail_y": [1], "frame": [7], "head_x": [3.0], "tail_x": [2], "head_y": [4.0]}
        | {"head_p": [0.5], "flag": [2], "track": [5]},
    )
    assert detect(path).name == "keypoint_parquet"
    (recording,) = READER.read(path, KeypointParquetParams())
    assert (
        recording.keypoints == READER.keypoints(path, KeypointParquetParams()) == ("tail", "head")
    )
    assert recording.table.to_dicts() == [
        {"poseY0": 1, "frame": 7, "poseX1": 3.0, "poseX0": 2, "poseY1": 4.0}
        | {"poseP1": 0.5, "flag": 2, "id": 5}
    ]


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_named_animals_are_numbered_and_keep_their_names(tmp_path: Path, dtype: Any) -> None:
    names = pl.Series(["queen", "worker", "queen"], dtype=dtype)
    path = write(tmp_path, {"frame": [0, 0, 1], "id": names, "X": [1.0] * 3, "Y": [2.0] * 3})
    tracks = read_tracks(path, fps=1)[EntryKey("", "walk")]
    assert tracks.select("id", "individual").rows() == [(0, "queen"), (0, "queen"), (1, "worker")]


def test_exported_tracks_come_back_as_they_were(tmp_path: Path) -> None:
    """The table has its own group, sequence and frame rate; nothing needs to be said again."""
    first = write(
        tmp_path,
        {"frame": [3, 4, 3], "id": [0, 0, 1], "a_x": [1.0, 2.0, 3.0], "a_y": [1.0, None, 3.0]}
        | {"note": ["x", None, "z"]},
    )
    tracks = read_tracks(first, fps=12.5)[EntryKey("", "walk")]
    exported = tmp_path / "export.parquet"
    tracks.write_parquet(exported)
    again = read_tracks(exported)[EntryKey("", "walk")]
    assert again.equals(tracks)
    assert READER.keypoints(exported, KeypointParquetParams()) == ("keypoint0",)
    assert READER.keypoints(exported, KeypointParquetParams(names=("a",))) == ("a",)


def test_a_table_may_hold_many_recordings(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"frame": [0, 0, 0], "poseX0": [1.0, 2.0, 3.0], "poseY0": [1.0, 2.0, 3.0]}
        | {"group": ["g", "h", "g"], "sequence": ["s", "s", "t"], "fps": [5.0, 6.0, 5.0]},
    )
    tracks = read_tracks(path)
    found = {(key.group, key.sequence): (t["X"][0], t["fps"][0]) for key, t in tracks.items()}
    assert found == {("g", "s"): (1.0, 5.0), ("g", "t"): (3.0, 5.0), ("h", "s"): (2.0, 6.0)}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"a_x": [1.0], "a_y": [1.0]}, "has no column 'frame'; it has a_x, a_y"),
        ({"frame": [0], "a_x": [1.0]}, r"'a_x' is there without its partner.*ignore=\['a_x'\]"),
        ({"frame": [0], "a_x": ["1"], "a_y": [1.0]}, "the column 'a_x' holds String|'poseX0'"),
        ({"frame": ["0"], "X": [1.0], "Y": [1.0]}, "the column 'frame' holds String"),
        (
            {"frame": [0], "a_x": [1.0], "a_y": [1.0], "a_p": [1.0], "a_confidence": [1.0]},
            "'a_p' and another one say the same",
        ),
        (
            {"frame": [0], "id": pl.Series([None], dtype=pl.String), "X": [1.0], "Y": [1.0]},
            "the column 'id' is empty in row 0",
        ),
        ({"frame": [0, 1], "X": [1.0] * 2, "Y": [1.0] * 2, "fps": [5, 6]}, "several values"),
        ({"frame": [0], "X": [1.0], "Y": [1.0], "sequence": [""]}, "rows without a sequence"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, columns: dict[str, Any], told: str) -> None:
    path = write(tmp_path, columns)
    with pytest.raises(ReaderError, match=told) as caught:
        READER.read(path, KeypointParquetParams())
    assert str(path) in str(caught.value)


def test_columns_can_be_left_out(tmp_path: Path) -> None:
    """A velocity in tracks is refused; it is a feature, computed one way for all formats."""
    path = write(tmp_path, {"frame": [0], "X": [1.0], "Y": [1.0], "VX": [0.0], "odd_x": [1.0]})
    with pytest.raises(TracksError, match=r"'VX'.*Drop it"):
        read_tracks(path, format="keypoint_parquet", fps=1, ignore=("odd_x",))
    tables = read_tracks(path, format="keypoint_parquet", fps=1, ignore=("VX", "odd_x"))
    assert "VX" not in tables[EntryKey("", "walk")].columns


@pytest.mark.parametrize(
    "columns",
    [
        {"frame": [0], "id1": [0], "id2": [1], "d_x": [1.0], "d_y": [1.0]},
        {"frame": [0], "speed": [1.0]},
        {"a_x": [1.0], "a_y": [1.0]},
    ],
    ids=["pairs", "a feature", "no frame"],
)
def test_other_tables_are_not_taken_for_tracks(tmp_path: Path, columns: dict[str, Any]) -> None:
    assert not READER.sniff(write(tmp_path, columns))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 broken PAR1", b"frame,a_x,a_y\n"])
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "walk.parquet"
    path.write_bytes(content)
    assert not READER.sniff(path)
    with pytest.raises(ReaderError, match=r"walk.parquet is not a readable parquet file"):
        READER.read(path, KeypointParquetParams())


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="cannot be read: No such file"):
        READER.read(tmp_path / "gone.parquet", KeypointParquetParams())


@pytest.mark.skipif(not DISHES.is_dir(), reason="the recorded larvae are not here")
def test_real_dishes() -> None:
    """38 larvae in two dishes, each with its own span of frames; flags are kept (SOURCES.md)."""
    tracks = read_tracks(DISHES, fps=16.0)
    assert [table["id"].n_unique() for table in tracks.values()] == [18, 20]
    first = tracks[EntryKey("", "dish01")]
    assert first["source_track_id"][0] == 3
    assert (first["frame"].min(), first["frame"].max()) == (1, 2880)
    assert set(first["flag"]) == {0, 1, 2}
    assert first["poseX0"][0] == pytest.approx(-6.56273, abs=1e-5)
    assert READER.keypoints(DISHES / "dish01.parquet", KeypointParquetParams()) == (
        "head",
        "neck",
        "mid",
        "hind",
        "tail",
    )
