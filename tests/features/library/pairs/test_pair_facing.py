"""pair-facing: a wrong angle turns being looked at into looking."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.pairs.pair_facing import PairFacing
from mosaic_dagster.testing import check_feature, toy_tracks

FORWARD = {"pose_head_index": 0, "pose_abdomen_index": 1, "body_axis_from": "abdomen_to_head"}


def bodies(*individuals: tuple[int, int, tuple[float, float], tuple[float, float]]) -> pl.DataFrame:
    """Rows of (frame, id, head, abdomen)."""
    rows = [(frame, who, *head, *abdomen) for frame, who, head, abdomen in individuals]
    names = ["frame", "id", "poseX0", "poseY0", "poseX1", "poseY1"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_contract():
    """Three individuals side by side, 100 apart: six rows per frame, nobody within 3."""
    result = check_feature(PairFacing, toy_tracks(n_ids=3), FORWARD)
    assert result.columns[:5] == ["frame", "time", "id1", "id2", "perspective"]
    assert result.columns[-3:] == ["fps", "group", "sequence"]
    assert result.height == 12 * 6
    assert not result["is_facing"].any()


def test_two_bodies():
    """Focal 7: head (0, 0), abdomen (-1, 0), looks along 0°, and 9 is at 0°: 0° off, 2 away.

    Focal 9: head (2, 0), abdomen (2, 1), looks along -90°, and 7 is at 180°: 90° off.
    """
    result = PairFacing(params=FORWARD).apply(
        bodies((0, 7, (0, 0), (-1, 0)), (0, 9, (2, 0), (2, 1)))
    )
    assert result.to_dict(as_series=False) == {
        "frame": [0, 0],
        "id1": [7, 9],
        "id2": [9, 7],
        "perspective": [0, 1],
        "focal_id": [7, 9],
        "target_id": [9, 7],
        "body_angle_deg": [0.0, -90.0],
        "bearing_deg": [0.0, 180.0],
        "angle_diff_deg": [0.0, 90.0],
        "distance": [2.0, 2.0],
        "is_facing": [True, False],
    }


def test_the_default_axis_points_backwards():
    """The same focal 7 from head to abdomen: 180°, so 180° off; turned around it faces 9."""
    params = {"pose_head_index": 0, "pose_abdomen_index": 1}
    rows = ((0, 7, (0, 0), (-1, 0)), (0, 9, (2, 0), (2, 1)))
    assert PairFacing(params=params).apply(bodies(*rows))["angle_diff_deg"][0] == 180.0
    turned = ((0, 7, (0, 0), (1, 0)), (0, 9, (2, 0), (2, 1)))
    assert PairFacing(params=params).apply(bodies(*turned))["is_facing"][0]


def test_the_difference_is_taken_around_the_circle():
    """Body at 170°, bearing at -170°: 20° off, not 340°."""
    a, b = np.radians(170), np.radians(-170)
    table = bodies((0, 0, (0, 0), (-np.cos(a), -np.sin(a))), (0, 1, (np.cos(b), np.sin(b)), (5, 5)))
    result = PairFacing(params=FORWARD).apply(table)
    assert result["angle_diff_deg"][0] == pytest.approx(20.0)
    assert result["is_facing"][0]


def test_thresholds_are_exclusive_and_scale_with_the_calibration():
    """Heads 6 apart at half a cm per unit are 3 cm apart: not below 3, but below 3.1."""
    table = bodies((0, 0, (0, 0), (-1, 0)), (0, 1, (6, 0), (7, 0)))
    for limit, facing in ((3.0, False), (3.1, True)):
        params = {**FORWARD, "cm_per_pixel": 0.5, "dist_thresh": limit}
        result = PairFacing(params=params).apply(table)
        assert result["distance"].to_list() == [3.0, 3.0]
        assert result["is_facing"].to_list() == [facing, facing]


@pytest.mark.parametrize("missing", [np.nan, np.inf, None])
def test_what_is_missing_faces_nobody(missing):
    """Focal 0 lacks its abdomen: distance known, angles not."""
    table = bodies((0, 0, (0, 0), (-1, 0)), (0, 1, (2, 0), (3, 0)))
    table = table.with_columns(
        poseX1=pl.when(pl.col("id") == 0).then(pl.lit(missing)).otherwise("poseX1")
    )
    result = PairFacing(params=FORWARD).apply(table)
    assert result["distance"].to_list() == [2.0, 2.0]
    assert np.isnan(result["angle_diff_deg"][0])
    assert result["is_facing"].to_list() == [False, True]


def test_a_body_without_length_and_heads_at_one_place_have_no_direction():
    table = bodies((0, 0, (0, 0), (0, 0)), (0, 1, (0, 0), (1, 0)))
    result = PairFacing(params=FORWARD).apply(table)
    assert np.isnan(result["body_angle_deg"][0])
    assert result["bearing_deg"].is_nan().all()
    assert not result["is_facing"].any()


def test_only_who_is_there_is_paired():
    """Frame 0 has one individual, frame 5 has two: two rows."""
    table = bodies((5, 30, (0, 0), (1, 0)), (0, 30, (0, 0), (1, 0)), (5, -2, (1, 0), (2, 0)))
    result = PairFacing(params=FORWARD).apply(table)
    assert result["frame"].to_list() == [5, 5]
    assert result["id1"].to_list() == [-2, 30]


@given(st.floats(-3, 3), st.floats(-50, 50), st.floats(-50, 50), st.integers(0, 999))
def test_moving_the_arena_changes_no_difference(turn, dx, dy, seed):
    points = np.random.default_rng(seed).normal(size=(3, 2, 2))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    moved = points @ rotation + [dx, dy]
    before, after = (
        PairFacing(params=FORWARD).apply(
            bodies(*((0, i, tuple(p[0]), tuple(p[1])) for i, p in enumerate(where)))
        )
        for where in (points, moved)
    )
    for name in ("angle_diff_deg", "distance"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-6)


def test_names_of_keypoints_are_looked_up():
    params = PairFacing.Params(pose_head_index="head", pose_abdomen_index="tail")
    resolved = params.resolve(DatasetFacts(keypoints=("tail", "head")))
    assert (resolved.pose_head_index, resolved.pose_abdomen_index) == (1, 0)


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="both 2"):
        PairFacing(params={"pose_head_index": 2, "pose_abdomen_index": 2})
    with pytest.raises(ParamsError, match="angle_thresh_deg"):
        PairFacing(params={"angle_thresh_deg": -1})
    with pytest.raises(MissingColumnError, match="poseX5"):
        PairFacing().apply(toy_tracks(n_keypoints=5))
    twice = bodies((0, 1, (0, 0), (1, 0)), (0, 1, (0, 0), (1, 0)))
    with pytest.raises(FeatureError, match="more than one row for id 1"):
        PairFacing(params=FORWARD).apply(twice)


def test_other_prefixes():
    table = bodies((0, 0, (0, 0), (-1, 0)), (0, 1, (2, 0), (3, 0)))
    renamed = table.rename(lambda name: name.replace("pose", "kp"))
    params = {**FORWARD, "x_prefix": "kpX", "y_prefix": "kpY"}
    assert PairFacing(params=params).apply(renamed).equals(PairFacing(params=FORWARD).apply(table))
