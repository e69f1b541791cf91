"""movement-filter-interpolate: an uncertain point that stays, or an invented one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.cleaning.movement_filter_interpolate import (
    MovementFilterInterpolate,
    MovementFilterInterpolateParams,
)
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import DatasetFacts
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan


def walk(p: list[float | None], frames: list[int] | None = None, who: int = 0) -> pl.DataFrame:
    """One individual whose keypoint 0 is at (frame, -frame), seen with confidence p."""
    frames = list(range(len(p))) if frames is None else frames
    place = np.array(frames, dtype=float)
    columns = {"frame": frames, "id": who, "X": place, "Y": 0.0, "poseX0": place, "poseY0": -place}
    return pl.DataFrame({**columns, "poseP0": pl.Series(p, dtype=pl.Float64), "sequence": "s"})


def cleaned(table: pl.DataFrame, **params: object) -> FeatureTable:
    return MovementFilterInterpolate(params=params).apply(table)


@pytest.mark.parametrize("method", ["linear", "nearest", "quadratic", "cubic"])
def test_contract(method):
    tracks = toy_tracks().with_columns(poseP1=pl.lit(0.9))
    tracks = tracks.with_columns(X=pl.when(pl.col("frame") == 4).then(None).otherwise("X"))
    result = check_feature(MovementFilterInterpolate, tracks, {"interpolation_method": method})
    assert set(result.columns) == set(tracks.columns)
    assert result["X"].is_finite().all()


def test_uncertain_positions_are_replaced_by_the_line_between_certain_ones():
    """Confidence .2 in frame 1 and none in frame 2: both coordinates go, and come back straight."""
    table = walk([0.9, 0.2, None, 0.6]).with_columns(
        poseX0=pl.Series([0.0, 77, 77, 3]), poseY0=pl.Series([0.0, 77, 77, -3])
    )
    result = cleaned(table)
    np.testing.assert_allclose(result.table["poseX0"], [0, 1, 2, 3])
    np.testing.assert_allclose(result.table["poseY0"], [0, -1, -2, -3])
    assert result.table["poseP0"].to_list() == [0.9, 0.2, None, 0.6]
    assert dict(result.notes) == {"n_low_confidence": 4, "n_filled": 4, "n_missing": 0}


def test_only_gaps_up_to_max_gap_are_filled_and_ends_never():
    """Low in frames 0, 2, 3, 5: the ends stay, and so does the gap of two with max_gap 1."""
    table = walk([0.1, 1, 0.1, 0.1, 1, 0.1])
    short = cleaned(table, max_gap=1)
    np.testing.assert_array_equal(short.table["poseX0"], [NAN, 1, NAN, NAN, 4, NAN])
    assert short.notes["n_missing"] == 8
    np.testing.assert_array_equal(cleaned(table, max_gap=2).table["poseX0"], [NAN, 1, 2, 3, 4, NAN])


def test_absent_frames_count_and_the_line_runs_over_frames():
    """Frames 1 to 8 are unknown, though only row 2 is: 8 frames; the value in frame 2 is 2."""
    table = walk([1, 0.1, 1], frames=[0, 2, 9])
    assert np.isnan(cleaned(table, max_gap=7).table["poseX0"][1])
    assert cleaned(table, max_gap=8).table["poseX0"][1] == pytest.approx(2.0)
    assert cleaned(table).table["frame"].to_list() == [0, 2, 9]


def test_the_centre_is_interpolated_but_never_taken_out():
    table = walk([0.1, 0.1, 0.1]).with_columns(X=pl.Series([0.0, np.inf, 4.0]))
    result = cleaned(table)
    assert result.table["X"].to_list() == [0.0, 2.0, 4.0]
    assert result.table["poseX0"].is_nan().all()
    untouched = cleaned(table, include_centroid=False)
    assert untouched.table["X"].to_list() == [0.0, np.inf, 4.0]


def test_one_individual_never_fills_anothers_gap():
    """Individual 0 ends unseen where individual 1 begins: rows touch, animals do not."""
    table = pl.concat([walk([1, 1, 0.1]), walk([1, 1, 1], who=1)])
    result = cleaned(table).table
    np.testing.assert_array_equal(result["poseX0"], [0, 1, NAN, 0, 1, 2])


def test_without_confidence_a_note_says_so():
    result = cleaned(walk([1, 1]).drop("poseP0"))
    assert result.notes["not_filtered"] == (
        "no keypoint could be filtered by confidence: no column poseP0"
    )
    some = cleaned(toy_tracks().with_columns(poseP0=pl.lit(1.0)))
    assert "not all keypoints" in some.notes["not_filtered"]
    assert "poseP1, poseP2" in some.notes["not_filtered"]


def test_keypoints_are_chosen_by_number_or_name():
    """poseX10 is keypoint 10, not the second one."""
    points = {"poseX2": [0.0, NAN, 2], "poseY2": 0.0, "poseX10": [0.0, NAN, 4], "poseY10": 0.0}
    table = pl.DataFrame({"frame": [0, 1, 2], "id": 0, "X": 0.0, "Y": 0.0, **points})
    names = tuple("abcdefghijk")
    params = MovementFilterInterpolateParams(keypoint_names=("k",))
    resolved = params.resolve(DatasetFacts(keypoints=names))
    assert resolved.keypoint_names == (10,)
    result = MovementFilterInterpolate(params=resolved).apply(table).table
    np.testing.assert_array_equal(result["poseX10"], [0, 2, 4])
    np.testing.assert_array_equal(result["poseX2"], [0, NAN, 2])
    with pytest.raises(ParamsError, match="was not looked up"):
        MovementFilterInterpolate(params=params).apply(table)
    with pytest.raises(ParamsError, match="no keypoint 'z'"):
        MovementFilterInterpolateParams(keypoint_names=("z",)).resolve(DatasetFacts())
    with pytest.raises(MissingColumnError, match="poseX3"):
        cleaned(table, keypoint_names=(3,))


def test_the_frame_rate_is_no_part_of_the_result():
    """Else a corrected frame rate would compute all recordings again for the same numbers."""
    assert "fps" not in MovementFilterInterpolateParams(fps=25.0).identity()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"confidence_threshold": -0.1}, "greater than or equal to 0"),
        ({"interpolation_method": "spline"}, "interpolation_method"),
        ({"max_gap": -1}, "max_gap"),
        ({"keypoint_names": ()}, "names no keypoint"),
        ({"keypoint_names": (1, 1)}, "one twice"),
        ({"fps": 0}, "greater than 0"),
    ],
)
def test_what_cannot_work_is_refused(params, message):
    with pytest.raises(ParamsError, match=message):
        MovementFilterInterpolate(params=params)


def test_tables_that_cannot_be_cleaned_are_refused():
    bare = pl.DataFrame({"frame": [0], "id": [0]})
    with pytest.raises(MissingColumnError, match="no coordinate to work on"):
        cleaned(bare, include_centroid=False)
    with pytest.raises(MissingColumnError, match="X, Y"):
        cleaned(bare)
    with pytest.raises(FeatureError, match="more than one row"):
        cleaned(pl.concat([walk([1]), walk([1])]))


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([0.1, 0.9]), min_size=3, max_size=12),
    st.floats(-50, 50),
    st.floats(-3, 3),
)
def test_moving_the_scene_moves_the_result(confidence, shift, angle):
    """Interpolation is a mean of positions, so it commutes with shifts and turns."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = pl.col("poseX0"), pl.col("poseY0")
    moved = (c * x - s * y + shift).alias("poseX0"), (s * x + c * y).alias("poseY0")
    table = walk(confidence)
    columns = ["poseX0", "poseY0"]
    before = cleaned(table).table.with_columns(moved).select(columns)
    after = cleaned(table.with_columns(moved)).table.select(columns)
    np.testing.assert_allclose(after.to_numpy(), before.to_numpy(), atol=1e-9)
