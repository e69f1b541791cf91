"""nearest-neighbor: whom an animal reacts to is decided here."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.library.neighbors.nearest_neighbor import NearestNeighbor
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan


def scene(x: list[float], y: list[float], **columns: object) -> pl.DataFrame:
    """One frame with animals 0, 1, 2, … at the given places."""
    return pl.DataFrame({"frame": 0, "id": np.arange(len(x)), "X": x, "Y": y, **columns})


def neighbors(table: pl.DataFrame) -> pl.DataFrame:
    return NearestNeighbor().apply(table)


def test_contract_on_three_that_walk_side_by_side():
    """Animals 100 apart in y: 0 and 2 have 1 at +100 and -100, 1 has 0 (the smaller id) at -100."""
    result = check_feature(NearestNeighbor, toy_tracks(n_ids=3))
    assert result["nn_id"].to_list() == [1, 0, 1] * 12
    np.testing.assert_array_equal(result["nn_delta_y"], [100, -100, -100] * 12)
    np.testing.assert_array_equal(result["nn_delta_x"], 0)
    np.testing.assert_array_equal(result["nn_dist"], 100)
    assert result.schema["nn_id"] == pl.Int64
    assert result.columns == [
        *("frame", "time", "id", "nn_id", "nn_delta_x", "nn_delta_y", "nn_dist"),
        *("nn_delta_x_ego", "nn_delta_y_ego", "nn_ego_unrotated", "fps", "group", "sequence"),
    ]


def test_offsets_seen_from_the_animal():
    """0 looks along +y (down on the screen), 1 along -x; 1 is at (3, 4) from 0, 5 away.

    For 0: ahead = 4, along (-sin, cos) = (-1, 0): -3. For 1 the offset is (-3, -4) and the heading
    pi: ahead = 3, aside = 4. Turn from 0 to 1: pi/2, back: -pi/2.
    """
    result = check_feature(NearestNeighbor, scene([0, 3], [0, 4], ANGLE=[np.pi / 2, np.pi]))
    np.testing.assert_allclose(result["nn_dist"], [5, 5])
    np.testing.assert_allclose(result["nn_delta_x_ego"], [4, 3])
    np.testing.assert_allclose(result["nn_delta_y_ego"], [-3, 4], atol=1e-12)
    np.testing.assert_allclose(result["nn_delta_angle"], [np.pi / 2, -np.pi / 2])
    assert result["nn_ego_unrotated"].to_list() == [False, False]


def test_difference_of_headings_across_the_seam_is_small():
    """From 3.1 to -3.1 rad: 2 pi - 6.2."""
    result = neighbors(scene([0, 1], [0, 0], ANGLE=[3.1, -3.1]))
    np.testing.assert_allclose(result["nn_delta_angle"], [2 * np.pi - 6.2, 6.2 - 2 * np.pi])


def test_without_a_heading_offsets_are_the_images_and_say_so():
    result = neighbors(scene([0, 3], [0, 4]))
    np.testing.assert_array_equal(result["nn_delta_x_ego"], [3, -3])
    np.testing.assert_array_equal(result["nn_delta_y_ego"], [4, -4])
    assert result["nn_ego_unrotated"].all()
    assert "nn_delta_angle" not in result.columns


@pytest.mark.parametrize("missing", [NAN, np.inf, None])
def test_a_missing_animal_takes_nobodys_place(missing):
    """1 is missing; 0 and 2 are each other's neighbours 6 apart. It used to become everybody's."""
    result = neighbors(scene([0.0, missing, 6.0], [0.0, 0.0, 0.0]))
    assert result["nn_id"].to_list() == [2, None, 0]
    np.testing.assert_array_equal(result["nn_dist"], [6, NAN, 6])
    np.testing.assert_array_equal(result["nn_delta_x_ego"], [6, NAN, -6])


def test_a_missing_heading_spoils_what_needs_it_only():
    result = neighbors(scene([0, 3], [0, 4], ANGLE=[NAN, 0.0]))
    assert result["nn_id"].to_list() == [1, 0]
    np.testing.assert_array_equal(result["nn_dist"], [5, 5])
    np.testing.assert_array_equal(result["nn_delta_x_ego"], [NAN, -3])
    np.testing.assert_array_equal(result["nn_delta_angle"], [NAN, NAN])


def test_an_animal_alone_in_its_frame_has_no_neighbour():
    """Frame 2 misses animal 0 and frame 3 is missing altogether."""
    table = pl.DataFrame(
        {"frame": [1, 2, 1, 4, 4], "id": [0, 1, 1, 1, 0], "X": [0.0, 1, 2, 3, 4], "Y": 0.0}
    )
    result = neighbors(table)
    assert result["nn_id"].to_list() == [1, None, 0, 0, 1]
    np.testing.assert_array_equal(result["nn_delta_x"], [2, NAN, -2, 1, -1])


@pytest.mark.parametrize("dtype", [pl.UInt8, pl.Int64, pl.Float64])
def test_ids_may_be_any_whole_numbers(dtype):
    """Of equally near animals the smallest number counts, not the first row."""
    table = scene([0, 1, -1], [0, 0, 0]).with_columns(id=pl.Series([4, 200, 100]).cast(dtype))
    assert neighbors(table)["nn_id"].to_list() == [100, 4, 4]
    assert neighbors(table).schema["id"] == dtype


def test_negative_and_very_large_ids_come_back_whole():
    large = 2**62 + 1
    table = scene([0, 1], [0, 0]).with_columns(id=pl.Series([-5, large]))
    assert neighbors(table)["nn_id"].to_list() == [large, -5]


def test_empty_and_single_rows_keep_their_columns():
    table = scene([1.0], [2.0], ANGLE=[0.0])
    single, empty = neighbors(table), neighbors(table.clear())
    assert single["nn_id"].to_list() == [None]
    assert single["nn_dist"].is_nan().all()
    assert empty.schema == single.schema


def test_what_cannot_work_is_refused():
    table = scene([0, 1], [0, 0])
    with pytest.raises(MissingColumnError, match=r"nearest-neighbor needs the column\(s\) X"):
        neighbors(table.drop("X"))
    with pytest.raises(FeatureError, match="more than one row"):
        neighbors(pl.concat([table, table]))
    with pytest.raises(FeatureError, match="Row 1 has no id"):
        neighbors(table.with_columns(id=pl.Series([3, None])))
    for ids in ([0.5, 1.0], [1.0, 1e30]):
        with pytest.raises(FeatureError, match="not a whole number"):
            neighbors(table.with_columns(id=pl.Series(ids)))
    with pytest.raises(FeatureError, match="String"):
        neighbors(table.with_columns(id=pl.Series(["a", "b"])))


places = st.tuples(st.integers(-50, 50), st.integers(-50, 50))


@given(st.lists(places, min_size=2, max_size=6, unique=True), st.floats(-3, 3), st.randoms())
def test_turning_the_scene_turns_nothing_seen_from_the_animals(spots, turn, random):
    """Who is nearest, and where it is seen, must not depend on where the camera stood.

    Offsets of different animals differ in length, so that rounding breaks no tie.
    """
    x, y = np.array(spots, dtype=np.float64).T
    x = x + np.array([random.random() for _ in spots])
    squared = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    lengths = np.sort(squared, axis=1)
    if (np.diff(lengths, axis=1) < 1e-6).any():
        return
    heading = np.arange(len(x)) * 0.9 - 2
    before = neighbors(scene(x, y, ANGLE=heading))
    cos, sin = np.cos(turn), np.sin(turn)
    moved = scene(x * cos - y * sin + 7, x * sin + y * cos - 3, ANGLE=heading + turn)
    after = neighbors(moved)
    assert after["nn_id"].to_list() == before["nn_id"].to_list()
    for column in ("nn_dist", "nn_delta_x_ego", "nn_delta_y_ego"):
        np.testing.assert_allclose(after[column], before[column], atol=1e-9)
