"""An individual's rows are taken by frame, never by their place in the table."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError, ScopeError, TracksError
from mosaic_dagster.media.poses import Poses

TRACKS = pl.DataFrame(
    {
        "frame": [7, 5, 5],
        "id": ["b", "b", "a"],
        "X": [7.0, None, 0.0],
        "Y": [70.0, 50.0, 0.0],
        "poseX10": [1.0, 2.0, 0.0],
        "poseY10": [1.0, 2.0, 0.0],
        "poseX2": [3.0, float("inf"), 0.0],
        "poseY2": [3.0, 4.0, 0.0],
    }
)


def test_rows_are_in_the_order_of_frames():
    """poseX2 comes before poseX10; null and infinite are missing."""
    poses = Poses.of(TRACKS, "b")
    assert poses.frames.tolist() == [5, 7]
    assert poses.numbers == (2, 10)
    assert np.isnan(poses.centre[0, 0])
    assert poses.centre[1].tolist() == [7.0, 70.0]
    assert np.isnan(poses.keypoint(2)[0, 0])
    assert poses.keypoint(10).tolist() == [[2.0, 2.0], [1.0, 1.0]]
    assert np.isnan(poses.angle).all()
    assert poses.rows_of(np.array([4, 5, 6, 7, 8])).tolist() == [-1, 0, -1, 1, -1]


def test_ids_are_the_same_as_text_and_as_numbers():
    numbered = TRACKS.with_columns(id=pl.Series([1, 1, 0]), ANGLE=pl.Series([0.5, None, 0.0]))
    assert Poses.of(numbered, "1").frames.tolist() == Poses.of(numbered, 1).frames.tolist()
    assert np.allclose(Poses.of(numbered, 1).angle, [np.nan, 0.5], equal_nan=True)


def test_what_is_not_there_is_named():
    with pytest.raises(ScopeError, match=r"no individual 'c'. They have: a, b"):
        Poses.of(TRACKS, "c")
    with pytest.raises(MissingColumnError, match=r"no keypoint 3 .* 2, 10"):
        Poses.of(TRACKS, "b").keypoint(3)
    with pytest.raises(MissingColumnError, match=r"lacks the column\(s\) id, Y"):
        Poses.of(TRACKS.drop("id", "Y"), "b")
    with pytest.raises(TracksError, match="two rows in frame 5"):
        Poses.of(pl.concat([TRACKS, TRACKS[1:2]]), "b")
