"""MABe22 files, made here in their layouts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.mabe22_npy import Mabe22Npy, Mabe22Params
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = Mabe22Npy()
ALLOWED = Mabe22Params(allow_pickle=True)
# Point k of animal a in frame t is at x = 100 a + 10 k + t, y = -x; 4 frames, 3 animals, 2 points.
X = np.arange(4)[:, None, None] + 100.0 * np.arange(3)[:, None] + 10 * np.arange(2)
POSES = np.stack([X, -X], axis=3)


def write(folder: Path, content: Any, name: str = "mice.npy") -> Path:
    path = folder / name
    np.save(path, content, allow_pickle=True)
    return path


@pytest.mark.parametrize("wrapped", [True, False], ids=["sequences", "direct"])
def test_both_layouts_have_the_file_as_group(tmp_path: Path, wrapped: bool) -> None:
    """Animal 2, point 1, frame 3: x = 200 + 10 + 3 = 213."""
    sequences = {"A/1": {"keypoints": POSES}, "B": {"keypoints": POSES[:2]}}
    content = {"vocabulary": ["lights"], "sequences": sequences} if wrapped else sequences
    path = write(tmp_path, content)
    assert detect(path).name == "mabe22_npy"
    tracks = read_tracks(path, format="mabe22_npy", fps=30, allow_pickle=True)
    assert list(tracks) == [EntryKey("mice", "A__1"), EntryKey("mice", "B")]
    row = tracks[EntryKey("mice", "A__1")].filter(id=2, frame=3).row(0, named=True)
    assert (row["poseX1"], row["poseY1"]) == (213.0, -213.0)
    assert READER.keypoints(path, ALLOWED) == ("keypoint0", "keypoint1")


def test_the_flat_form_is_one_centre_per_animal(tmp_path: Path) -> None:
    """Columns are x and y of animal 0, then of animal 1, and so on."""
    path = write(tmp_path, {"A": {"keypoints": [[1.0, 2.0, 3.0, 4.0]], "frame_rate": 150}})
    (recording,) = READER.read(path, ALLOWED)
    assert recording.keypoints == ("centroid",)
    assert recording.fps == 150.0
    assert recording.table.rows() == [(0, 0, 1.0, 2.0), (0, 1, 3.0, 4.0)]


@pytest.mark.parametrize(
    ("annotations", "columns"),
    [
        ([1, 0, 1, 1], {"label": [1, 0, 1, 1]}),
        ([[1, 0, 1, 1]], {"label": [1, 0, 1, 1]}),
        ([[1, 0, 1, 1], [0.5] * 4], {"annotation_0": [1, 0, 1, 1], "annotation_1": [0.5] * 4}),
    ],
)
def test_annotations_become_columns(
    tmp_path: Path, annotations: list[Any], columns: dict[str, list[float]]
) -> None:
    """Every animal gets the annotation of its frame."""
    path = write(tmp_path, {"A": {"keypoints": POSES, "annotations": np.array(annotations)}})
    (recording,) = READER.read(path, ALLOWED)
    extra = [name for name in recording.table.columns if name[:5] in ("label", "annot")]
    assert recording.table.select(extra).to_dict(as_series=False) == {
        name: values * 3 for name, values in columns.items()
    }


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"keypoints": POSES, "annotations": [1, 2]},
            r"4 frames and annotations of the shape \(2,",
        ),
        ({"keypoints": POSES[0]}, r"keypoints have the shape \(3, 2, 2\)"),
        ({"keypoints": [[1.0, 2.0, 3.0]]}, r"keypoints have the shape \(1, 3\)"),
        ({}, "has no 'keypoints'"),
    ],
)
def test_one_bad_sequence_does_not_stop_the_others(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    path = write(tmp_path, {"bad": fields, "good": {"keypoints": POSES}})
    names = READER.listed(path, ALLOWED)
    assert READER.read_one(path, ALLOWED, names[1]).table.height == 12
    with pytest.raises(ReaderError, match=f"sequence 'bad'.*{told}"):
        READER.read_one(path, ALLOWED, names[0])


def test_it_is_refused_unless_allowed(tmp_path: Path) -> None:
    """Also when another part of the program has just opened it."""
    path = write(tmp_path, {"A": {"keypoints": POSES}})
    READER.read(path, ALLOWED)
    for use in (
        lambda: READER.sequences(path),
        lambda: READER.read(path, Mabe22Params()),
        lambda: read_tracks(path, fps=30),
    ):
        with pytest.raises(ReaderError, match="allow_pickle=true"):
            use()


def test_sequences_that_become_one_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"a/b": {"keypoints": POSES}, "a__b": {"keypoints": POSES}})
    with pytest.raises(ReaderError, match="differ only in '/' and '__'"):
        READER.listed(path, ALLOWED)


@pytest.mark.parametrize("content", [{}, [1, 2], {"sequences": 3}])
def test_another_layout_is_an_error(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ReaderError, match="holds no dict of sequences"):
        READER.listed(write(tmp_path, np.array(content, dtype=object)), ALLOWED)
