"""idtracker.ai trajectories."""

from pathlib import Path

import numpy as np
import pytest

from mosaic_dagster.dataset.readers import detect
from mosaic_dagster.dataset.readers.idtrackerai import IdTracker, IdTrackerParams
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey

READER = IdTracker()
ALLOWED = IdTrackerParams(allow_pickle=True)
FISH = Path(__file__).parents[4] / "shared" / "data" / "from_fetch" / "fish_idtrackerai"


def write(folder: Path, **content: object) -> Path:
    """Animal a in frame t is at (10 a + t, -t); animal 1 is not found in frame 0."""
    points = np.array([[[0, 0], [np.nan, np.nan]], [[1, -1], [11, -1]], [[2, -2], [12, -2]]])
    made: dict[str, object] = {"trajectories": points, "frames_per_second": 32, "body_length": 70.5}
    path = folder / "trajectories.npy"
    np.save(path, made | content, allow_pickle=True)  # type: ignore[arg-type]
    return path


def test_points_are_centres_and_the_rate_is_the_files(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert detect(path).name == "idtrackerai"
    (tracks,) = read_tracks(path, format="idtrackerai", allow_pickle=True).values()
    assert tracks.select("frame", "id", "X", "Y").rows() == [
        (0, 0, 0.0, 0.0),
        (1, 0, 1.0, -1.0),
        (2, 0, 2.0, -2.0),
        (1, 1, 11.0, -1.0),
        (2, 1, 12.0, -2.0),
    ]
    assert tracks["time"][1] == 1 / 32


def test_probabilities_and_names_stay_with_their_animal(tmp_path: Path) -> None:
    """An interpolated position has no probability, and is a position none the less."""
    sure = np.array([[0.9, np.nan], [0.8, np.nan], [0.7, 0.6]])[:, :, None]
    path = write(tmp_path, id_probabilities=sure, identities_labels=["red", "blue"])
    (recording,) = READER.read(path, ALLOWED)
    assert recording.unit == "px"
    np.testing.assert_array_equal(recording.table["det_conf"], sure[:, :, 0].T.ravel())
    assert recording.table["individual"].to_list() == ["red"] * 3 + ["blue"] * 3


def test_it_is_refused_unless_allowed(tmp_path: Path) -> None:
    """At reading, and already when files are looked for."""
    path = write(tmp_path)
    for use in (
        lambda: READER.read(path, IdTrackerParams()),
        lambda: READER.listed(path, IdTrackerParams()),
        lambda: read_tracks(path),
    ):
        with pytest.raises(ReaderError, match="allow_pickle=true"):
            use()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"trajectories": np.zeros((3, 2))}, r"trajectories have the shape \(3, 2\)"),
        ({"trajectories": "gone"}, "trajectories: not an array of numbers"),
        ({"id_probabilities": np.zeros((2, 3, 1))}, r"id_probabilities have the shape \(2, 3, 1\)"),
        ({"frames_per_second": 0}, "the frame rate is 0"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, content: dict[str, object], told: str) -> None:
    with pytest.raises(ReaderError, match=told):
        READER.read(write(tmp_path, **content), ALLOWED)


@pytest.mark.skipif(not FISH.is_dir(), reason="the recorded fish are not here")
@pytest.mark.parametrize(
    ("name", "frames", "animals", "rate", "missing"),
    [
        ("test_trajectories_idtrackerai", 508, 8, 28, 86),
        ("trajectories_with_points", 1000, 15, 32, 14),
    ],
)
def test_real_fish(name: str, frames: int, animals: int, rate: int, missing: int) -> None:
    """Two versions of the format; each missing position is two NaN values (SOURCES.md)."""
    path = FISH / f"{name}.npy"
    assert detect(path).name == "idtrackerai"
    tracks = read_tracks(path, format="idtrackerai", allow_pickle=True)[EntryKey("", name)]
    assert tracks.height == frames * animals - missing // 2
    assert tracks["id"].n_unique() == animals
    assert tracks["fps"][0] == rate
    plain = np.load(path, allow_pickle=True).item()["trajectories"]
    frame, animal, x, y = tracks.select("frame", "id", "X", "Y").row(1000)
    assert plain[frame, animal].tolist() == [x, y]
