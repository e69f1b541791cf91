"""ffgroups: a wrong group makes company of strangers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, ParamsError
from mosaic_dagster.features.library.collective.ffgroups import Ffgroups
from mosaic_dagster.testing import check_feature, toy_tracks

LARVAE = Path(__file__).parents[5] / "shared/data/from_registry/larva_dishes"


def on_a_line(frames: list[int], **animals: list[float | None]) -> pl.DataFrame:
    """Animals 10, 11, … on the x axis; None is an absent row, NaN a row without a position."""
    rows = [
        {"frame": frame, "time": frame / 10, "id": 10 + i, "X": x, "Y": 0.0}
        for i, positions in enumerate(animals.values())
        for frame, x in zip(frames, positions, strict=True)
        if x is not None
    ]
    origin = {"fps": 10.0, "group": "toy", "sequence": "line"}
    return pl.DataFrame(rows).with_columns(pl.lit(v).alias(c) for c, v in origin.items())


def grid(table: pl.DataFrame, column: str) -> list[list[int | None]]:
    """Values by frame, ids in order."""
    return [part[column].to_list() for part in table.partition_by("frame", maintain_order=True)]


def parting() -> pl.DataFrame:
    """a at 0 and c at 100 throughout; b at 5 (with a) in frames 0 to 2, at 50 in frames 3 to 5."""
    return on_a_line(list(range(6)), a=[0.0] * 6, b=[5.0] * 3 + [50.0] * 3, c=[100.0] * 6)


def test_a_pair_parts_and_its_events_are_numbered_by_members():
    """Sets in order: (a), (a, b), (b), (c): events 0 (from frame 3), 1, 2, 3 (throughout)."""
    params = {"distance_cutoff": 10, "window_size": 1}
    result = check_feature(Ffgroups, parting(), params)
    assert result.columns == [
        *("frame", "time", "id", "group_membership", "group_size", "event"),
        *("fps", "group", "sequence"),
    ]
    assert grid(result, "group_membership") == [[0, 0, 1]] * 3 + [[0, 1, 2]] * 3
    assert grid(result, "group_size") == [[2, 2, 1]] * 3 + [[1, 1, 1]] * 3
    assert grid(result, "event") == [[1, 1, 3]] * 3 + [[0, 2, 3]] * 3
    np.testing.assert_allclose(result["time"], result["frame"] / 10)


def test_events_shorter_than_asked_for_have_no_number():
    """(c) lasts from frame 0 to 5, the others 2 frames from first to last: less than 3."""
    params = {"distance_cutoff": 10, "window_size": 1, "min_event_duration": 3}
    assert grid(Ffgroups(params=params).apply(parting()), "event") == [[-1, -1, 0]] * 6
    shorter = {**params, "min_event_duration": 2}
    assert grid(Ffgroups(params=shorter).apply(parting()), "event")[0] == [1, 1, 3]


def test_a_chain_of_neighbours_is_one_group():
    """a and c are 16 apart, but both within 10 of b."""
    table = on_a_line([0, 1], a=[0.0, 0], b=[8.0, 8], c=[16.0, 16])
    result = Ffgroups(params={"distance_cutoff": 10}).apply(table)
    assert grid(result, "group_size") == [[3, 3, 3]] * 2
    without = Ffgroups(params={"distance_cutoff": 10}).apply(table.filter(pl.col("id") != 11))
    assert grid(without, "group_size") == [[1, 1]] * 2


def test_a_moment_apart_is_smoothed_over_and_the_cutoff_is_exclusive():
    """Distances 0, 0, 60, 0, 0; means of 3 frames are at most 20; 20 itself is not below 20."""
    table = on_a_line(list(range(5)), a=[0.0] * 5, b=[0.0, 0, 60, 0, 0])
    near = Ffgroups(params={"distance_cutoff": 21, "window_size": 3}).apply(table)
    assert grid(near, "group_size") == [[2, 2]] * 5
    apart = Ffgroups(params={"distance_cutoff": 20, "window_size": 3}).apply(table)
    assert grid(apart, "group_size") == [[2, 2]] + [[1, 1]] * 3 + [[2, 2]]


def test_windows_are_frames_not_rows():
    """Frame 10 stands alone in its window of 3: 90 apart. The row before would pull it to 45."""
    table = on_a_line([0, 1, 10], a=[0.0] * 3, b=[0.0, 0, 90])
    result = Ffgroups(params={"distance_cutoff": 50, "window_size": 3}).apply(table)
    assert grid(result, "group_size") == [[2, 2], [2, 2], [1, 1]]


def test_events_end_at_a_frame_gap():
    table = on_a_line([0, 1, 5, 6], a=[0.0] * 4)
    assert grid(Ffgroups().apply(table), "event") == [[0], [0], [1], [1]]


@pytest.mark.parametrize("absent", [None, np.nan, np.inf])
def test_an_absent_animal_has_no_group_and_spoils_none(absent):
    """b is absent in frame 1; a stays with c, and b's company on either side is no event."""
    table = on_a_line([0, 1, 2], a=[0.0] * 3, b=[1.0, absent, 1.0], c=[2.0] * 3)
    result = Ffgroups(params={"distance_cutoff": 5, "min_event_duration": 0}).apply(table)
    assert grid(result, "group_membership") == [[0, 0, 0], [0, None, 0], [0, 0, 0]]
    assert grid(result, "group_size") == [[3, 3, 3], [2, None, 2], [3, 3, 3]]
    assert grid(result, "event") == [[0, 0, 0], [2, -1, 2], [1, 1, 1]]


def test_a_single_animal_and_ids_of_any_size():
    table = toy_tracks(n_frames=3, n_ids=1).with_columns(id=pl.lit(-(2**40), dtype=pl.Int64))
    result = check_feature(Ffgroups, table)
    assert result["id"].unique().to_list() == [-(2**40)]
    assert result["group_size"].to_list() == [1, 1, 1]
    assert result["event"].to_list() == [0, 0, 0]


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="odd"):
        Ffgroups(params={"window_size": 4})
    with pytest.raises(FeatureError, match="more than one row"):
        Ffgroups().apply(pl.concat([parting(), parting()]))
    nobody = parting().with_columns(id=pl.when(pl.col("frame") != 2).then("id"))
    with pytest.raises(FeatureError, match="frame 2 has no id"):
        Ffgroups().apply(nobody)


@pytest.mark.skipif(not LARVAE.is_dir(), reason="needs the recordings of larvae")
@pytest.mark.parametrize(("dish", "n_larvae"), [("dish01", 18), ("dish02", 20)])
def test_larvae_that_come_and_go(dish, n_larvae):
    tracks = pl.read_parquet(LARVAE / f"{dish}.parquet").select("frame", "id", X="mid_x", Y="mid_y")
    result = Ffgroups(params={"distance_cutoff": 10}).apply(tracks)
    assert result.height == tracks["frame"].n_unique() * n_larvae
    assert result["group_size"].count() == tracks.filter(pl.col("X").is_finite()).height
    members = result.drop_nulls().group_by("frame", "group_membership")
    counted = members.agg(pl.len(), pl.col("group_size").first(), pl.col("event").n_unique())
    assert (counted["len"] == counted["group_size"]).all()
    assert (counted["event"] == 1).all()
