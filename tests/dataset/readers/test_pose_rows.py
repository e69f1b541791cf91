"""Rows of points as a table, and the choice of the longest tracks."""

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.dataset.readers.pose_rows import found_rows, keep_longest, pose_table


def test_columns_are_named_and_ordered() -> None:
    """x before y before confidence, keypoint by keypoint, as every reader gives them."""
    points = np.array([[[1, 2], [3, 4]]])
    table = pose_table(np.array([7]), np.array([0]), points, np.array([[0.5, 0.6]]))
    assert table.rows(named=True) == [
        {"frame": 7, "id": 0, "poseX0": 1, "poseY0": 2, "poseP0": 0.5}
        | {"poseX1": 3, "poseY1": 4, "poseP1": 0.6}
    ]
    assert list(table.columns) == [
        *("frame", "id", "poseX0", "poseY0", "poseP0", "poseX1", "poseY1", "poseP1")
    ]


def test_names_of_several_animals_are_kept() -> None:
    """One name is no information; two say who is who."""
    frames, ids, points = np.zeros(2), np.array([1, 0]), np.zeros((2, 1, 2))
    two = pose_table(frames, ids, points, individuals=["a", "b"])
    assert two["individual"].to_list() == ["b", "a"]
    assert "individual" not in pose_table(frames, ids * 0, points, individuals=["a"]).columns
    assert "poseP0" not in two.columns


def test_a_row_with_one_coordinate_is_found() -> None:
    nan = np.nan
    points = np.array([[[nan, nan], [nan, 1]], [[nan, nan], [nan, nan]]])
    assert found_rows(points).tolist() == [True, False]


@pytest.mark.parametrize(
    ("n_longest", "kept", "notes"),
    [
        (None, [4, 5, 8], {"tracks_left_out": 0}),
        (2, [4, 5], {"tracks_left_out": 1, "rows_left_out": 1, "longest_left_out": 1}),
        (1, [4], {"tracks_left_out": 2, "rows_left_out": 3, "longest_left_out": 2}),
        (9, [4, 5, 8], {"tracks_left_out": 0}),
    ],
)
def test_the_longest_tracks_are_kept_and_the_rest_is_told(
    n_longest: int | None, kept: list[int], notes: dict[str, int]
) -> None:
    """Tracks 4 and 5 have two rows each, 8 has one; of equals the lower id stays."""
    table = pl.DataFrame({"frame": [0, 1, 0, 1, 0], "id": [5, 5, 4, 4, 8]})
    chosen, told = keep_longest(table, n_longest)
    assert chosen["id"].unique().sort().to_list() == kept
    assert told == {"tracks_in_file": 3} | notes


def test_no_rows_are_no_tracks() -> None:
    empty = pose_table(np.zeros(0), np.zeros(0), np.zeros((0, 1, 2)))
    table, notes = keep_longest(empty, 2)
    assert table.height == 0
    assert notes == {"tracks_in_file": 0, "tracks_left_out": 0}
