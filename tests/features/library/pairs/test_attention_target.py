"""attention-target: the wrong target puts attention into the wrong group."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.pairs.attention_target import AttentionTarget
from mosaic_dagster.testing import check_feature, toy_tracks

SCHEMA = {
    "frame": pl.Int64,
    "time": pl.Float64,
    "focal_id": pl.Int64,
    "target_id": pl.Int64,
    "angle_diff_deg": pl.Float64,
    "is_facing": pl.Boolean,
}


def faced(*rows: tuple[int, int, int, float | None, bool | None]) -> pl.DataFrame:
    """Rows of (frame, focal, target, angle, is facing), in the shape of pair-facing's table."""
    filled = [(frame, frame / 10, *rest) for frame, *rest in rows]
    table = pl.DataFrame(filled, schema=SCHEMA, orient="row")
    who = {"id1": "focal_id", "id2": "target_id"}
    table = table.with_columns(pl.col(old).alias(new) for new, old in who.items())
    return table.with_columns(perspective=0, group=pl.lit("g"), sequence=pl.lit("s"))


TABLE = faced(
    (0, 1, 2, 30.0, True),
    (0, 1, 3, 10.0, True),
    (0, 1, 4, 5.0, False),
    (0, 2, 1, 50.0, False),
    (0, 2, 3, 60.0, False),
    (1, 1, 2, 20.0, True),
    (1, 3, 1, 20.0, True),
    (1, 3, 4, 20.0, True),
)


def test_contract():
    result = check_feature(AttentionTarget, TABLE, {"id_group_map": {1: "a", 2: "b", 3: "a"}})
    assert result.columns == [
        *("frame", "time", "id"),
        "attention_target_id",
        "attention_target_angle_diff_deg",
        *("focal_group", "target_group", "attention_type"),
        *("group", "sequence"),
    ]


def test_the_least_angle_of_those_faced_wins():
    """Focal 1 in frame 0 faces 2 (30°) and 3 (10°), not 4 (5°): 3. Focal 2 faces nobody.

    Frame 1: 1 faces 2; 3 faces 1 and 4 at 20° each: the smaller id, 1.
    Groups a = {1, 3}, b = {2}: 1→3 inside, 1→2 outside, 3→1 inside.
    """
    groups = {"id_group_map": {1: "a", 2: "b", 3: "a"}}
    result = AttentionTarget(params=groups).apply(TABLE.reverse())
    assert result["frame"].to_list() == [0, 0, 1, 1]
    assert result["id"].to_list() == [1, 2, 1, 3]
    assert result["time"].to_list() == [0.0, 0.0, 0.1, 0.1]
    assert result["attention_target_id"].to_list() == [3, None, 2, 1]
    angles = result["attention_target_angle_diff_deg"]
    np.testing.assert_array_equal(angles, [10.0, np.nan, 20.0, 20.0])
    assert result["focal_group"].to_list() == ["a", "b", "a", "a"]
    assert result["target_group"].to_list() == ["a", None, "b", "a"]
    assert result["attention_type"].to_list() == ["in_group", "none", "out_group", "in_group"]


@pytest.mark.parametrize("groups", [None, {}, {"1": "a"}, {"2": "a"}])
def test_a_group_that_is_not_known_is_unknown_not_outside(groups):
    result = AttentionTarget(params={"id_group_map": groups}).apply(TABLE.filter(frame=1))
    assert result["attention_type"].to_list()[0] == "unknown"


def test_ids_as_text_are_the_same_ids():
    """A mapping read from JSON has text for keys."""
    by_text = AttentionTarget(params={"id_group_map": {"1": "a", "3": "a", "2": "b"}})
    by_number = AttentionTarget(params={"id_group_map": {1: "a", 3: "a", 2: "b"}})
    assert by_text.params.identity() == by_number.params.identity()
    assert by_text.apply(TABLE).equals(by_number.apply(TABLE))


@pytest.mark.parametrize(("angle", "facing"), [(np.nan, True), (None, True), (1.0, None)])
def test_what_is_missing_is_no_target(angle, facing):
    table = faced((0, 1, 2, angle, facing), (0, 1, 3, 40.0, True))
    assert AttentionTarget().apply(table)["attention_target_id"].to_list() == [3]


def test_it_reads_what_pair_facing_makes():
    """Bodies 1 apart along y, seen sideways: all faced with 90°: the smallest id each."""
    tracks = toy_tracks(n_ids=3, n_frames=2)
    params = {"pose_head_index": 0, "pose_abdomen_index": 1, "angle_thresh_deg": 91}
    from mosaic_dagster.features.library.pairs.pair_facing import PairFacing

    pairs = PairFacing(params={**params, "dist_thresh": 1000}).apply(tracks)
    result = AttentionTarget().apply(pairs)
    assert result["id"].to_list() == [0, 1, 2, 0, 1, 2]
    assert result["attention_target_id"].to_list() == [1, 0, 0, 1, 0, 0]


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="twice"):
        AttentionTarget(params={"id_group_map": {1: "a", "1": "b"}})
    with pytest.raises(MissingColumnError, match="focal_id"):
        AttentionTarget().apply(toy_tracks())
    with pytest.raises(FeatureError, match="more than one row for id1 1, id2 2"):
        AttentionTarget().apply(faced((0, 1, 2, 1.0, True), (0, 1, 2, 2.0, True)))
