"""speed-angvel: wrong speeds are wrong results of the study."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.individual.speed_angvel import SpeedAngvel
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan


def gap_walk(**columns: list[float]) -> pl.DataFrame:
    """Steps of (3, 4) per frame with frame 2 missing: always 5 per frame, 50/s at 10 fps."""
    walk = {"frame": [0, 1, 3], "id": 0, "X": [0.0, 3.0, 9.0], "Y": [0.0, 4.0, 12.0]}
    return pl.DataFrame({**walk, "fps": 10.0, **columns})


def test_contract_on_interleaved_individuals_with_every_option():
    """Both individuals move 5 units per frame at 10 fps: 50, also over 3 rows and smoothed."""
    params = {"step_size": 3, "smooth_window": 5}
    result = check_feature(SpeedAngvel, toy_tracks(), params)
    moving = result.filter(pl.col("frame") >= 3)
    for column in ("speed", "speed_smooth", "speed_step"):
        np.testing.assert_allclose(moving[column], 50.0)
    assert result.filter(pl.col("frame") == 0)["speed"].is_nan().all()
    assert result.filter(pl.col("frame") < 3)["speed_step"].is_nan().all()


def test_a_gap_in_the_frames_is_time_not_speed():
    result = SpeedAngvel().apply(gap_walk())
    np.testing.assert_allclose(result["speed"], [NAN, 50, 50])
    np.testing.assert_allclose(result["vx"], [NAN, 30, 30])
    np.testing.assert_allclose(result["vy"], [NAN, 40, 40])


def test_turning_across_the_seam_is_a_small_turn():
    """From 3.1 to -3.1 rad is 2 pi - 6.2 = 0.0832 rad, in 0.1 s; then 0.1 rad back in 0.2 s."""
    result = SpeedAngvel().apply(gap_walk(ANGLE=[3.1, -3.1, -3.2 + 2 * np.pi]))
    np.testing.assert_allclose(result["angvel"], [NAN, (2 * np.pi - 6.2) * 10, -0.5])


def test_without_frame_rate_time_counts_and_without_time_frames():
    """0.5 s per frame: 5 / 0.5 = 10 per second; else 5 per frame."""
    table = gap_walk(time=[0.0, 0.5, 1.5]).drop("fps")
    np.testing.assert_allclose(SpeedAngvel().apply(table)["speed"], [NAN, 10, 10])
    np.testing.assert_allclose(SpeedAngvel().apply(table.drop("time"))["speed"], [NAN, 5, 5])
    resolved = SpeedAngvel.Params().resolve(DatasetFacts(fps=20.0))
    faster = SpeedAngvel(params=resolved).apply(table)
    np.testing.assert_allclose(faster["speed"], [NAN, 100, 100])


def test_a_missing_position_spoils_only_the_steps_that_need_it():
    table = toy_tracks(n_frames=5, n_ids=1).with_columns(
        X=pl.when(pl.col("frame") == 2).then(float("inf")).otherwise("X")
    )
    speed = SpeedAngvel().apply(table)["speed"]
    np.testing.assert_allclose(speed, [NAN, 50, NAN, NAN, 50])


def test_short_stretches_are_copied_unsmoothed():
    result = SpeedAngvel(params={"smooth_window": 3}).apply(gap_walk())
    np.testing.assert_array_equal(result["speed_smooth"], result["speed"])


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="odd"):
        SpeedAngvel(params={"smooth_window": 4})
    with pytest.raises(MissingColumnError, match=r"speed-angvel needs the column\(s\) Y"):
        SpeedAngvel().apply(gap_walk().drop("Y"))
    with pytest.raises(FeatureError, match="more than one row"):
        SpeedAngvel().apply(pl.concat([gap_walk(), gap_walk()]))
