"""ffgroups-metrics: who is at the edge of a group, and for how long it is in one."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.collective.ffgroups import Ffgroups
from mosaic_dagster.features.library.collective.ffgroups_metrics import FfgroupsMetrics
from mosaic_dagster.testing import check_feature

NAN = np.nan


def meeting(**changes: Any) -> pl.DataFrame:
    """Animals 0 and 1 together (event 0) in frames 0 and 1, alone (events 1, 2) in 2 and 3.

    Animal 0 stays at x = 0 with speed 1; animal 1 is at 4, 8, 90, 90 with speeds 3, 5, 1, 1.
    """
    columns = {
        "frame": [0, 0, 1, 1, 2, 2, 3, 3],
        "id": [0, 1] * 4,
        "X": [0.0, 4, 0, 8, 0, 90, 0, 90],
        "Y": [0.0] * 8,
        "event": [0, 0, 0, 0, 1, 2, 1, 2],
        "group_size": [2, 2, 2, 2, 1, 1, 1, 1],
        "speed": [1.0, 3, 1, 5, 1, 1, 1, 1],
    }
    table = pl.DataFrame({**columns, **changes})
    origin = {"fps": 10.0, "group": "toy", "sequence": "meeting"}
    table = table.with_columns(pl.lit(v).alias(c) for c, v in origin.items())
    return table.with_columns(time=pl.col("frame") / 10)


def measure(table: pl.DataFrame, **params: Any) -> pl.DataFrame:
    return FfgroupsMetrics(params=params).apply(table)


def test_contract_and_sums_of_a_meeting():
    """Together: centroids 2 and 4, so distances 2 and 4, mean 3, animal 0 on the -x side.

    Mean speeds 2 and 3: animal 0 is off by -1 and -2, animal 1 by 1 and 2.
    Any two animals are equally far from their centroid: both at the periphery.
    """
    result = check_feature(FfgroupsMetrics, meeting())
    assert result.columns == [
        *("id", "chunk_id", "chunk_start_frame", "chunk_end_frame"),
        *("chunk_start_time", "chunk_end_time", "group_size", "fractime_norm2"),
        *("avg_duration_frame", "med_duration_frame", "ftime_periphery", "ftime_periphery_norm"),
        *("distance_from_centroid", "offset_x", "offset_y", "dev_speed_to_mean"),
        *("fps", "group", "sequence"),
    ]
    assert result.select("id", "group_size").rows() == [(0, 1), (0, 2), (1, 1), (1, 2)]
    expected = {
        "fractime_norm2": [0.5] * 4,
        "avg_duration_frame": [2] * 4,
        "med_duration_frame": [2] * 4,
        "ftime_periphery": [1] * 4,
        "ftime_periphery_norm": [1, 2, 1, 2],
        "distance_from_centroid": [0, 3, 0, 3],
        "offset_x": [0, -3, 0, 3],
        "offset_y": [0] * 4,
        "dev_speed_to_mean": [0, -1.5, 0, 1.5],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(result[name], values, err_msg=name)
    assert result.select("chunk_start_frame", "chunk_end_frame").row(0) == (0, 3)
    np.testing.assert_allclose(result.select("chunk_start_time", "chunk_end_time").row(0), (0, 0.3))


def three(**changes: Any) -> pl.DataFrame:
    """At 0, 2 and 10: the centroid is 4; the distances 4, 2, 6; the third is at the periphery."""
    columns = {
        "frame": [0] * 3,
        "id": [5, 6, 7],
        "X": [0.0, 2, 10],
        "Y": [0.0] * 3,
        "event": [0] * 3,
        "group_size": [3] * 3,
        "speed": [1.0] * 3,
    }
    return pl.DataFrame({**columns, **changes})


def test_only_the_farthest_is_at_the_periphery():
    result = measure(three())
    assert result["ftime_periphery"].to_list() == [0, 0, 1]
    assert result["ftime_periphery_norm"].to_list() == [0, 0, 3]
    np.testing.assert_allclose(result["distance_from_centroid"], [4, 2, 6])


def test_strangers_outside_of_events_are_no_group():
    """Pooled, the three would have the centroid 4; each is alone, so nothing is known of it."""
    result = measure(three(event=[-1, -1, -1], group_size=[1, 1, 1]))
    for name in ("distance_from_centroid", "ftime_periphery", "dev_speed_to_mean", "offset_x"):
        assert result[name].is_nan().all(), name
    np.testing.assert_allclose(result["fractime_norm2"], 1)
    partly = measure(three(event=[0, 0, None], group_size=[2, 2, 1]))
    np.testing.assert_allclose(partly["distance_from_centroid"], [1, 1, NAN])


def test_rounding_does_not_decide_between_two_animals():
    """0.1 and 0.7 are as far from their mean as each other, but for the last bit."""
    middle = (0.1 + 0.7) / 2
    assert middle - 0.1 != 0.7 - middle
    pair = three(X=[0.1, 0.7, NAN], group_size=[2, 2, None])
    assert measure(pair)["ftime_periphery"].to_list() == [1, 1]


@pytest.mark.parametrize("size", [None, -1])
def test_an_absent_animal_counts_for_nothing(size):
    """Animal 7 has no position and no group size; the others' values stay."""
    table = three(X=[0.0, 2.0, NAN], event=[0, 0, -1], group_size=[2, 2, size])
    result = measure(table)
    assert result["id"].to_list() == [5, 6]
    np.testing.assert_allclose(result["distance_from_centroid"], [1, 1])


def test_offsets_turn_with_the_circular_mean_heading_of_the_group():
    """Heading pi/2: what is at -x, 3 away, is on the (-sin, cos) side by 3.

    3.1 and -3.1 point to pi (their plain mean to 0): -x is then ahead. No heading: unknown.
    """
    up = measure(meeting(centroid_heading=[np.pi / 2] * 8)).filter(pl.col("group_size") == 2)
    np.testing.assert_allclose(up["offset_x"], [0, 0], atol=1e-12)
    np.testing.assert_allclose(up["offset_y"], [3, -3])
    seam = measure(meeting(centroid_heading=[3.1, -3.1] * 4)).filter(pl.col("group_size") == 2)
    np.testing.assert_allclose(seam["offset_x"], [3, -3])
    lost = measure(meeting(centroid_heading=[NAN] * 8))
    assert lost["offset_x"].is_nan().all()
    np.testing.assert_allclose(lost["distance_from_centroid"], [0, 3, 0, 3])


def alone(frames: list[int], sizes: list[int]) -> pl.DataFrame:
    n = len(frames)
    columns = {"frame": frames, "id": [0] * n, "X": [0.0] * n, "Y": [0.0] * n, "event": [0] * n}
    return pl.DataFrame({**columns, "group_size": sizes, "speed": [1.0] * n})


def test_stretches_end_at_gaps_and_changes_of_size():
    """Size 1 in frames 0-2, 4 and 6 (5 is missing): lengths 3, 1, 1: mean 5/3, median 1."""
    result = measure(alone([0, 1, 2, 3, 4, 6], [1, 1, 1, 2, 1, 1]))
    np.testing.assert_allclose(result["avg_duration_frame"], [5 / 3, 1])
    np.testing.assert_allclose(result["med_duration_frame"], [1, 1])
    np.testing.assert_allclose(result["fractime_norm2"], [5 / 6, 1 / 6])


def test_chunks_by_frames_and_by_seconds_agree_and_end_stretches():
    """Frames 3 to 9 in chunks of 3 frames (0.3 s): 3-5, 6-8, 9. 0.3 s / 0.3 s is chunk 1."""
    table = alone(list(range(3, 10)), [1] * 7)
    frames = measure(table, frame_chunk=3)
    assert frames["chunk_id"].to_list() == [0, 1, 2]
    assert frames["chunk_start_frame"].to_list() == [3, 6, 9]
    assert frames["chunk_end_frame"].to_list() == [5, 8, 9]
    np.testing.assert_allclose(frames["avg_duration_frame"], [3, 3, 1])
    assert frames["chunk_start_time"].is_nan().all()
    seconds = measure(table, time_chunk_sec=0.3, fps=10)
    np.testing.assert_allclose(seconds["chunk_start_time"], [0.3, 0.6, 0.9])
    assert seconds.drop("chunk_start_time", "chunk_end_time").equals(
        frames.drop("chunk_start_time", "chunk_end_time")
    )
    timed = table.with_columns(time=pl.col("frame") * 0.1)
    assert measure(timed, time_chunk_sec=0.3)["chunk_id"].to_list() == [0, 1, 2]


def test_rounding_does_not_move_a_frame_to_the_chunk_before():
    """0.3 / 0.1 is 2.9999999999999996, but frame 3 at 10 fps begins the fourth tenth."""
    result = measure(alone([0, 1, 2, 3], [1] * 4), time_chunk_sec=0.1, fps=10)
    assert result["chunk_id"].to_list() == [0, 1, 2, 3]


def test_excluded_rows_are_left_out():
    """Frame 1 is flagged: the meeting is one frame, 2 from the centroid."""
    table = meeting(bad=[0, 0, 1, 1, 0, 0, 0, 0])
    result = measure(table, exclude_cols=["bad"]).filter(pl.col("group_size") == 2)
    np.testing.assert_allclose(result["distance_from_centroid"], [2, 2])
    np.testing.assert_allclose(result["fractime_norm2"], [1 / 3, 1 / 3])


def test_takes_what_ffgroups_makes():
    """The meeting's own groups, found from its positions: the same summary."""
    tracks = meeting().drop("event", "group_size", "speed")
    params = {"distance_cutoff": 20, "window_size": 1}
    groups = Ffgroups(params=params).apply(tracks).select("frame", "id", "event", "group_size")
    joined = meeting().drop("event", "group_size").join(groups, on=["frame", "id"])
    shared = [c for c in measure(meeting()).columns if c not in ("fps", "group", "sequence")]
    assert measure(joined).select(shared).equals(measure(meeting()).select(shared))


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="both given"):
        FfgroupsMetrics(params={"frame_chunk": 3, "time_chunk_sec": 1})
    with pytest.raises(ParamsError, match="key column"):
        FfgroupsMetrics(params={"group_col": "id"})
    with pytest.raises(MissingColumnError, match="group_size"):
        measure(meeting().drop("group_size"))
    with pytest.raises(FeatureError, match="frame rate"):
        measure(alone([0], [1]), time_chunk_sec=1)
    with pytest.raises(FeatureError, match="more than one row"):
        measure(pl.concat([meeting(), meeting()]))
    untimed = meeting().with_columns(time=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(FeatureError, match="Frame 0 has no time"):
        measure(untimed, time_chunk_sec=1)
