"""pair-interaction-filter: it decides which frames are looked at at all."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.pairs.pair_interaction_filter import PairInteractionFilter
from mosaic_dagster.testing import check_feature, toy_tracks

PLAIN = {"min_run_frames": 5, "frame_padding": 0, "morphological_structure_size": 0}


def face_to_face(meeting, n_frames: int = 30, ids=(2, 5), headings=(0.0, np.pi)) -> pl.DataFrame:
    """Two that look at each other from 60 apart in the frames of ``meeting``, else from 200.

    Shifted 15 forward they are 30 apart, below 40.
    """
    frame = np.arange(n_frames)
    away = np.where(np.isin(frame, list(meeting)), 60.0, 200.0)
    tables = [
        pl.DataFrame({"frame": frame, "id": who, "X": x, "Y": 0.0, "ANGLE": heading})
        for who, x, heading in zip(ids, (0 * away, away), headings, strict=True)
    ]
    return pl.concat(tables)


def run(table: pl.DataFrame, **params) -> pl.DataFrame:
    return PairInteractionFilter(params={**PLAIN, **params}).apply(table)


def found(table: pl.DataFrame, **params) -> list[tuple[int, int, int]]:
    """Interaction, start and end of each, without repeats."""
    columns = ["interaction_id", "interaction_start", "interaction_end"]
    return run(table, **params).select(columns).unique(maintain_order=True).rows()


def test_contract():
    """Three abreast, 100 apart: only neighbours are closer than 150."""
    table = toy_tracks(n_ids=3)
    params = {**PLAIN, "shift_dist": 0, "max_dist": 150, "require_facing": False}
    result = check_feature(PairInteractionFilter, table, params)
    values = ["interaction_id", "interaction_start", "interaction_end"]
    assert result.columns == ["frame", "time", "id1", "id2", *values, "fps", "group", "sequence"]
    assert result.height == 2 * 12
    assert check_feature(PairInteractionFilter, face_to_face(range(30)), PLAIN).height == 30


def test_a_meeting_is_padded_and_both_ends_are_included():
    """Frames 10 to 19, two more on both sides: 8 to 21, fourteen rows."""
    result = run(face_to_face(range(10, 20)), frame_padding=2)
    assert result["frame"].to_list() == list(range(8, 22))
    assert result.row(0, named=True) == {
        "frame": 8,
        "id1": 2,
        "id2": 5,
        "interaction_id": 0,
        "interaction_start": 8,
        "interaction_end": 21,
    }


def test_padding_ends_with_the_recording():
    assert found(face_to_face(range(10, 30)), frame_padding=100) == [(0, 0, 29)]


def test_meetings_that_overlap_when_padded_are_one():
    """0–9 and 14–23: padded by 2 apart, by 3 they share a frame, which can have one row only."""
    table = face_to_face([*range(10), *range(14, 24)])
    assert found(table, frame_padding=2) == [(0, 0, 11), (1, 12, 25)]
    assert found(table, frame_padding=3) == [(0, 0, 26)]


def test_short_meetings_do_not_count():
    table = face_to_face(range(10, 20))
    assert found(table, min_run_frames=10) == [(0, 10, 19)]
    assert found(table, min_run_frames=11) == []


def test_a_meeting_that_fills_the_recording_keeps_its_ends():
    """Thirty frames stay thirty with a structure of 25 frames."""
    table = face_to_face(range(30))
    assert found(table, min_run_frames=30, morphological_structure_size=25) == [(0, 0, 29)]


def test_short_gaps_close_and_short_meetings_open():
    """5–14 and 17–24: two frames between, closed by 3. 28 alone is opened away by 2."""
    table = face_to_face([*range(5, 15), *range(17, 25), 28], n_frames=60)
    sizes = {"min_run_frames": 1}
    assert found(table, **sizes) == [(0, 5, 14), (1, 17, 24), (2, 28, 28)]
    assert found(table, **sizes, morphological_structure_size=2) == [(0, 5, 14), (1, 17, 24)]
    assert found(table, **sizes, morphological_structure_size=3) == [(0, 5, 24)]


def test_a_frame_without_a_row_is_a_gap():
    """5–14 and 15–24 look like one run of rows when frame 15 is missing, but are two meetings."""
    table = face_to_face(range(5, 25)).filter((pl.col("frame") != 15) | (pl.col("id") != 5))
    assert found(table) == [(0, 5, 14), (1, 16, 24)]
    assert found(table, min_run_frames=11) == []
    closed = run(table, morphological_structure_size=2, min_run_frames=20)
    assert closed["frame"].to_list() == [f for f in range(5, 25) if f != 15]
    assert set(closed["interaction_end"]) == {24}


def test_a_missing_value_is_no_meeting():
    for column in ("X", "ANGLE"):
        table = face_to_face(range(5, 25)).with_columns(
            pl.when(pl.col("frame") == 15).then(pl.lit(np.inf)).otherwise(column).alias(column)
        )
        assert found(table) == [(0, 5, 14), (1, 16, 24)]


@pytest.mark.parametrize("turns", [-1, 0, 1, 2])
def test_headings_are_compared_around_the_circle(turns):
    """Opposed whatever the number of full turns; the same direction never is."""
    more = 2 * np.pi * turns
    assert found(face_to_face(range(30), headings=(more, np.pi))) == [(0, 0, 29)]
    side_by_side = face_to_face(range(30), headings=(np.pi + more, np.pi))
    assert found(side_by_side, max_dist=500) == []
    assert found(side_by_side, max_dist=500, require_facing=False) == [(0, 0, 29)]


def test_how_far_from_opposed_is_a_limit():
    """One is turned by 70°: below 80, not below 60."""
    turned = face_to_face(range(30), headings=(0.0, np.pi - np.radians(70)))
    assert found(turned, max_dist=500) == [(0, 0, 29)]
    assert found(turned, max_dist=500, max_inv_orientation_diff_deg=60) == []


def test_points_are_moved_forward_before_they_are_compared():
    """60 apart: 30 after the shift, 60 without, and 0 for a scale of 2."""
    table = face_to_face(range(30))
    assert found(table, shift_dist=0) == []
    assert found(table, px_scale=2, max_dist=0.1) == [(0, 0, 29)]


def test_without_shift_and_facing_no_heading_is_needed():
    table = face_to_face(range(30)).drop("ANGLE")
    params = {"shift_dist": 0, "require_facing": False, "max_dist": 61}
    assert found(table, **params) == [(0, 0, 29)]
    with pytest.raises(MissingColumnError, match="ANGLE"):
        run(table)


def test_the_head_is_the_point_when_it_is_named():
    """Heads are 100 nearer than centres."""
    table = face_to_face(range(30)).with_columns(
        poseX4=pl.when(pl.col("id") == 5).then(pl.col("X") - 100).otherwise("X"), poseY4="Y"
    )
    near = {"shift_dist": 0, "max_dist": 41, "pose_head_index": 4}
    assert found(table, **near) == [(0, 0, 29)]
    assert found(table, **near, use_pixel_coords=False) == []
    params = PairInteractionFilter.Params(pose_head_index="nose")
    assert params.resolve(DatasetFacts(keypoints=("tail", "nose"))).pose_head_index == 1


def test_each_pair_counts_its_own_interactions():
    one, two = face_to_face(range(8)), face_to_face(range(10, 20), ids=(7, 9))
    far = two.with_columns(Y=pl.lit(9999.0))
    result = run(pl.concat([far, one]))
    firsts = result.select("id1", "id2", "interaction_id").unique(maintain_order=True)
    assert firsts.rows() == [(2, 5, 0), (7, 9, 0)]


@given(st.lists(st.booleans(), min_size=30, max_size=60), st.integers(0, 6), st.integers(-9, 9))
@settings(max_examples=30)
def test_later_frame_numbers_only_move_the_result(meets, size, shift):
    table = face_to_face(np.flatnonzero(meets), n_frames=len(meets))
    params = {"morphological_structure_size": size, "frame_padding": 1, "min_run_frames": 2}
    moved = run(table.with_columns(frame=pl.col("frame") + shift), **params)
    columns = ["frame", "interaction_start", "interaction_end"]
    assert moved.with_columns(pl.col(columns) - shift).equals(run(table, **params))


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="min_run_frames"):
        PairInteractionFilter(params={"min_run_frames": 0})
    with pytest.raises(ParamsError, match="max_inv_orientation_diff_deg"):
        PairInteractionFilter(params={"max_inv_orientation_diff_deg": 200})


def test_a_short_meeting_near_an_end_stays_short():
    """Twelve frames of contact in a clip of sixty are no interaction of forty frames."""
    table = face_to_face(range(24, 36), n_frames=60)
    assert found(table, min_run_frames=40, morphological_structure_size=25) == []
    assert found(table, min_run_frames=12, morphological_structure_size=12) == [(0, 24, 35)]
