"""body-scale: lengths are divided by it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.library.individual.body_scale import BodyScale
from mosaic_dagster.testing import check_feature, toy_tracks


def test_contract():
    """Keypoints 0, 1, 2 on a line: distances 1, 1, 2, median 1."""
    assert (check_feature(BodyScale, toy_tracks())["scale"] == 1.0).all()


def test_a_three_four_five_triangle_has_scale_four_and_one_point_no_row():
    """Frame 0: 3, 4, 5 → 4. Frame 1 has two corners, 3 apart. Frame 2 has one: no row."""
    nan = np.nan
    table = pl.DataFrame(
        {
            "frame": [0, 1, 2],
            "id": 0,
            "poseX0": [0.0, 0.0, 0.0],
            "poseY0": [0.0, 0.0, 0.0],
            "poseX1": [3.0, 3.0, nan],
            "poseY1": [0.0, 0.0, 0.0],
            "poseX2": [3.0, nan, nan],
            "poseY2": [4.0, nan, 4.0],
        }
    )
    result = BodyScale().apply(table)
    assert result.to_dict(as_series=False) == {"frame": [0, 1], "id": [0, 0], "scale": [4.0, 3.0]}


def test_one_keypoint_has_no_scale():
    with pytest.raises(MissingColumnError, match="two keypoints or more; the table has 1"):
        BodyScale().apply(toy_tracks(n_keypoints=1))
