"""Tables as xarray data sets and back."""

import importlib.util
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mosaic_dagster.dataset.tracks import normalize_tracks
from mosaic_dagster.dataset.xarray_bridge import (
    features_to_xarray,
    from_xarray,
    load_poses,
    to_xarray,
)
from mosaic_dagster.errors import MissingExtraError, TracksError
from mosaic_dagster.keys import EntryKey

xarray = pytest.importorskip("xarray", reason="the extra movement is not installed")
NAN = float("nan")


def two_animals() -> pl.DataFrame:
    """Animal 0 in frames 2 and 4, animal 1 in frame 3; a tail is missing once."""
    return pl.DataFrame(
        {
            "frame": [2, 4, 3],
            "id": [0, 0, 1],
            "poseX0": [1.0, 2.0, 3.0],
            "poseY0": [1.5, 2.5, 3.5],
            "poseP0": [0.9, 0.8, 0.7],
            "poseX1": [10.0, NAN, 30.0],
            "poseY1": [11.0, NAN, 31.0],
            "poseP1": [0.5, 0.0, 0.6],
            "individual": ["adult", "adult", "young"],
        }
    )


def test_the_layout_is_movement_s() -> None:
    """Time runs over all frames from the first to the last: 2, 3, 4 at 10 per second."""
    poses = to_xarray(two_animals(), ["nose", "tail"], 10.0, "px")
    assert poses["position"].dims == ("time", "space", "keypoints", "individuals")
    assert poses["confidence"].dims == ("time", "keypoints", "individuals")
    assert poses["time"].values.tolist() == [0.2, 0.3, 0.4]
    assert poses["individuals"].values.tolist() == ["adult", "young"]
    nose = poses["position"].sel(keypoints="nose", space="y")
    np.testing.assert_array_equal(nose.values, [[1.5, NAN], [NAN, 3.5], [2.5, NAN]])
    assert poses["position"].attrs == {"units": "px"}
    assert (poses.attrs["ds_type"], poses.attrs["fps"]) == ("poses", 10.0)
    assert poses.attrs["time_unit"] == "seconds"


def test_there_and_back() -> None:
    table, keypoints, fps = from_xarray(to_xarray(two_animals(), ["nose", "tail"], 10.0))
    assert_frame_equal(table, two_animals())
    assert (keypoints, fps) == (("nose", "tail"), 10.0)


Numbers = st.floats(-1e6, 1e6)
Row = st.tuples(st.integers(0, 200), st.integers(0, 3))


@settings(max_examples=60)
@given(
    places=st.lists(Row, min_size=1, max_size=20, unique=True),
    data=st.data(),
    fps=st.sampled_from([None, 1.0, 12.5, 29.97, 1000 / 3]),
    scored=st.booleans(),
)
def test_tracks_survive(
    places: list[tuple[int, int]], data: Any, fps: float | None, scored: bool
) -> None:
    """Frames, animals and points come back exactly, at rates that are no round numbers too."""
    size = len(places)
    columns: dict[str, Any] = {"frame": [f for f, _ in places], "id": [n for _, n in places]}
    for k in range(2):
        missing = st.lists(st.booleans(), min_size=size, max_size=size)
        lost = np.array(data.draw(missing)) if k else np.zeros(size, dtype=bool)
        for axis in "XY":
            values = np.array(data.draw(st.lists(Numbers, min_size=size, max_size=size)))
            columns[f"pose{axis}{k}"] = np.where(lost, NAN, values)
        if scored:
            columns[f"poseP{k}"] = data.draw(st.lists(st.just(0.5), min_size=size, max_size=size))
    tracks, _ = normalize_tracks(pl.DataFrame(columns), EntryKey("g", "s"), 1.0)
    table, keypoints, rate = from_xarray(to_xarray(tracks, ["a", "b"], fps))
    assert (keypoints, rate) == (("a", "b"), fps)
    assert_frame_equal(table, tracks.select(table.columns))
    assert {name for name in tracks.columns if name.startswith("pose")} < set(table.columns)


def test_a_table_of_centres_has_one_keypoint() -> None:
    table = pl.DataFrame({"frame": [0, 1], "id": [0, 0], "X": [1.0, 2.0], "Y": [3.0, 4.0]})
    back, keypoints, fps = from_xarray(to_xarray(table, (), None))
    assert (keypoints, fps) == (("centroid",), None)
    assert back["poseX0"].to_list() == [1.0, 2.0]
    assert "poseP0" not in back.columns
    assert "individual" not in back.columns


def test_no_rows_are_no_times() -> None:
    empty = two_animals().clear()
    poses = to_xarray(empty, ["nose", "tail"], 10.0)
    assert poses["position"].shape == (0, 2, 2, 0)
    assert from_xarray(poses)[0].height == 0


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (two_animals().select("frame", "id"), "has no coordinates"),
        (two_animals().drop("poseX1", "poseY1", "poseP1"), "1 keypoints, and 2 names"),
        (pl.concat([two_animals(), two_animals()]), "twice in one frame"),
    ],
)
def test_tables_that_are_no_tracks_are_refused(table: pl.DataFrame, told: str) -> None:
    with pytest.raises(TracksError, match=told):
        to_xarray(table, ["nose", "tail"], 10.0)


def test_data_sets_that_are_no_poses_are_refused() -> None:
    """A wrong rate would put points into the wrong frames without a word."""
    poses = to_xarray(two_animals(), ["nose", "tail"], 10.0)
    with pytest.raises(TracksError, match="no 'position'"):
        from_xarray(poses.drop_vars("position"))
    with pytest.raises(TracksError, match="not those of 7 frames per second"):
        from_xarray(poses.assign_attrs(fps=7.0))
    with pytest.raises(TracksError, match="space is rho, phi"):
        from_xarray(poses.assign_coords(space=["rho", "phi"]))
    with pytest.raises(TracksError, match=r"has the dimensions .*view"):
        from_xarray(poses.expand_dims("view"))


def test_boxes_and_three_coordinates_are_taken_too() -> None:
    """Boxes have no keypoints: their centre is one. A third coordinate is kept beside x and y."""
    values = np.arange(6.0).reshape(2, 3, 1)
    boxes = xarray.Dataset(
        {"position": (("time", "space", "individuals"), values)},
        {"time": [0, 1], "space": ["x", "y", "z"], "individuals": ["id_1"]},
        {"time_unit": "frames"},
    )
    table, keypoints, fps = from_xarray(boxes)
    assert (keypoints, fps) == (("centroid",), None)
    assert table.select("frame", "poseX0", "poseY0", "z_centroid").rows() == [
        (0, 0.0, 1.0, 2.0), (1, 3.0, 4.0, 5.0)
    ]  # fmt: skip


@pytest.mark.slow
def test_movement_takes_what_is_made(tmp_path: Any) -> None:
    """(3, 4) px in 0.1 s is 50 px/s: movement computes it from our data set, and saves it."""
    if importlib.util.find_spec("movement") is None:
        pytest.skip("movement is not installed")
    load_poses(_dlc(tmp_path), "DeepLabCut")
    from movement.io.save_poses import to_dlc_file
    from movement.kinematics import compute_velocity
    from movement.utils.vector import compute_norm

    table = pl.DataFrame(
        {"frame": [5, 6, 7], "id": 0, "poseX0": [0.0, 3.0, 6.0], "poseY0": [0.0, 4.0, 8.0]}
    )
    poses = to_xarray(table, ["nose"], 10.0)
    speed = compute_norm(compute_velocity(poses["position"]))
    np.testing.assert_allclose(speed.values.ravel(), 50.0)
    to_dlc_file(poses, tmp_path / "saved.csv", split_individuals=False)
    saved = load_poses(tmp_path / "saved.csv", "DeepLabCut").dataset
    np.testing.assert_array_equal(saved["position"].values, poses["position"].values)


def _dlc(folder: Any) -> Any:
    path = folder / "a.csv"
    path.write_text("scorer,S,S,S\nbodyparts,n,n,n\ncoords,x,y,likelihood\n0,1,2,0.9\n1,1,2,0.9\n")
    return path


def features() -> pl.DataFrame:
    """Two animals; animal 1 has no row in frame 1."""
    return pl.DataFrame(
        {
            "frame": [0, 1, 0],
            "time": [0.0, 0.1, 0.0],
            "id": [0, 0, 1],
            "speed": [1.0, 2.0, 3.0],
            "count": [1, 2, 3],
            "moving": [True, None, False],
            "cluster": ["walk", "rest", "walk"],
            "group": ["g"] * 3,
            "sequence": ["s"] * 3,
        }
    )


def test_each_feature_is_a_variable() -> None:
    """A combination without a row is missing, never 0."""
    data = features_to_xarray(features())
    assert set(data.data_vars) == {"speed", "count", "moving", "cluster"}
    assert data["speed"].dims == ("frame", "id")
    partly = [[1, 3], [2, NAN]]
    wanted = {"speed": partly, "count": partly, "moving": [[1, 0], [NAN, NAN]]}
    for name, values in wanted.items():
        np.testing.assert_array_equal(data[name].values, values)
    assert data["cluster"].values.tolist() == [["walk", "walk"], ["rest", ""]]
    assert data["time"].values.tolist() == [0.0, 0.1]
    assert data.attrs == {"group": "g", "sequence": "s"}


def test_whole_numbers_stay_whole_where_nothing_is_missing() -> None:
    data = features_to_xarray(features().filter(id=0))
    assert data["count"].dtype == np.int64
    assert data["count"].values.tolist() == [[1], [2]]


def test_pairs_have_two_dimensions() -> None:
    """d(0, 1) and d(1, 0) are two places; the perspective follows from the order."""
    table = pl.DataFrame(
        {"frame": [0, 0], "id1": [0, 1], "id2": [1, 0], "perspective": [0, 1], "d": [5.0, 6.0]}
    )
    data = features_to_xarray(table)
    assert data["d"].dims == ("frame", "id1", "id2")
    np.testing.assert_array_equal(data["d"].values, [[[NAN, 5.0], [6.0, NAN]]])
    both = table.with_columns(id1=pl.lit(0), id2=pl.lit(1))
    assert features_to_xarray(both)["d"].sel(perspective=1).values.tolist() == [[[6.0]]]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (features().select("speed"), "has no key"),
        (features().select("frame", "speed"), "several rows for one combination of frame"),
    ],
)
def test_tables_without_a_key_are_refused(table: pl.DataFrame, told: str) -> None:
    """Rows of several entries or animals would overwrite one another."""
    with pytest.raises(TracksError, match=told):
        features_to_xarray(table)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    for make in (
        lambda: to_xarray(two_animals(), ["a", "b"], 1.0),
        lambda: features_to_xarray(features()),
    ):
        with pytest.raises(MissingExtraError, match=r"mosaic-dagster\[movement\]"):
            make()
