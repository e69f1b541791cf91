"""movement-smooth: a window that mixes animals, or both sides of a gap, makes false positions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.cleaning.movement_smooth import (
    MovementSmooth,
    MovementSmoothParams,
)
from mosaic_dagster.features.params import DatasetFacts
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan
MEAN = {"method": "rolling", "statistic": "mean", "window": 3}


def line(x: list[float], frames: list[int] | None = None, who: int = 0) -> pl.DataFrame:
    frames = list(range(len(x))) if frames is None else frames
    return pl.DataFrame({"frame": frames, "id": who, "X": x, "Y": 0.0, "sequence": "s"})


def smooth_x(table: pl.DataFrame, **params: object) -> list[float]:
    return MovementSmooth(params=params).apply(table)["X"].to_list()


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"savgol_mode": "interp"},
        {"method": "rolling"},
        {**MEAN, "min_periods": 1},
        {"method": "rolling", "statistic": "max"},
    ],
)
def test_contract(params):
    tracks = toy_tracks()
    result = check_feature(MovementSmooth, tracks, params)
    assert result.columns == tracks.columns


def test_a_straight_walk_stays_where_it_is():
    """Degree 1 restores a line but for the ends, which nearest bends by hand: (0+0+1)/3."""
    result = smooth_x(line([0.0, 1, 2, 3]), window=3, polyorder=1)
    np.testing.assert_allclose(result, [1 / 3, 1, 2, 8 / 3])


def test_rolling_by_hand():
    """Means of three; the ends see two values only, which min_periods decides about."""
    table = line([0.0, 3, 9, 0])
    np.testing.assert_allclose(smooth_x(table, **MEAN), [NAN, 4, 4, NAN])
    np.testing.assert_allclose(smooth_x(table, **MEAN, min_periods=2), [1.5, 4, 4, 4.5])
    median = MEAN | {"statistic": "median"}
    np.testing.assert_allclose(smooth_x(table, **median), [NAN, 3, 3, NAN])


def test_windows_are_over_frames_not_rows():
    """Frames 2 and 3 are absent: rows at 1 and 4 are no neighbours."""
    table = line([0.0, 2, 100, 104], frames=[0, 1, 4, 5])
    np.testing.assert_allclose(smooth_x(table, **MEAN, min_periods=1), [1, 1, 102, 102])
    assert np.isnan(smooth_x(table, **MEAN)).all()
    savgol = smooth_x(table, window=3, polyorder=0)
    np.testing.assert_allclose(savgol, [2 / 3, NAN, NAN, 308 / 3])


def test_a_huge_gap_costs_no_memory():
    """A grid of a row per frame would hold 10**15 rows."""
    table = line([0.0, 2, 100], frames=[0, 1, 10**15])
    assert smooth_x(table, **MEAN, min_periods=1) == [1, 1, 100]


def test_missing_values_make_savgol_windows_missing_and_rolling_may_fill_them():
    table = line([0.0, 1, np.inf, 3, 4, 5, 6])
    savgol = smooth_x(table, window=3, polyorder=1, savgol_mode="interp")
    np.testing.assert_allclose(savgol, [NAN, NAN, NAN, NAN, 4, 5, 6], atol=1e-12)
    assert smooth_x(table, **MEAN, min_periods=2)[2] == 2.0


@pytest.mark.parametrize("mode", ["mirror", "constant", "nearest", "wrap", "interp"])
def test_a_recording_shorter_than_the_window_does_not_fail(mode):
    """With interp there is no full window, so no result."""
    result = smooth_x(line([1.0, 2.0]), window=9, savgol_mode=mode)
    assert np.isnan(result).all() if mode == "interp" else np.isfinite(result).all()


def test_individuals_are_smoothed_apart():
    table = pl.concat([line([0.0, 0, 0]), line([9.0, 9, 9], who=-4)])
    assert smooth_x(table, **MEAN, min_periods=1) == [0, 0, 0, 9, 9, 9]


def test_only_the_chosen_coordinates_change():
    """Keypoint 1 by its name; X and the other keypoints keep their values."""
    tracks = toy_tracks().with_columns(pl.col("X", "poseX0", "poseX1") + pl.col("frame").sin())
    params = MovementSmoothParams(keypoint_names=("tail",), include_centroid=False)
    resolved = params.resolve(DatasetFacts(keypoints=("nose", "tail", "ear")))
    result = MovementSmooth(params=resolved).apply(tracks)
    changed = [c for c in tracks.columns if not result[c].equals(tracks[c])]
    assert changed == ["poseX1", "poseY1"]


def test_columns_that_are_lacking_are_named():
    bare = pl.DataFrame({"frame": [0], "id": [0]})
    with pytest.raises(MissingColumnError, match="X, Y"):
        MovementSmooth().apply(bare)
    with pytest.raises(MissingColumnError, match="no coordinate to work on"):
        MovementSmooth(params={"include_centroid": False}).output_schema(bare.schema)
    with pytest.raises(FeatureError, match="more than one row"):
        MovementSmooth().apply(pl.concat([line([1.0]), line([2.0])]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"window": 4}, "odd"),
        ({"method": "rolling", "window": 4}, "odd"),
        ({"window": 3, "polyorder": 3}, "larger than polyorder 3"),
        ({"method": "rolling", "window": 3, "min_periods": 4}, "larger than window 3"),
        ({"min_periods": 0}, "min_periods"),
        ({"savgol_mode": "reflect"}, "savgol_mode"),
        ({"statistic": "mode"}, "statistic"),
    ],
)
def test_what_cannot_work_is_refused(params, message):
    with pytest.raises(ParamsError, match=message):
        MovementSmooth(params=params)


def test_a_rolling_window_needs_no_room_for_a_polynomial():
    assert smooth_x(line([1.0, 2.0]), method="rolling", window=1) == [1.0, 2.0]


@settings(max_examples=25)
@given(
    st.lists(st.integers(-50, 50) | st.just(NAN), min_size=1, max_size=12),
    st.integers(-100, 100),
    st.sampled_from([{"savgol_mode": "nearest"}, MEAN | {"min_periods": 1}]),
)
def test_moving_the_scene_moves_the_result(x, shift, params):
    """Smoothing is a mean of positions, so it commutes with shifts, of places and of frames."""
    table = line([float(v) for v in x])
    before = np.array(smooth_x(table, **params)) + shift
    moved = table.with_columns(pl.col("X") + shift, pl.col("frame") + 1000)
    np.testing.assert_allclose(smooth_x(moved, **params), before, atol=1e-9)
