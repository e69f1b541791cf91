"""interpolate_rows: invented positions look like behaviour to everything computed from them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.library.interpolated import clean_rows, interpolate_rows
from mosaic_dagster.features.params import InterpolationConfig
from mosaic_dagster.testing import toy_values

NAN = np.nan


def config(**changes: object) -> InterpolationConfig:
    return InterpolationConfig(**({"linear_interp_limit": 2, "edge_fill_limit": 1} | changes))


def holed(frames: list[int], values: list[float], column: str = "X") -> pl.DataFrame:
    table = toy_values({column: values})
    return table.with_columns(pl.Series("frame", frames, dtype=pl.Int64))


def test_a_hole_is_filled_by_a_line_over_frames_not_rows():
    """0 in frame 0, 9 in frame 3, the row of frame 1 absent: frame 2 is at 2/3 of the way, 6."""
    result, notes = interpolate_rows(holed([0, 2, 3], [0.0, NAN, 9.0]), ["X"], config())
    assert result["X"].to_list() == [0, 6, 9]
    assert notes == {"n_filled": 1, "n_median": 0, "n_dropped": 0}


def test_a_longer_hole_is_neither_half_filled_nor_flattened():
    """Frames 1 to 3 are one hole of 3 frames, though only frame 2 has a row: above the limit 2."""
    result, notes = interpolate_rows(holed([0, 2, 4], [0.0, NAN, 9.0]), ["X"], config())
    assert result["frame"].to_list() == [0, 4]
    assert notes == {"n_filled": 0, "n_median": 0, "n_dropped": 1}
    wide = config(linear_interp_limit=3)
    assert interpolate_rows(holed([0, 2, 4], [0.0, NAN, 9.0]), ["X"], wide)[0].height == 3


def test_ends_take_the_nearest_value_for_a_few_frames_only():
    values = [NAN, NAN, 5.0, 7.0, np.inf, NAN]
    result, notes = interpolate_rows(holed(list(range(6)), values), ["X"], config())
    assert result["frame"].to_list() == [1, 2, 3, 4]
    assert result["X"].to_list() == [5, 5, 7, 7]
    assert notes["n_dropped"] == 2


def test_an_angle_crosses_the_cut_at_pi():
    """From 3.0 to -3.0 the short way is 2π - 6 = 0.283 long: its middle is π, which is -π."""
    table = holed([0, 1, 2], [3.0, NAN, -3.0], "ANGLE")
    result, _ = interpolate_rows(table, ["ANGLE"], config())
    np.testing.assert_allclose(result["ANGLE"], [3.0, -np.pi, -3.0])
    other = table.rename({"ANGLE": "theta"})
    assert interpolate_rows(other, ["theta"], config(), angles=())[0]["theta"][1] == 0
    named = interpolate_rows(other, ["theta"], config(), angles=("theta",))[0]
    np.testing.assert_allclose(named["theta"][1], -np.pi)


def test_values_that_are_there_stay_as_they_are():
    """Unwrapping for the fill must not leak 2π into measured headings."""
    given_angles = [3.0, NAN, -3.0, 7.0]
    result, _ = interpolate_rows(holed([0, 1, 2, 3], given_angles, "ANGLE"), ["ANGLE"], config())
    assert result["ANGLE"].to_list()[::2] == [3.0, -3.0]
    assert result["ANGLE"][3] == 7.0


def test_rows_that_still_lack_a_value_are_dropped_or_take_the_median():
    """b is missing for 5 frames; the median of 1, 2, 3, 10 is 2.5, once a row may lack half."""
    b = [1.0, 2.0, NAN, NAN, NAN, NAN, NAN, 3.0, 10.0]
    table = toy_values({"a": [0.0] * 9, "b": b})
    dropped, notes = interpolate_rows(table, ["a", "b"], config(max_missing_fraction=0.5))
    assert (dropped["frame"].to_list(), notes["n_dropped"]) == ([0, 1, 7, 8], 5)
    median = config(max_missing_fraction=0.5, fill_remaining="median")
    result, notes = interpolate_rows(table, ["a", "b"], median)
    assert result["b"][2:7].to_list() == [2.5] * 5
    assert notes == {"n_filled": 0, "n_median": 5, "n_dropped": 0}
    strict = config(max_missing_fraction=0.4, fill_remaining="median")
    assert interpolate_rows(table, ["a", "b"], strict)[0].height == 4


def test_the_median_of_an_angle_does_not_depend_on_where_the_circle_is_cut():
    """Headings π - 0.2, π and -π + 0.1 lie around π; a plain median would be π - 0.2."""
    angles = [np.pi - 0.2, np.pi, -np.pi + 0.1, *[NAN] * 5]
    table = toy_values({"a": [0.0] * 8, "ANGLE": angles})
    limits = config(max_missing_fraction=0.5, fill_remaining="median", edge_fill_limit=0)
    result, _ = interpolate_rows(table, ["a", "ANGLE"], limits)
    np.testing.assert_allclose(np.cos(result["ANGLE"][3:].to_numpy()), -1)


def test_a_track_without_any_value_has_no_median_and_goes():
    table = toy_values({"a": [0.0, 1.0], "b": [NAN, NAN]})
    limits = config(max_missing_fraction=1.0, fill_remaining="median")
    result, notes = interpolate_rows(table, ["a", "b"], limits)
    assert (result.height, notes["n_dropped"], notes["n_median"]) == (0, 2, 0)


def test_one_animal_never_fills_the_hole_of_another():
    one = toy_values({"X": [1.0, NAN, 3.0]}, identity={"id": 4})
    two = toy_values({"X": [100.0, 200.0, 300.0]}, identity={"id": -2})
    mixed = pl.concat([one, two]).sort("frame", maintain_order=True)
    result, _ = interpolate_rows(mixed, ["X"], config())
    assert result.filter(id=4)["X"].to_list() == [1, 2, 3]
    assert result.filter(id=-2)["X"].to_list() == [100, 200, 300]
    assert result["frame"].to_list() == [0, 0, 1, 1, 2, 2]


def test_no_row_and_one_row():
    table = toy_values({"X": [1.0], "other": ["kept"]})
    for rows in (table, table.clear()):
        result, notes = interpolate_rows(rows, ["X"], config())
        assert result.equals(rows)
        assert set(notes.values()) == {0}
    assert interpolate_rows(toy_values({"X": [NAN]}), ["X"], config())[0].height == 0


def test_what_cannot_be_cleaned_is_refused():
    with pytest.raises(MissingColumnError, match="no column 'Y'"):
        interpolate_rows(toy_values({"X": [1.0]}), ["X", "Y"], config())
    with pytest.raises(FeatureError, match="more than one row for id 0"):
        interpolate_rows(holed([3, 3], [1.0, 2.0]), ["X"], config())


@given(
    st.lists(st.one_of(st.just(NAN), st.floats(-100, 100)), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_does_not_matter(values, random):
    """Files that list the same rows in another order give the same cleaned rows."""
    table = toy_values({"X": values})
    order = list(range(table.height))
    random.shuffle(order)
    expected, notes = interpolate_rows(table, ["X"], config())
    shuffled, again = interpolate_rows(table[order], ["X"], config())
    assert shuffled.sort("frame").equals(expected)
    assert notes == again
    assert np.isfinite(expected["X"].to_numpy()).all()


def test_the_arrays_are_sorted_by_animal_then_frame():
    """Runs are found in sorted rows; the positions lead back to the rows they came from."""
    table = pl.concat(
        [toy_values({"X": [x, NAN, x]}, identity={"id": i}) for i, x in ((7, 1.0), (3, 2.0))]
    )[::-1]
    clean = clean_rows(table, ["X"], config())
    assert clean.identity.tolist() == [0, 0, 0, 1, 1, 1]
    assert clean.frames.tolist() == [0, 1, 2, 0, 1, 2]
    assert table["id"][clean.positions].to_list() == [3, 3, 3, 7, 7, 7]
    assert clean.values.tolist() == [[2, 2, 2, 1, 1, 1]]
