"""Reading tables: what is misread here is wrong in every feature."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.rows import (
    find_fps,
    keypoint_numbers,
    keypoints,
    need_fps,
    numbers,
    order_rows,
    resolve_keypoint,
)


def test_rows_are_sorted_by_individual_then_frame_and_restored():
    table = pl.DataFrame({"frame": [5, 1, 4, 2], "id": ["b", "a", "b", "a"]})
    rows = order_rows(table)
    np.testing.assert_array_equal(rows.order, [1, 3, 2, 0])
    assert rows.runs == [slice(0, 2), slice(2, 4)]
    restored = rows.restore(np.array([10.0, 20.0, 30.0, 40.0]))
    np.testing.assert_array_equal(restored, [40, 10, 30, 20])


def test_the_two_perspectives_of_a_pair_are_two_identities():
    table = pl.DataFrame({"frame": [0, 0], "id1": [1, 1], "id2": [2, 2], "perspective": [0, 1]})
    assert len(order_rows(table).tracks) == 2


def test_a_table_per_frame_is_one_track():
    assert order_rows(pl.DataFrame({"frame": [1, 0]})).tracks == [slice(0, 2)]


def test_a_repeated_row_is_refused_with_an_example():
    table = pl.DataFrame({"frame": [3, 3], "id": [8, 8]})
    with pytest.raises(FeatureError, match="Frame 3 has more than one row for id 8"):
        order_rows(table)


def test_a_row_without_a_frame_is_refused():
    with pytest.raises(FeatureError, match="Row 1 has no frame"):
        order_rows(pl.DataFrame({"frame": [3, None], "id": [8, 8]}))
    with pytest.raises(MissingColumnError, match="no column 'frame'"):
        order_rows(pl.DataFrame({"id": [8]}))


def test_null_and_infinity_are_missing_numbers():
    table = pl.DataFrame({"X": [1.0, None, float("inf"), float("-inf")]})
    np.testing.assert_array_equal(numbers(table, "X"), [1, np.nan, np.nan, np.nan])
    with pytest.raises(MissingColumnError, match="no column 'Y'"):
        numbers(table, "Y")


def test_keypoints_come_in_the_order_asked_for():
    table = pl.DataFrame({"poseX0": [1.0], "poseY0": [2.0], "poseX1": [3.0], "poseY1": [4.0]})
    np.testing.assert_array_equal(keypoints(table), [[[1, 2], [3, 4]]])
    np.testing.assert_array_equal(keypoints(table, (1, 0)), [[[3, 4], [1, 2]]])


def test_keypoint_names_become_numbers_and_unknown_ones_are_listed():
    facts = DatasetFacts(keypoints=("head", "tail"))
    assert resolve_keypoint("tail", facts) == 1
    assert resolve_keypoint(5, facts) == 5
    with pytest.raises(ParamsError, match=r"Did you mean 'head'.*are: head, tail"):
        resolve_keypoint("haed", facts)
    with pytest.raises(ParamsError, match="names no keypoints"):
        resolve_keypoint("head", DatasetFacts())
    with pytest.raises(ParamsError, match="not looked up"):
        keypoint_numbers((0, "tail"))


def test_the_frame_rate_is_the_tables_own_before_the_fallback():
    table = pl.DataFrame({"fps": [25.0, None, 25.0]})
    assert find_fps(table, 30.0) == 25.0
    assert find_fps(pl.DataFrame({"frame": [1]}), 30.0) == 30.0
    assert find_fps(table.clear(), None) is None


def test_a_frame_rate_that_cannot_be_is_refused():
    with pytest.raises(FeatureError, match=r"several values: 25\.0, 30\.0"):
        find_fps(pl.DataFrame({"fps": [30.0, 25.0]}), None)
    with pytest.raises(FeatureError, match=r"holds 0\.0"):
        find_fps(pl.DataFrame({"fps": [0.0]}), None)
    with pytest.raises(FeatureError, match="Set fps"):
        need_fps(pl.DataFrame({"frame": [1]}), None, "some-feature")
