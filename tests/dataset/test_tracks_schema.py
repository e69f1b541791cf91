"""Columns of tracks."""

import pytest

from mosaic_dagster.dataset.tracks_schema import column_order, is_number_column, pose_indices


def test_keypoints_are_counted_as_numbers() -> None:
    """As text poseX10 comes before poseX2, and every skeleton would be drawn wrong."""
    assert pose_indices(["poseX10", "poseY10", "poseX2", "poseP7", "poseX02", "posex1"]) == [2, 10]


def test_the_order_of_columns_is_fixed() -> None:
    """Equal tables must have equal bytes, whatever order a file had."""
    columns = ["sequence", "b", "poseP0", "poseY0", "poseX0", "a", "Y", "X", "id", "time", "frame"]
    assert column_order(columns) == [
        *("frame", "time", "id", "X", "Y", "poseX0", "poseY0", "poseP0", "b", "a", "sequence")
    ]


@pytest.mark.parametrize(
    ("column", "expected"),
    [("X", True), ("poseP3", True), ("fps", True), ("frame", False), ("individual", False)],
)
def test_which_columns_hold_numbers(column: str, expected: bool) -> None:
    assert is_number_column(column) is expected
