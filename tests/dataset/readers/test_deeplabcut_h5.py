"""DeepLabCut files in HDF5."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.deeplabcut_h5 import DeepLabCutH5, DeepLabCutH5Params
from mosaic_dagster.dataset.reading import read_entry, read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = DeepLabCutH5()
PLAIN = DeepLabCutH5Params()


class Facts:
    fps = 30.0
    unit = "px"
    keypoints = ()


def columns(*names: str) -> list[tuple[str, ...]]:
    """x, y and likelihood of body parts, or of ``animal/part`` on four levels."""
    return [("S", *name.split("/"), coord) for name in names for coord in ("x", "y", "likelihood")]


@pytest.mark.parametrize("layout", ["write_fixed", "write_table"])
def test_one_animal(files: ModuleType, tmp_path: Path, layout: str) -> None:
    """Frames as the file says; likelihoods become confidences; no individual is invented."""
    values = [[1, 2, 0.9, 3, 4, 0.8], [5, 6, 0.1, np.nan, np.nan, 0.0]]
    path = getattr(files, layout)(tmp_path / "aDLC.h5", columns("nose", "ear"), values, [7, 9])
    (recording,) = READER.read(path, PLAIN)
    assert recording.keypoints == ("nose", "ear") == READER.keypoints(path, PLAIN)
    assert recording.table.columns == [
        *("frame", "id", "poseX0", "poseY0", "poseP0", "poseX1", "poseY1", "poseP1")
    ]
    assert recording.table.row(0) == (7, 0, 1.0, 2.0, 0.9, 3.0, 4.0, 0.8)
    assert np.isnan(recording.table.row(1)[5:7]).all()
    assert (recording.sequence, recording.fps) == ("aDLC", None)


def test_four_levels_are_several_animals(files: ModuleType, tmp_path: Path) -> None:
    """Numbered as they appear, which is not by alphabet; a part that one lacks is missing."""
    names = columns("white/nose", "white/ear", "black/nose")
    path = files.write_fixed(tmp_path / "a.h5", names, [[1, 1, 1, 2, 2, 1, 3, 3, 1]], [0])
    (recording,) = READER.read(path, PLAIN)
    rows = recording.table.select("id", "individual", "poseX0", "poseX1").rows()
    assert rows[0] == (0, "white", 1.0, 2.0)
    assert rows[1][:3] == (1, "black", 3.0)
    assert np.isnan(rows[1][3])


HIDDEN = columns("B_nose", "W_nose")


@pytest.mark.parametrize(
    ("prefixes", "names"),
    [
        ({"B_": "black", "W_": "white"}, ["black", "white"]),
        (["W_", "B_"], ["B", "W"]),
    ],
)
def test_animals_hidden_in_names_are_told_apart(
    files: ModuleType, tmp_path: Path, prefixes: Any, names: list[str]
) -> None:
    """As one animal with two noses, no distance between the two could be computed."""
    path = files.write_fixed(tmp_path / "a.h5", HIDDEN, [[1, 2, 1, 3, 4, 1]], [0])
    params = DeepLabCutH5Params(individual_prefixes=prefixes)
    (recording,) = READER.read(path, params)
    assert recording.keypoints == ("nose",) == READER.keypoints(path, params)
    rows = recording.table.select("id", "individual", "poseX0").rows()
    assert rows == [(0, names[0], 1.0), (1, names[1], 3.0)]
    assert recording.notes == {}


def test_hidden_animals_are_suspected(files: ModuleType, tmp_path: Path) -> None:
    """Whoever does not know of the parameter learns of it from the notes."""
    path = files.write_fixed(tmp_path / "a.h5", HIDDEN, [[1, 2, 1, 3, 4, 1]], [0])
    (recording,) = READER.read(path, PLAIN)
    assert recording.notes == {"possible_individual_prefixes": ["B_", "W_"]}
    plain = columns("left_ear", "right_ear", "nose")
    path = files.write_fixed(tmp_path / "b.h5", plain, [[1] * 9], [0])
    assert READER.read(path, PLAIN)[0].notes == {}


@pytest.mark.parametrize(
    ("names", "prefixes", "told"),
    [
        (columns("B_nose", "tail"), ["B_"], "'tail' begins with none of B_"),
        (columns("B_", "B_nose"), ["B_"], "'B_' begins with none"),
        (columns("m/nose"), ["B_"], "the file names individuals itself"),
    ],
)
def test_prefixes_that_do_not_fit_are_refused(
    files: ModuleType, tmp_path: Path, names: Any, prefixes: Any, told: str
) -> None:
    path = files.write_fixed(tmp_path / "a.h5", names, [[1.0] * len(names)], [0])
    with pytest.raises(ReaderError, match=told):
        READER.read(path, DeepLabCutH5Params(individual_prefixes=prefixes))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([("S", "nose", "x"), ("S", "nose", "z")], "'nose', 'z'"),
        ([("S", "nose", "x"), ("S", "nose", "likelihood")], "nose has no y"),
        ([("nose", "x"), ("nose", "y")], r"\('nose', 'x'\), not \(scorer"),
        ([("S", "nose", "x"), ("T", "nose", "x")], "nose x is there twice"),
    ],
)
def test_a_foreign_header_is_refused(
    files: ModuleType, tmp_path: Path, names: Any, told: str
) -> None:
    path = files.write_fixed(tmp_path / "a.h5", names, [[1.0, 2.0]], [0])
    with pytest.raises(ReaderError, match=told):
        READER.read(path, PLAIN)


def test_the_one_key_is_taken_whatever_its_name(files: ModuleType, tmp_path: Path) -> None:
    """Only DeepLabCut itself calls it df_with_missing; other programs keep the content."""
    path = files.write_fixed(tmp_path / "a.h5", columns("nose"), [[1, 2, 1]], [0], key="tracks")
    assert detect(path).name == READER.name
    assert READER.read(path, PLAIN)[0].table.height == 1
    files.write_fixed(path, columns("nose"), [[5, 5, 1]], [0], key="other")
    with pytest.raises(ReaderError, match=r"a.h5 holds 2 tables: other, tracks"):
        READER.read(path, PLAIN)
    files.write_fixed(path, columns("nose"), [[8, 8, 1]], [0])
    assert READER.read(path, PLAIN)[0].table["poseX0"].to_list() == [8.0]


def test_zero_points_are_missing_and_counted(files: ModuleType, tmp_path: Path) -> None:
    """(0, 0) with likelihood 0 is no animal in the corner of the picture."""
    values = [[0, 0, 0, 4, 6, 1], [2, 2, 1, 0, 0, 0.5], [np.inf, 1, 1, 2, 2, 1]]
    path = files.write_fixed(tmp_path / "a.h5", columns("nose", "ear"), values, [0, 1, 2])
    rule = SourceRule(path=str(path), format=READER.name)
    table, repairs = read_entry([path], rule, Facts(), EntryKey("", "a"))
    assert (repairs.zero_points, repairs.infinite_values) == (1, 1)
    assert table["X"].to_list() == [4.0, 1.0, 2.0]


REAL = "mice_dlc_h5/testDLC_h5_table"


def test_a_real_mouse(fetched: Callable[[str], Path]) -> None:
    """100 frames of 14 keypoints under the key df."""
    ((key, table),) = read_tracks(fetched(f"{REAL}.h5"), fps=25).items()
    assert key == EntryKey("", "testDLC_h5_table")
    assert table.height == 100
    assert sum(column.startswith("poseX") for column in table.columns) == 14


def test_real_mice_hidden_in_prefixes(fetched: Callable[[str], Path]) -> None:
    """Two mice of 14 keypoints in 100 x 84 numbers; without the parameter one of 28."""
    path = fetched(f"{REAL}_multi.h5")
    ((_, table),) = read_tracks(path, fps=25, individual_prefixes=["B_", "W_"]).items()
    assert table.group_by("individual").len().sort("individual").rows() == [("B", 100), ("W", 100)]
    assert sum(column.startswith("poseX") for column in table.columns) == 14
    (recording,) = READER.read(path, PLAIN)
    assert len(recording.keypoints) == 28
    assert recording.notes == {"possible_individual_prefixes": ["B_", "W_"]}


def test_real_zero_points(fetched: Callable[[str], Path]) -> None:
    """700 of the 2800 points of two mice are (0, 0) with likelihood 0; the key is tracks."""
    path = fetched(f"{REAL}_madlc.h5")
    rule = SourceRule(path=str(path), format=READER.name)
    key = EntryKey("", path.stem)
    table, repairs = read_entry([path], rule, Facts(), key)
    assert repairs.zero_points == 700
    assert repairs.rows_read * 14 == 2800
    names = table["individual"].unique(maintain_order=True).to_list()
    assert names == ["mouse_black_tail", "mouse_white_tail"]
    assert table.select((table["poseX0"] == 0).any()).item() is False
