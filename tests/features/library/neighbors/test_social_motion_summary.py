"""social-motion-summary: one number per animal and measure; a wrong one is a wrong finding."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.library.neighbors.social_motion_summary import SocialMotionSummary
from mosaic_dagster.testing import check_feature, toy_values

NAN = np.nan
BURSTS = {"compute_burst_coast": True}


def summary(table: pl.DataFrame, row: int = 0, **params: object) -> dict[str, float]:
    return SocialMotionSummary(params=params).apply(table).row(row, named=True)


def group_of_three() -> pl.DataFrame:
    """Two frames; 0 and 1 are each other's neighbours and a group, 2 has 0 but is alone.

    Speeds 1, 2, 6, then 3, 3, 6. Seen from 0 the neighbour is at (3, 4), then at (0, -2).
    """
    return pl.DataFrame(
        {
            "frame": [0, 0, 0, 1, 1, 1],
            "id": [0, 1, 2, 0, 1, 2],
            "speed": [1.0, 2.0, 6.0, 3.0, 3.0, 6.0],
            "nn_id": [1, 0, 0, 1, 0, None],
            "nn_delta_angle": [0.0, 0.0, 1.0, np.pi / 2, np.pi, NAN],
            "nn_delta_x_ego": [3.0, -1.0, 1.0, 0.0, 2.0, NAN],
            "nn_delta_y_ego": [4.0, 0.0, 0.0, -2.0, 0.0, NAN],
            "group_membership": [0, 0, 1, 0, 0, 1],
            "group_size": [2, 2, 1, 2, 2, 1],
            "fps": 10.0,
            "group": "g",
            "sequence": "s",
        }
    )


def test_contract():
    result = check_feature(SocialMotionSummary, group_of_three(), BURSTS)
    assert result["id"].to_list() == [0, 1, 2]
    assert result.columns == [
        *("id", "nn_align", "frac_nn_ahead", "nn_bearing_x", "nn_bearing_y"),
        *("speed_match_nn", "speed_match_group", "speed_cv", "speed_rcv"),
        *("accel_mean", "accel_med", "accel_cv", "accel_rcv"),
        *("jerk_mean", "jerk_med", "jerk_cv", "jerk_rcv"),
        *("kick_rate", "burst_coast_ratio", "fps", "group", "sequence"),
    ]


def test_social_measures_worked_out_by_hand():
    """Animal 0: cos 0, cos pi/2: mean 1/2; ahead in one of two; (0.6, 0.8) and (0, -1):
    (0.3, -0.1). |1 - 2|, |3 - 3|: 0.5. Means of its group 1.5 and 3: |1 - 1.5|, 0: 0.25.
    """
    found = summary(group_of_three())
    expected = {
        "nn_align": 0.5,
        "frac_nn_ahead": 0.5,
        "nn_bearing_x": 0.3,
        "nn_bearing_y": -0.1,
        "speed_match_nn": 0.5,
        "speed_match_group": 0.25,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name)


def test_rows_alone_or_in_small_groups_are_not_social():
    """Animal 2 is a group of one; without that column its first row counts: |6 - 1| = 5."""
    assert np.isnan(summary(group_of_three(), 2)["speed_match_nn"])
    loose = group_of_three().drop("group_size", "group_membership")
    found = summary(loose, 2)
    assert (found["speed_match_nn"], found["nn_bearing_x"]) == (5.0, 1.0)
    assert np.isnan(found["speed_match_group"])
    assert np.isnan(summary(group_of_three(), 0, social_min_group_size=3)["nn_align"])


def test_a_group_is_one_of_its_frame_and_animals_without_a_group_are_none():
    """Without a group in frame 0, only frame 1 counts for 0: |3 - mean(3, 3)| = 0."""
    table = group_of_three().with_columns(
        group_membership=pl.Series([None, None, None, 0, 0, 1], dtype=pl.Int64)
    )
    assert summary(table)["speed_match_group"] == 0
    gone = table.with_columns(group_membership=pl.lit(None, dtype=pl.Int64))
    assert np.isnan(summary(gone)["speed_match_group"])


def test_a_missing_speed_is_left_out_of_the_group():
    """Frame 0: the group's mean is 1's own speed 2; 0 has none. Frame 1: |3 - 3|."""
    table = group_of_three().with_columns(speed=pl.Series([NAN, 2.0, 6.0, 3.0, 3.0, np.inf]))
    assert summary(table, 1)["speed_match_group"] == 0
    assert summary(table, 1)["speed_match_nn"] == 0


def test_motion_worked_out_by_hand():
    """10 fps, speeds 0 1 3 3 2: accelerations 10 20 0 -10, jerks 100 -200 -100.

    Speed: mean 1.8, variance 6.8 / 5; quartiles 1, 2, 3: (3 - 1) / 2. |a| = 0 10 10 20: mean 10,
    median 10, variance 50, quartiles 7.5 and 12.5. |j| = 100 100 200: mean 400/3, median 100.
    One switch (20 to 0) in 0.4 s; two of four accelerate.
    """
    found = summary(toy_values({"speed": [0.0, 1, 3, 3, 2]}), **BURSTS)
    expected = {
        "speed_cv": np.sqrt(6.8 / 5) / 1.8,
        "speed_rcv": 1.0,
        "accel_mean": 10.0,
        "accel_med": 10.0,
        "accel_cv": np.sqrt(50) / 10,
        "accel_rcv": 0.5,
        "jerk_mean": 400 / 3,
        "jerk_med": 100.0,
        "jerk_cv": np.std([100, 100, 200]) / (400 / 3),
        "jerk_rcv": 0.5,
        "kick_rate": 2.5,
        "burst_coast_ratio": 0.5,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name)
    assert np.isnan(found["nn_align"])


def test_a_gap_in_the_frames_is_time():
    """From frame 0 to 4 at 10 fps, 4 units faster: 4 / 0.4 s = 10."""
    table = toy_values({"speed": [0.0, 4.0]}).with_columns(frame=pl.Series([0, 4]))
    assert summary(table)["accel_mean"] == 10


def test_measures_of_animals_do_not_mix():
    """Both stand still, one at speed 0 and one at 100; a step between them would be 1000."""
    table = group_of_three().with_columns(speed=pl.col("id") * 100.0)
    result = SocialMotionSummary(params=BURSTS).apply(table)
    assert result["accel_mean"].to_list() == [0, 0, 0]
    assert result["burst_coast_ratio"].to_list() == [0, 0, 0]
    assert result["kick_rate"].to_list() == [0, 0, 0]


def test_nothing_to_divide_by_is_nan_without_a_warning():
    """One row, no finite speed, or all speeds 0: no spread, no rate."""
    for speeds in ([5.0], [NAN, NAN], [0.0, 0.0]):
        found = summary(toy_values({"speed": speeds}), **BURSTS)
        for name in ("speed_rcv", "accel_cv", "accel_rcv", "jerk_mean", "jerk_cv"):
            if speeds == [5.0] and name == "speed_rcv":
                assert found[name] == 0
            else:
                assert np.isnan(found[name]), (speeds, name)
    assert np.isnan(summary(toy_values({"speed": [5.0]}), **BURSTS)["kick_rate"])


def test_an_empty_table_needs_no_frame_rate_and_others_do():
    table = group_of_three()
    empty = SocialMotionSummary().apply(table.clear())
    assert empty.height == 0
    assert empty.schema == SocialMotionSummary().apply(table).schema
    with pytest.raises(FeatureError, match="frame rate"):
        SocialMotionSummary().apply(table.drop("fps"))
    assert SocialMotionSummary(params={"fps": 10.0}).apply(table.drop("fps")).height == 3


def test_a_missing_speed_column_is_named_with_its_maker():
    with pytest.raises(MissingColumnError, match=r"'speed'.* comes from speed-angvel"):
        SocialMotionSummary().apply(group_of_three().drop("speed"))
    renamed = group_of_three().rename({"speed": "v"})
    assert summary(renamed, speed_col="v")["speed_match_nn"] == 0.5
