"""track-subsample: rows that stand for others must come from every individual, and repeat."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.cleaning.track_subsample import (
    TrackSubsample,
    TrackSubsampleParams,
)
from mosaic_dagster.features.library.pose import PoseConfig
from mosaic_dagster.features.params import DatasetFacts
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan


def postures(side: list[float], frames: list[int] | None = None, who: int = 0) -> pl.DataFrame:
    """An individual that walks along x and turns, its keypoint 1 ahead and ``side`` to the side.

    Relative to centre and heading the keypoint is (1, side) whatever the walk does.
    """
    frames = list(range(len(side))) if frames is None else frames
    f = np.array(frames, dtype=float)
    c, s, side_ = np.cos(f), np.sin(f), np.array(side)
    return pl.DataFrame(
        {
            "frame": frames,
            "id": who,
            "X": 10 * f,
            "Y": 5 * f,
            "ANGLE": f,
            "poseX1": 10 * f + c - s * side_,
            "poseY1": 5 * f + s + c * side_,
            "sequence": "s",
        }
    )


def frames_of(table: pl.DataFrame, who: int | None = None, **params: object) -> list[int]:
    kept = TrackSubsample(params=params).apply(table).table
    return (kept if who is None else kept.filter(pl.col("id") == who))["frame"].to_list()


@pytest.mark.parametrize("method", ["kmeans", "uniform", "clips"])
def test_contract(method):
    table = pl.concat([postures([0.0, 9, 0.1, 9.1, 0.2, 9.2], who=w) for w in (3, -1)])
    params = {"method": method, "target_frames": 4, "clip_len": 2}
    result = check_feature(TrackSubsample, table, params)
    assert result.columns == table.columns
    assert result.group_by("id").len()["len"].to_list() == [4, 4]


def test_every_individual_is_sampled_by_itself():
    """10 rows of individual 0 and 4 of individual 1, interleaved; at most 4 of each."""
    table = pl.concat([postures([0.0] * 10), postures([0.0] * 4, who=1)]).sort("frame", "id")
    uniform = {"method": "uniform", "target_frames": 4}
    assert frames_of(table, 0, **uniform) == [0, 2, 4, 6]
    assert frames_of(table, 1, **uniform) == [0, 1, 2, 3]


def test_uniform_takes_the_first_of_its_stride():
    """11 // 4 = 2: rows 0, 2, 4, 6 of the frames 10 to 20."""
    table = postures([0.0] * 11, frames=list(range(10, 21))).reverse()
    assert frames_of(table, method="uniform", target_frames=4) == [16, 14, 12, 10]


def test_kmeans_takes_the_row_nearest_to_each_centre():
    """Sides {-1, 0, 2} and {9, 10, 12}: means 1/3 and 31/3, nearest 0 and 10."""
    table = postures([-1.0, 9, 0, 10, 2, 12])
    assert frames_of(table, target_frames=2) == [2, 3]


def test_the_place_and_heading_of_an_animal_are_no_posture():
    """Four equal postures on a turning walk and one other: two rows are enough."""
    table = postures([0.0, 0, 5, 0, 0]).with_columns(pl.selectors.float().round(9))
    kept = frames_of(table, target_frames=2)
    assert 2 in kept
    assert len(kept) == 2


def test_few_complete_postures_are_all_taken():
    """Rows 1 and 3 of six are complete, no more than the target."""
    table = postures([NAN, 1, NAN, 2, NAN, NAN])
    assert frames_of(table, target_frames=2) == [1, 3]
    assert frames_of(table, target_frames=6) == [0, 1, 2, 3, 4, 5]


def test_incomplete_postures_can_be_allowed():
    """Missing sides count as the mean of 0 and 0, like the others; the posture of 9 is there."""
    table = postures([0.0, NAN, 9, 0, NAN]).with_columns(poseX1=pl.lit(0.0), ANGLE=0.0, X=0.0)
    assert 2 in frames_of(table, target_frames=2, drop_nan=False)
    assert len(frames_of(table, target_frames=4, drop_nan=False)) <= 4


def test_equal_postures_are_taken_once():
    """Two different postures in five rows cannot make three clusters."""
    table = postures([0.0, 1, 0, 1, 0]).with_columns(X=0.0, Y=0.0, ANGLE=0.0, poseX1=0.0)
    table = table.with_columns(poseY1=pl.Series([0.0, 1, 0, 1, 0]))
    assert frames_of(table, target_frames=3) == [0, 1]


def test_clips_are_successive_frames_and_do_not_overlap():
    """Two clips of 3 of the postures 0 and 9, which begin in frames 0 and 5."""
    table = postures([0.0, 1, 1, 1, 1, 9, 1, 1, 1, 1])
    params = {"method": "clips", "target_frames": 6, "clip_len": 3}
    kept = frames_of(table, **params)
    assert len(kept) == 6
    assert 5 in kept
    steps = np.diff(kept)
    assert (steps[[0, 1, 3, 4]] == 1).all()


def test_a_clip_never_spans_a_gap():
    """Runs 0-3, 10-11 and 20-24: the middle one has no room for a clip of 3."""
    frames = [0, 1, 2, 3, 10, 11, 20, 21, 22, 23, 24]
    table = postures([0.0, 0, 0, 0, 5, 5, 9, 9, 9, 9, 9], frames=frames)
    kept = frames_of(table, method="clips", target_frames=6, clip_len=3)
    assert len(kept) == 6
    assert set(kept[:3]) <= {0, 1, 2, 3}
    assert set(kept[3:]) <= {20, 21, 22, 23, 24}
    assert np.diff(kept)[[0, 1, 3, 4]].tolist() == [1, 1, 1, 1]


def test_a_target_below_a_clip_still_gives_one_clip():
    assert len(frames_of(postures([0.0] * 9), method="clips", target_frames=2, clip_len=4)) == 4
    too_short = postures([0.0] * 3)
    assert frames_of(too_short, method="clips", target_frames=2, clip_len=4) == []


@pytest.mark.parametrize(("lost", "named"), [("ANGLE", "ANGLE"), ("poseX1", "keypoints")])
def test_without_postures_rows_are_taken_uniformly_and_a_note_says_so(lost, named):
    table = postures([0.0] * 9).drop([lost, *(["poseY1"] if lost == "poseX1" else [])])
    result = TrackSubsample(params={"target_frames": 4}).apply(table)
    assert result.table["frame"].to_list() == [0, 2, 4, 6]
    assert result.notes["uniform_because"] == f"the table has no {named}"
    clips = frames_of(table, method="clips", target_frames=4, clip_len=2)
    assert clips == [0, 1, 4, 5]


def test_keypoints_are_chosen_by_number_or_name():
    facts = DatasetFacts(keypoints=("nose", "tail"))
    params = TrackSubsampleParams(pose=PoseConfig(pose_indices=("tail",))).resolve(facts)
    assert params.pose is not None
    assert params.pose.selected() == (1,)
    table = postures([-1.0, 9, 0, 10, 2, 12]).with_columns(poseX0=pl.lit(NAN), poseY0=pl.lit(NAN))
    kept = TrackSubsample(params=params.model_copy(update={"target_frames": 2})).apply(table).table
    assert kept["frame"].to_list() == [2, 3]
    with pytest.raises(MissingColumnError, match="poseX4"):
        frames_of(table, pose={"pose_indices": (4,)})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "random"}, "method"),
        ({"target_frames": 0}, "target_frames"),
        ({"clip_len": 1}, "clip_len"),
        ({"seed": -1}, "seed"),
        ({"pose": {"pose_indices": ()}}, "names no keypoint"),
    ],
)
def test_what_cannot_work_is_refused(params, message):
    with pytest.raises(ParamsError, match=message):
        TrackSubsample(params=params)


def test_repeated_rows_are_refused():
    with pytest.raises(FeatureError, match="more than one row"):
        frames_of(pl.concat([toy_tracks(), toy_tracks()]))


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=40),
    st.integers(1, 12),
    st.sampled_from(["kmeans", "uniform"]),
)
def test_another_individual_changes_nothing(side, target, method):
    """What stands for one animal must not depend on who else was in the dish."""
    params = {"method": method, "target_frames": target}
    alone = postures([float(v) for v in side])
    together = pl.concat([alone, postures([1.0, 2, 3], who=8)])
    kept = frames_of(alone, **params)
    assert frames_of(together, 0, **params) == kept
    assert len(kept) <= target
    assert set(kept) <= set(range(len(side)))
