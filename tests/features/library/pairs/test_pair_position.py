"""pair-position: who sees whom where, and how fast both move."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.pairs._ego import EGO_COLUMNS
from mosaic_dagster.features.library.pairs.pair_position import PairPosition
from mosaic_dagster.testing import check_feature, toy_values

NAN = np.nan


def animal(identity: int, x, y, angle) -> pl.DataFrame:
    return toy_values({"X": x, "Y": y, "ANGLE": angle}, identity={"id": identity})


def walkers(n: int = 5) -> pl.DataFrame:
    """At 10 fps both move (3, 4) per frame; 5 is (6, 8) from 2; 2 looks along +x, 5 along +y."""
    f = np.arange(float(n))
    two = animal(2, 3 * f, 4 * f, np.zeros(n))
    five = animal(5, 3 * f + 6, 4 * f + 8, np.full(n, np.pi / 2))
    return pl.concat([five, two]).sort("frame", maintain_order=True)


def random_walk(ids: tuple[int, ...] = (2, 5), n: int = 40, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.concat(
        [
            animal(i, *rng.normal(size=(2, n)).cumsum(axis=1), rng.uniform(-np.pi, np.pi, n))
            for i in ids
        ]
    )


def test_contract():
    result = check_feature(PairPosition, random_walk())
    keys = ["frame", "time", "id1", "id2", "perspective"]
    assert result.columns == [*keys, *EGO_COLUMNS, "fps", "group", "sequence"]
    assert set(result.select(EGO_COLUMNS).dtypes) == {pl.Float32}
    assert result.height == 80


def test_both_perspectives_by_hand():
    """Speed |(30, 40)| = 50. Animal 2: 30 ahead, 40 along (0, 1). Animal 5, h = (0, 1),
    o = (-1, 0): 40 ahead, -30. From 2 the other is 6 ahead, 8 beside; from 5, with offset
    (-6, -8), it is -8 ahead and 6 beside. 5 is turned by +90° against 2, 2 by -90° against 5.
    """
    table = PairPosition().apply(walkers()).table
    names = ("A_speed", "A_v_para", "A_v_perp", "A_ang_speed", "A_heading_cos", "A_heading_sin",
             "AB_dist", "AB_dx_egoA", "AB_dy_egoA", "rel_heading_cos", "rel_heading_sin",
             "B_speed", "B_v_para", "B_v_perp", "B_ang_speed")  # fmt: skip
    assert names == EGO_COLUMNS
    own = table.filter(perspective=0)
    swapped = table.filter(perspective=1)
    assert own.select("id1", "id2").unique().rows() == [(2, 5)]
    assert swapped.select("id1", "id2").unique().rows() == [(5, 2)]
    seen = ((50, 30, 40, 0, 1, 0, 10, 6, 8, 0, 1, 50, 40, -30, 0),
            (50, 40, -30, 0, 0, 1, 10, -8, 6, 0, -1, 50, 30, 40, 0))  # fmt: skip
    for rows, values in zip((own, swapped), seen, strict=True):
        expected = np.tile(values, (5, 1))
        np.testing.assert_allclose(rows.select(EGO_COLUMNS).to_numpy(), expected, atol=1e-5)


def test_rows_are_sorted_and_carry_time_and_origin():
    table = PairPosition().apply(walkers(3)[::-1]).table
    assert table["frame"].to_list() == [0, 0, 1, 1, 2, 2]
    assert table["id1"].to_list() == [2, 5] * 3
    np.testing.assert_allclose(table["time"], [0, 0, 0.1, 0.1, 0.2, 0.2])
    assert table.select("fps", "group", "sequence").unique().rows() == [(10.0, "toy", "values")]


def test_a_gap_in_the_frames_is_no_burst_of_speed():
    """Rows 3 frames apart would give (1 + 4)/2 = 2.5 times the speed if rows were counted."""
    table = walkers(12).filter(~pl.col("frame").is_in([5, 6, 7]))
    result = PairPosition().apply(table).table
    assert result["frame"].unique().to_list() == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    np.testing.assert_allclose(result["A_speed"], 50, rtol=1e-6)


def test_a_gap_of_one_animal_splits_the_pair():
    """Animal 5 lacks frames 2 and 4: frame 3 stands alone and has no rates, but a distance."""
    table = walkers(7).filter(~((pl.col("id") == 5) & pl.col("frame").is_in([2, 4])))
    result = PairPosition().apply(table).table.filter(perspective=0)
    assert result["frame"].to_list() == [0, 1, 3, 5, 6]
    assert result["A_speed"].is_nan().to_list() == [False, False, True, False, False]
    np.testing.assert_allclose(result["AB_dist"], 10)


def test_short_holes_are_filled_and_long_ones_dropped():
    """A line through a hole of straight walking changes nothing; 3 frames are too many."""
    x = np.arange(12.0) * 3
    holed = x.copy()
    holed[[2, 3, 6, 7, 8]] = NAN, np.inf, NAN, NAN, NAN
    zero = np.zeros(12)
    table = pl.concat([animal(0, holed, zero, zero), animal(1, x, zero + 1, zero)])
    result = PairPosition(params={"interpolation": {"linear_interp_limit": 2}}).apply(table)
    assert result.table["frame"].unique().to_list() == [0, 1, 2, 3, 4, 5, 9, 10, 11]
    np.testing.assert_allclose(result.table["A_speed"], 30, rtol=1e-6)
    assert result.notes == {"n_filled": 2, "n_median": 0, "n_dropped": 3, "n_pairs": 1}


def test_turning_counts_the_shorter_way_across_pi():
    """0.1 rad per frame at 10 fps is 1 rad/s also where the angle jumps from π to -π."""
    angle = (3.0 + 0.1 * np.arange(6) + np.pi) % (2 * np.pi) - np.pi
    zero = np.zeros(6)
    result = PairPosition().apply(pl.concat([animal(0, zero, zero, angle), animal(1, *[zero] * 3)]))
    np.testing.assert_allclose(result.table.filter(id1=0)["A_ang_speed"], 1, rtol=1e-6)


def test_headings_are_smoothed_as_directions_and_positions_as_numbers():
    """3.1 and -3.1 lie 0.083 apart around π; the mean of the numbers would point to ±1.03.

    X = 0, 3, 0, 3, 0 smoothed over three frames with reflected ends: 2, 1, 2, 1, 2.
    """
    angle = np.array([3.1, -3.1, 3.1, -3.1, 3.1])
    table = pl.concat(
        [animal(0, [0.0, 3, 0, 3, 0], np.zeros(5), angle), animal(1, *[np.zeros(5)] * 3)]
    )
    result = PairPosition(params={"sampling": {"smooth_win": 3}}).apply(table).table
    rows = result.filter(id1=0)
    assert (rows["A_heading_cos"] < -0.999).all()
    np.testing.assert_allclose(np.hypot(rows["A_heading_cos"], rows["A_heading_sin"]), 1, rtol=1e-6)
    np.testing.assert_allclose(rows["AB_dist"], [2, 1, 2, 1, 2], rtol=1e-6)


def test_smoothing_does_not_reach_across_a_gap():
    table = random_walk(n=20).filter(pl.col("frame") != 10)
    feature = PairPosition(params={"sampling": {"smooth_win": 5}})
    whole = feature.apply(table).table
    for part in (pl.col("frame") < 10, pl.col("frame") > 10):
        assert feature.apply(table.filter(part)).table.equals(whole.filter(part))


def test_three_animals_make_three_pairs_in_both_perspectives():
    result = PairPosition().apply(random_walk((9, -4, 0), 3)).table
    ids = result.filter(frame=1).select("id1", "id2", "perspective").rows()
    assert ids == [(-4, 0, 0), (-4, 9, 0), (0, -4, 1), (0, 9, 0), (9, -4, 1), (9, 0, 1)]
    pair = PairPosition().apply(random_walk((9, -4, 0), 3).filter(pl.col("id") != 0)).table
    assert result.filter(pl.col("id1") != 0, pl.col("id2") != 0).equals(pair)


def test_ids_may_be_of_any_type():
    named = walkers().with_columns(pl.col("id").replace_strict({2: "a", 5: "b"}))
    result = PairPosition().apply(named).table
    assert result.schema == PairPosition().output_schema(named.schema)
    assert result.filter(perspective=1).select("id1", "id2").unique().rows() == [("b", "a")]


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_without_a_pair_there_is_no_row_but_every_column(rows):
    """One animal must not fail an entry, with a known frame rate or without."""
    alone = random_walk((3,))[:rows].drop("fps")
    result = PairPosition().apply(alone)
    assert result.table.height == 0
    assert result.table.schema == PairPosition().output_schema(alone.schema)
    assert result.notes["n_pairs"] == 0


def test_the_frame_rate_comes_from_the_dataset_where_the_table_has_none():
    params = PairPosition.Params().resolve(DatasetFacts(fps=20.0))
    result = PairPosition(params=params).apply(walkers().drop("fps")).table
    np.testing.assert_allclose(result["A_speed"], 100, rtol=1e-6)
    own = PairPosition.Params(sampling={"fps_default": 5.0})
    assert own.resolve(DatasetFacts(fps=20.0)).sampling.fps_default == 5.0
    with pytest.raises(FeatureError, match="frame rate"):
        PairPosition().apply(walkers().drop("fps"))


@given(st.floats(-3, 3), st.floats(-100, 100), st.floats(-100, 100))
def test_moving_and_turning_the_arena_changes_the_absolute_heading_only(turn, dx, dy):
    table = random_walk(n=6)
    cos, sin = np.cos(turn), np.sin(turn)
    moved = table.with_columns(
        X=pl.col("X") * cos - pl.col("Y") * sin + dx,
        Y=pl.col("X") * sin + pl.col("Y") * cos + dy,
        ANGLE=pl.col("ANGLE") + turn,
    )
    columns = [name for name in EGO_COLUMNS if not name.startswith("A_heading")]
    before = PairPosition().apply(table).table.select(columns).to_numpy()
    after = PairPosition().apply(moved).table.select(columns).to_numpy()
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_exchanging_the_ids_exchanges_the_perspectives():
    table = random_walk()
    exchanged = table.with_columns(id=7 - pl.col("id"))
    before, after = (PairPosition().apply(t).table for t in (table, exchanged))
    for perspective in (0, 1):
        own = before.filter(perspective=perspective).select(EGO_COLUMNS).to_numpy()
        other = after.filter(perspective=1 - perspective).select(EGO_COLUMNS).to_numpy()
        np.testing.assert_allclose(own, other, rtol=1e-6)


def test_what_cannot_work_is_refused():
    with pytest.raises(MissingColumnError, match="ANGLE"):
        PairPosition().apply(walkers().drop("ANGLE"))
    with pytest.raises(MissingColumnError, match="ANGLE"):
        PairPosition().output_schema(walkers().drop("ANGLE").schema)
    with pytest.raises(FeatureError, match="more than one row for id 2"):
        PairPosition().apply(pl.concat([walkers(), walkers()]))
    with pytest.raises(ParamsError, match="odd"):
        PairPosition(params={"sampling": {"smooth_win": 4}})
