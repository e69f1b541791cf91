"""approach-avoidance: events are counted, so one too many or in the wrong direction matters."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.pairs.approach_avoidance import (
    ApproachAvoidance,
    extract_events,
)
from mosaic_dagster.testing import check_feature, toy_tracks

FLAGS = ["label_id", "aa_event", "aa_event_12", "aa_event_21"]


def chase(frames: list[int] | np.ndarray, step: float = 10.0, ids: tuple[int, int] = (3, 8)):
    """The first id runs along +x and the second 50 ahead of it; both look where they run."""
    frame = np.asarray(frames)
    tables = [
        pl.DataFrame({"frame": frame, "id": who, "X": step * frame + lead, "Y": 0.0, "ANGLE": 0.0})
        for who, lead in zip(ids, (0.0, 50.0), strict=True)
    ]
    return pl.concat(tables).with_columns(fps=10.0)


def run(table: pl.DataFrame, **params) -> pl.DataFrame:
    return ApproachAvoidance(params=params).apply(table).table


def active(table: pl.DataFrame, direction: str = "12", **params) -> list[int]:
    """Frames of the events."""
    return run(table, **params).filter(pl.col(f"aa_event_{direction}") == 1)["frame"].to_list()


def test_contract():
    table = toy_tracks(n_frames=20, n_ids=3).with_columns(ANGLE=pl.lit(0.9))
    result = check_feature(ApproachAvoidance, table)
    keys = ["frame", "time", "id1", "id2"]
    assert result.columns == [*keys, *FLAGS, "fps", "group", "sequence"]
    assert result.schema["aa_event"] == pl.Int8
    assert result.height == 20 * 3


def test_contract_with_an_event():
    assert check_feature(ApproachAvoidance, chase(range(12)))["aa_event"].sum() == 7


def test_a_chase_is_an_event_from_its_fifth_candidate_on():
    """Speed 10, both cosines 1. Frame 0 has no velocity; frames 1 to 5 are five candidates."""
    result = run(chase(range(12)))
    assert result["aa_event_12"].to_list() == [0] * 5 + [1] * 7
    assert result["aa_event_21"].to_list() == [0] * 12
    assert result["label_id"].equals(result["aa_event"], check_names=False)
    assert set(result["id1"]) == {3}
    assert set(result["id2"]) == {8}


def test_the_higher_id_may_be_the_one_that_approaches():
    table = chase(range(12), ids=(8, 3))
    assert active(table, "12") == []
    assert active(table, "21") == list(range(5, 12))
    assert run(table)["aa_event"].sum() == 7


@pytest.mark.parametrize(
    "params",
    [
        {"distance_threshold": 49.0},
        {"approacher_velocity_threshold": 10.1},
        {"avoider_velocity_threshold": 10.1},
    ],
)
def test_each_limit_counts(params):
    assert active(chase(range(12)), **params) == []


def test_limits_are_inclusive():
    """Distance 50 and speed 10 exactly."""
    limits = {"approacher_velocity_threshold": 10.0, "avoider_velocity_threshold": 10.0}
    assert active(chase(range(12)), distance_threshold=50.0, **limits) == list(range(5, 12))


def test_who_walks_backwards_does_not_approach():
    """Heading -x, velocity +x: cosine -1, unless nobody asks; then ANGLE is not even read."""
    backwards = chase(range(12)).with_columns(ANGLE=pl.lit(np.pi))
    assert active(backwards) == []
    expected = list(range(5, 12))
    assert active(backwards.drop("ANGLE"), orientation_gate_cos=None) == expected
    with pytest.raises(MissingColumnError, match="ANGLE"):
        run(backwards.drop("ANGLE"))


def test_flight_to_the_side_is_weaker_than_approach():
    """The second leaves at 45°: cosine 0.71 and falling as it leads; above 0.5, below 0.8."""
    frame = np.arange(12)
    first = pl.DataFrame({"frame": frame, "id": 0, "X": 6.0 * frame, "Y": 0.0, "ANGLE": 0.0})
    second = first.with_columns(id=pl.lit(1), X=pl.col("X") + 150, Y=6.0 * pl.col("frame"))
    table = pl.concat([first, second.with_columns(ANGLE=pl.lit(np.pi / 4))])
    assert active(table) == list(range(5, 12))
    assert active(table, cos_avoider_threshold=0.95) == []


def test_velocities_end_at_a_frame_gap_and_windows_count_frames():
    """Frames 0–9 and 13–19; three candidates of the last four frames make an event.

    Before the gap candidates are 1–9, events 3–9. Frame 13 has no velocity; 14, 15, 16 are the
    first three candidates within four frames. Counted by rows, 14 would already be an event.
    """
    frames = [*range(10), *range(13, 20)]
    found = active(chase(frames), min_event_length=4, min_event_count=3)
    assert found == [*range(3, 10), *range(16, 20)]


def test_a_long_hole_is_not_filled():
    """A chaser that is lost in frames 10–49 has neither rows nor events there."""
    table = chase(range(60)).with_columns(
        X=pl.when((pl.col("id") == 3) & pl.col("frame").is_between(10, 49))
        .then(pl.lit(np.nan))
        .otherwise("X")
    )
    made = ApproachAvoidance().apply(table)
    assert made.table["frame"].to_list() == [*range(10), *range(50, 60)]
    assert active(table) == [*range(5, 10), *range(55, 60)]
    assert made.notes["n_dropped"] == 40


def test_the_count_is_capped_at_the_length():
    """Five of three frames can never be; three of three can."""
    assert active(chase(range(12)), min_event_length=3) == list(range(3, 12))


def test_rates_per_second_need_the_frame_rate():
    """1 per frame at 10 fps is 10 per second."""
    slow = chase(range(12), step=1.0)
    assert active(slow) == []
    assert active(slow, velocity_units="per_second") == list(range(5, 12))
    with pytest.raises(FeatureError, match="frame rate"):
        run(slow.drop("fps"), velocity_units="per_second")


def test_recordings_with_every_second_frame():
    """A step of 2 frames; 1 per frame is 2 per step and 10 per second at 10 fps."""
    table = chase(range(0, 24, 2))
    assert active(table) == []
    params = {"consecutive_frame_delta": 2, "min_event_length": 20}
    assert active(table, **params) == list(range(10, 24, 2))
    slow = chase(range(0, 24, 2), step=1.0)
    params |= {"velocity_units": "per_second", "approacher_velocity_threshold": 9.9}
    assert active(slow, **params) == list(range(10, 24, 2))
    assert active(slow, **{**params, "approacher_velocity_threshold": 10.1}) == []


@pytest.mark.parametrize(("units", "expected"), [("degrees", 7), ("auto", 7), ("radians", 0)])
def test_headings_in_degrees(units, expected):
    """All run along -x and look along 180°; 180 rad would be somewhere else."""
    table = chase(range(12)).with_columns(X=-pl.col("X"), ANGLE=pl.lit(180.0))
    assert len(active(table, angle_units=units)) == expected


def test_auto_leaves_radians_alone():
    table = chase(range(12)).with_columns(ANGLE=pl.lit(2 * np.pi))
    assert len(active(table, angle_units="auto")) == 7


def test_averages_bridge_a_stop():
    """The pair moves by 10 in every second frame: candidates are every second one.

    Over 0.2 s (two rows) the mean speed is 5 in each, which is enough.
    """
    stop_and_go = chase(range(30)).with_columns(
        X=pl.when(pl.col("id") == 3).then(0.0).otherwise(50.0) + 10.0 * (pl.col("frame") // 2)
    )
    assert all(frame % 2 == 0 for frame in active(stop_and_go))
    found = active(stop_and_go, smooth_window_sec=0.2)
    assert found == list(range(found[0], 30))


def test_positions_are_smoothed_when_asked():
    """A zigzag of ±4 across the way has cosine 10 / sqrt(164) = 0.78; its mean over 3 is ±1.33."""
    zigzag = chase(range(30)).with_columns(Y=4.0 * (-1.0) ** pl.col("frame"))
    assert active(zigzag) == []
    assert len(active(zigzag, sampling={"smooth_win": 3})) > 20


def walk(seed: int, n_ids: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for who in range(n_ids):
        x, y = rng.normal(0, 4, (2, 60)).cumsum(axis=1)
        angle = rng.uniform(-3, 3, 60)
        part = pl.DataFrame({"frame": np.arange(60), "id": who, "X": x, "Y": y, "ANGLE": angle})
        parts.append(part.filter(pl.Series(rng.random(60) > 0.05)))
    return pl.concat(parts)


LOOSE = {
    "approacher_velocity_threshold": 1.0,
    "avoider_velocity_threshold": 1.0,
    "cos_approacher_threshold": 0.0,
    "cos_avoider_threshold": 0.0,
    "min_event_count": 1,
    "orientation_gate_cos": 0.0,
}


@given(st.integers(0, 200))
@settings(max_examples=15)
def test_renaming_swaps_the_directions(seed):
    """Ids 0, 1, 2 become 2, 1, 0: who was first is second."""
    table = walk(seed)
    one = run(table, **LOOSE)
    other = run(table.with_columns(id=2 - pl.col("id")), **LOOSE)
    turned = other.select(
        "frame",
        id1=2 - pl.col("id2"),
        id2=2 - pl.col("id1"),
        aa_event_12="aa_event_21",
        aa_event_21="aa_event_12",
    )
    keys = ["frame", "id1", "id2"]
    assert turned.sort(keys).equals(one.select(turned.columns).sort(keys))


@given(st.integers(0, 200))
@settings(max_examples=15)
def test_a_pair_does_not_depend_on_others(seed):
    table = walk(seed)
    among = run(table, **LOOSE).filter(id1=0, id2=1)
    assert among.equals(run(table.filter(pl.col("id") < 2), **LOOSE))


def test_the_frame_rate_of_the_dataset_is_taken():
    params = ApproachAvoidance.Params().resolve(DatasetFacts(fps=25.0))
    assert params.sampling.fps_default == 25.0
    own = ApproachAvoidance.Params(sampling={"fps_default": 5.0}).resolve(DatasetFacts(fps=25.0))
    assert own.sampling.fps_default == 5.0


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="cos_avoider_threshold"):
        ApproachAvoidance(params={"cos_avoider_threshold": 1.5})
    with pytest.raises(ParamsError, match="angle_units"):
        ApproachAvoidance(params={"angle_units": "turns"})


def events_of(frames: list[int], forth: list[int], back: list[int]) -> pl.DataFrame:
    columns = {"frame": frames, "aa_event_12": forth, "aa_event_21": back}
    return pl.DataFrame(columns).with_columns(id1=3, id2=8, group=pl.lit("g"), sequence=pl.lit("s"))


def test_events_break_at_frame_gaps():
    """Active in 0, 1, 2 and 5, 6: two events, though the rows stand side by side."""
    events = extract_events(events_of([0, 1, 2, 5, 6], [1] * 5, [0] * 5).reverse())
    assert events.columns == [
        *("id1", "id2", "start_frame", "end_frame", "duration", "direction"),
        *("approacher_id", "avoider_id", "group", "sequence"),
    ]
    assert events["start_frame"].to_list() == [0, 5]
    assert events["end_frame"].to_list() == [2, 6]
    assert events["duration"].to_list() == [3, 2]
    whole = extract_events(events_of([0, 2, 4], [1] * 3, [0] * 3), consecutive_frame_delta=2)
    assert whole["duration"].to_list() == [5]


def test_events_say_who_approaches_whom():
    events = extract_events(events_of([0, 1, 2, 3], [1, 1, 0, 0], [0, 0, 1, 0]))
    assert events["direction"].to_list() == ["12", "21"]
    assert events["approacher_id"].to_list() == [3, 8]
    assert events["avoider_id"].to_list() == [8, 3]
    assert events["start_frame"].to_list() == [0, 2]


def test_short_events_are_left_out_and_recordings_stay_apart():
    table = events_of([0, 1, 2], [1, 1, 1], [0, 0, 1])
    assert extract_events(table, min_duration=2)["direction"].to_list() == ["12"]
    both = pl.concat([table, table.with_columns(sequence=pl.lit("t"), frame=pl.col("frame") + 3)])
    events = extract_events(both, min_duration=3)
    assert events["sequence"].to_list() == ["s", "t"]


def test_no_event_gives_an_empty_table():
    events = extract_events(run(chase(range(3))))
    assert events.is_empty()
    assert "approacher_id" in events.columns
    with pytest.raises(MissingColumnError, match="aa_event_12"):
        extract_events(toy_tracks().with_columns(id1=0, id2=1))
