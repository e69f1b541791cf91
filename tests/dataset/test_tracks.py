"""The one form of tracks."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.dataset.tracks import Repairs, normalize_tracks, validate_tracks
from mosaic_dagster.errors import TracksError
from mosaic_dagster.keys import EntryKey

KEY = EntryKey("dish01", "larva_007")
NAN = math.nan


def two_points() -> pl.DataFrame:
    """Two keypoints in two frames; the centre is (1, 2) and (3, 4)."""
    return pl.DataFrame(
        {
            "frame": [4, 5],
            "id": [0, 0],
            "poseX0": [0.0, 2.0],
            "poseY0": [1.0, 3.0],
            "poseX1": [2.0, 4.0],
            "poseY1": [3.0, 5.0],
        }
    )


def test_the_form_of_tracks() -> None:
    """Frame 4 at 16 fps is 0.25 s; features find every column where they expect it."""
    table, repairs = normalize_tracks(two_points(), KEY, 16)
    assert table.to_dict(as_series=False) == {
        "frame": [4, 5],
        "time": [0.25, 0.3125],
        "id": [0, 0],
        "X": [1.0, 3.0],
        "Y": [2.0, 4.0],
        "poseX0": [0.0, 2.0],
        "poseY0": [1.0, 3.0],
        "poseX1": [2.0, 4.0],
        "poseY1": [3.0, 5.0],
        "fps": [16.0, 16.0],
        "group": ["dish01", "dish01"],
        "sequence": ["larva_007", "larva_007"],
    }
    assert repairs == Repairs(rows_read=2, rows_kept=2, individuals=1)
    validate_tracks(table, KEY)


def test_columns_are_put_in_order() -> None:
    """poseX10 comes after poseX2, extras before fps."""
    names = ["det_conf", "ANGLE", "poseY10", "poseX10", "poseP2", "poseY2", "poseX2", "id", "frame"]
    table, _ = normalize_tracks(pl.DataFrame({name: [0] for name in names}), KEY, 1)
    assert table.columns == [
        *("frame", "time", "id", "X", "Y", "poseX2", "poseY2", "poseP2", "poseX10", "poseY10"),
        *("ANGLE", "det_conf", "fps", "group", "sequence"),
    ]


def test_a_missing_keypoint_does_not_move_the_centre_to_nan() -> None:
    """Frame 4 has keypoint 1 at (2, 3) only: that is its centre."""
    table = two_points().with_columns(poseX0=pl.Series([None, 2.0]), poseY0=pl.Series([NAN, 3.0]))
    tracks, repairs = normalize_tracks(table, KEY, 16)
    assert tracks.select("X", "Y").rows() == [(2.0, 3.0), (3.0, 4.0)]
    assert math.isnan(tracks["poseX0"][0])
    assert tracks["poseX0"].null_count() == 0
    assert repairs.missing_points == 1


def test_half_a_point_is_no_point() -> None:
    """x = 0 without y is not at (0, anything): both are missing, and it is counted."""
    tracks, repairs = normalize_tracks(
        two_points().with_columns(poseY0=pl.Series([None, 3.0])), KEY, 16
    )
    assert np.isnan(tracks.select("poseX0", "poseY0").row(0)).all()
    assert tracks["X"][0] == 2.0
    assert (repairs.incomplete_points, repairs.missing_points) == (1, 1)


def test_infinite_values_become_missing_and_are_counted() -> None:
    """One infinity left in would turn a whole scaler into NaN."""
    table = two_points().with_columns(
        poseX0=pl.Series([math.inf, 2.0]), extra=pl.Series([-math.inf, 1.0])
    )
    tracks, repairs = normalize_tracks(table, KEY, 16)
    assert repairs.infinite_values == 2
    assert math.isnan(tracks["extra"][0])
    assert math.isnan(tracks["poseX0"][0])
    assert math.isnan(tracks["poseY0"][0])


def test_the_origin_with_confidence_zero_is_missing() -> None:
    """(0, 0) with confidence 0 means 'not found'; with confidence 0.2 it is a place."""
    table = pl.DataFrame(
        {
            "frame": [0, 1],
            "id": [0, 0],
            "poseX0": [0.0, 0.0],
            "poseY0": [0.0, 0.0],
            "poseP0": [0.0, 0.2],
        }
    )
    tracks, repairs = normalize_tracks(table, KEY, 1)
    assert tracks["frame"].to_list() == [1]
    assert (repairs.zero_points, repairs.empty_rows_dropped) == (1, 1)


def test_a_detection_without_points_gives_no_row_and_is_counted() -> None:
    """Otherwise an animal that was not seen would have rows."""
    table = two_points().with_columns(
        pl.when(pl.col("frame") != 4).then(pl.col("^pose.*$")).name.keep()
    )
    tracks, repairs = normalize_tracks(table, KEY, 16)
    assert tracks["frame"].to_list() == [5]
    assert (repairs.rows_read, repairs.rows_kept, repairs.empty_rows_dropped) == (2, 1, 1)


def test_a_given_centre_is_kept_and_is_a_point() -> None:
    """A centroid tracker knows the centre better than the mean of the keypoints does."""
    table = two_points().with_columns(
        X=pl.Series([9.0, 9.0]), Y=pl.Series([8.0, 8.0]), poseX0=NAN, poseX1=NAN
    )
    tracks, _ = normalize_tracks(table, KEY, 16)
    assert tracks.select("X", "Y").rows() == [(9.0, 8.0), (9.0, 8.0)]


def test_rows_are_sorted_by_animal_and_frame() -> None:
    """Features take differences between following rows of an animal."""
    table = pl.DataFrame({"frame": [1, 0, 1, 0], "id": [1, 1, 0, 0], "X": 1.0, "Y": 1.0})
    tracks, repairs = normalize_tracks(table, KEY, 1)
    assert tracks.select("id", "frame").rows() == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert repairs.individuals == 2


def test_ids_become_dense_and_the_old_ones_are_kept() -> None:
    """Ids 3 and 17 become 0 and 1; without source_track_id labels could not be matched."""
    table = pl.DataFrame({"frame": [0, 0], "id": [17, 3], "X": [1.0, 2.0], "Y": [1.0, 2.0]})
    tracks, _ = normalize_tracks(table, KEY, 1)
    assert tracks.select("id", "source_track_id", "X").rows() == [(0, 3, 2.0), (1, 17, 1.0)]


def test_a_given_time_is_kept() -> None:
    """Cameras that drop frames give real times."""
    tracks, _ = normalize_tracks(two_points().with_columns(time=pl.Series([0.3, 0.5])), KEY, 16)
    assert tracks["time"].to_list() == [0.3, 0.5]


def test_the_rate_of_the_table_goes_before_the_given_one() -> None:
    """fps comes from the file first: frame 4 at 8 fps is 0.5 s."""
    tracks, _ = normalize_tracks(two_points().with_columns(fps=8), KEY, 16)
    assert tracks["time"][0] == 0.5
    assert tracks["fps"].to_list() == [8.0, 8.0]


def test_no_rows_are_legal() -> None:
    """An empty recording has a table with all columns, so that nothing below it fails."""
    tracks, repairs = normalize_tracks(two_points().clear(), KEY, 16)
    assert tracks.height == 0
    assert tracks.columns == normalize_tracks(two_points(), KEY, 16)[0].columns
    assert tracks.schema == normalize_tracks(two_points(), KEY, 16)[0].schema
    assert repairs == Repairs()
    validate_tracks(tracks, KEY)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"SPEED": 1.0}, "may not have the column 'SPEED'"),
        ({"VX": 1.0}, "may not have the column 'VX'"),
        ({"poseX7": 1.0}, "'poseX7' is there without 'poseY7'"),
        ({"poseP7": 1.0}, "'poseP7' is there without 'poseX7'"),
        ({"X": 1.0}, "'X' is there without 'Y'"),
        ({"frame": pl.Series([-1, 5])}, "frame is -1 in row 0"),
        ({"frame": pl.Series([4.0, 4.5])}, "frame is 4.5 in row 1"),
        ({"frame": pl.Series([4, None])}, "frame is None in row 1"),
        ({"frame": pl.Series(["4", "5"])}, "'frame' holds String"),
        ({"frame": 4}, "id 0 has more than one row in frame 4"),
        ({"id": -1}, "id is -1 in row 0"),
        ({"poseX0": pl.Series(["a", "b"])}, "'poseX0' holds String"),
        ({"group": pl.Series(["dish02", "dish02"])}, "'group' says 'dish02'"),
        ({"fps": pl.Series([16.0, 30.0])}, "'fps' has several values"),
        ({"fps": -3.0}, "fps is -3.0"),
        ({"time": pl.Series([0.0, NAN])}, "frame 5 has a position but no time"),
    ],
)
def test_what_cannot_be_tracks_is_refused(change: dict[str, Any], told: str) -> None:
    """The message names entry, column and example; else a bad file becomes bad results."""
    table = two_points().with_columns(
        value.alias(name) if isinstance(value, pl.Series) else pl.lit(value).alias(name)
        for name, value in change.items()
    )
    with pytest.raises(TracksError, match=told) as caught:
        normalize_tracks(table, KEY, 16)
    assert "dish01/larva_007" in str(caught.value)


@pytest.mark.parametrize("column", ["frame", "id"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(TracksError, match=f"'{column}' is missing"):
        normalize_tracks(two_points().drop(column), KEY, 16)


def test_tracks_without_coordinates_are_refused() -> None:
    with pytest.raises(TracksError, match="no coordinates"):
        normalize_tracks(two_points().select("frame", "id"), KEY, 16)


def test_an_unknown_rate_is_never_guessed() -> None:
    """A silent default of 30 fps would make every speed wrong by a factor."""
    with pytest.raises(TracksError, match=r"frames per second are not known.*Give fps"):
        normalize_tracks(two_points(), KEY, None)


def test_a_name_that_is_no_text_is_refused() -> None:
    """File systems give such names; a crash inside the table library would not say which file."""
    with pytest.raises(TracksError, match=r"not valid text.*Rename"):
        normalize_tracks(two_points(), EntryKey("", "\udc80"), 16)


def test_repairs_say_what_happened() -> None:
    repairs = Repairs(rows_read=3, rows_kept=2, individuals=1, infinite_values=4)
    assert repairs.describe() == "2 of 3 rows kept, 1 individuals, 4 infinite values"
    assert repairs.as_dict()["infinite_values"] == 4


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: t.drop("time"), "'time' is missing"),
        (lambda t: t.with_columns(pl.col("frame").cast(pl.Int32)), "'frame' is Int32"),
        (lambda t: t.with_columns(pl.col("poseX0").cast(pl.Float32)), "'poseX0' is Float32"),
        (lambda t: t.select(reversed(t.columns)), "not in the order"),
        (lambda t: t.reverse(), "not sorted"),
        (lambda t: t.with_columns(poseX0=pl.Series([None, 1.0])), "'poseX0' has null"),
        (lambda t: t.with_columns(poseX0=pl.Series([math.inf, 1.0])), "infinite"),
        (lambda t: t.with_columns(id=pl.Series([1, 1])), "without gaps"),
        (lambda t: t.with_columns(fps=pl.Series([1.0, 2.0])), "'fps' is not constant"),
        (lambda t: t.with_columns(frame=pl.Series([5, 5])), "more than one row in frame 5"),
        (lambda t: t.with_columns(frame=pl.Series([-5, 5])), "negative"),
        (lambda t: t.with_columns(sequence=pl.lit("other")), "says 'other'"),
    ],
)
def test_validation_finds_what_is_not_in_form(spoil: Any, told: str) -> None:
    """Features trust the form; a table that breaks it must not reach them."""
    table, _ = normalize_tracks(two_points(), KEY, 16)
    with pytest.raises(TracksError, match=told):
        validate_tracks(spoil(table), KEY)


coordinates = st.floats(width=32) | st.sampled_from([0.0, NAN, math.inf])


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 9), coordinates, coordinates, coordinates),
        unique_by=lambda row: row[:2],
        max_size=20,
    )
)
def test_whatever_is_read_comes_out_in_form_and_stays_so(rows: list[tuple[Any, ...]]) -> None:
    """Normalising twice changes nothing, or a table read back would get another digest."""
    schema = {"frame": pl.Int64, "id": pl.Int64} | dict.fromkeys(
        ("poseX0", "poseY0", "poseP0"), pl.Float64
    )
    tracks, repairs = normalize_tracks(pl.DataFrame(rows, schema=schema, orient="row"), KEY, 25)
    validate_tracks(tracks, KEY)
    assert repairs.rows_kept + repairs.empty_rows_dropped == repairs.rows_read == len(rows)
    again, _ = normalize_tracks(tracks, KEY, None if tracks.height else 25)
    assert again.equals(tracks)
