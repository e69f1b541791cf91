"""trajectory-smooth: what is not cleaned, or cleaned away, changes every speed below."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features.library.cleaning.trajectory_smooth import TrajectorySmooth
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan


def line(x: list[float], frames: list[int] | None = None, **columns: object) -> pl.DataFrame:
    frames = list(range(len(x))) if frames is None else frames
    return pl.DataFrame({"frame": frames, "id": 0, "X": x, "Y": 0.0, **columns})


def test_contract():
    params = {"speed_threshold": 100.0, "savgol_window": 5, "interpolate_pose": True}
    result = check_feature(TrajectorySmooth, toy_tracks(), params)
    assert not result["bad_frame"].any()
    np.testing.assert_allclose(result["X"], toy_tracks()["X"], atol=1e-9)


def test_a_jump_and_its_neighbours_are_marked_and_bridged():
    """Row 3 jumps to 99 and back: steps 3 and 4 exceed 10; bad 3, 4 ± 1 row are 2 to 5."""
    table = line([0.0, 1, 2, 99, 4, 5, 6])
    feature = TrajectorySmooth(params={"speed_threshold": 10.0, "expand_frames": 1})
    result = feature.apply(table)
    assert result.table["bad_frame"].to_list() == [False, False, True, True, True, True, False]
    np.testing.assert_allclose(result.table["X"], np.arange(7))
    assert dict(result.notes) == {"n_bad": 4, "n_filled": 4}


def test_the_threshold_is_per_second_where_the_frame_rate_is_known():
    """Steps of 3 per frame are 30 per second at 10 fps."""
    table = line([0.0, 3, 6], fps=10.0)
    slow = TrajectorySmooth(params={"speed_threshold": 29.0}).apply(table).table
    fast = TrajectorySmooth(params={"speed_threshold": 31.0}).apply(table).table
    assert slow["bad_frame"].all()
    assert not fast["bad_frame"].any()


def test_a_gap_is_not_a_jump():
    """9 units over 3 frames are 3 per frame."""
    table = line([0.0, 9.0], frames=[0, 3])
    result = TrajectorySmooth(params={"speed_threshold": 4.0}).apply(table).table
    assert not result["bad_frame"].any()


def test_a_jump_does_not_spread_to_another_individual():
    """Individual 0 ends with a jump; its last rows are bad, individual 1 has none."""
    first = line([0.0, 0.0, 50.0])
    second = line([0.0, 0.0, 0.0]).with_columns(id=pl.lit(1, dtype=pl.Int32))
    table = pl.concat([first, second])
    result = TrajectorySmooth(params={"speed_threshold": 10.0, "expand_frames": 5}).apply(table)
    assert result.table["bad_frame"].to_list() == [True] * 3 + [False] * 3


def test_max_gap_limits_holes_and_ends():
    """A hole of 2 and an end of 1 with max_gap 1: the end is filled, the hole is not."""
    table = line([0.0, NAN, NAN, 3.0, float("inf")])
    limited = TrajectorySmooth(params={"max_gap": 1}).apply(table).table
    np.testing.assert_array_equal(limited["X"], [0, NAN, NAN, 3, 3])
    unlimited = TrajectorySmooth().apply(table).table
    np.testing.assert_array_equal(unlimited["X"], [0, 1, 2, 3, 3])


def test_the_pose_is_filled_only_when_asked():
    table = line([0.0, 1.0, 2.0], poseX0=[0.0, NAN, 2.0], poseY0=[0.0, NAN, 2.0])
    assert np.isnan(TrajectorySmooth().apply(table).table["poseX0"][1])
    asked = TrajectorySmooth(params={"interpolate_pose": True}).apply(table).table
    assert asked["poseX0"][1] == 1.0


def test_smoothing_does_not_reach_across_a_gap():
    """Degree 0 and window 3 is the mean of 3; the two rows after the gap are too short."""
    table = line([0.0, 9, 0, 100, 200], frames=[0, 1, 2, 10, 11])
    params = {"savgol_window": 3, "savgol_polyorder": 0}
    smoothed = TrajectorySmooth(params=params).apply(table).table["X"]
    np.testing.assert_allclose(smoothed, [3, 3, 3, 100, 200])


def test_other_columns_and_types_are_kept():
    table = line([0, 1], poseP0=[0.5, 0.6], note=["a", "b"], sequence="s")
    result = TrajectorySmooth().apply(table).table
    assert result.columns == ["frame", "id", "X", "Y", "poseP0", "note", "bad_frame", "sequence"]
    assert result.schema["X"] == pl.Float64
    assert result["note"].to_list() == ["a", "b"]


def test_a_second_cleaning_replaces_the_marks():
    once = TrajectorySmooth(params={"speed_threshold": 10.0}).apply(line([0.0, 50.0])).table
    assert once["bad_frame"].any()
    assert not TrajectorySmooth().apply(once).table["bad_frame"].any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"savgol_window": 4}, "odd"),
        ({"savgol_window": 3, "savgol_polyorder": 3}, "larger than savgol_polyorder"),
        ({"speed_threshold": 0}, "greater than 0"),
    ],
)
def test_what_cannot_work_is_refused(params, message):
    with pytest.raises(ParamsError, match=message):
        TrajectorySmooth(params=params)
