"""heading: a wrong direction turns approach into flight."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.individual.heading import Heading
from mosaic_dagster.testing import check_feature, toy_tracks


def bodies(front: list[list[float]], rear: list[list[float]]) -> pl.DataFrame:
    (fx, fy), (rx, ry) = np.array(front).T, np.array(rear).T
    poses = {"poseX0": fx, "poseY0": fy, "poseX1": rx, "poseY1": ry}
    return pl.DataFrame({"frame": np.arange(len(fx)), "id": 0, **poses})


def test_contract():
    """Keypoint 0 lies 1 unit to the right of keypoint 1: heading 0."""
    result = check_feature(Heading, toy_tracks())
    assert (result["ANGLE"] == 0.0).all()
    assert not result["is_axis"].any()
    assert check_feature(Heading, toy_tracks(), {"method": "pca"})["is_axis"].all()


def test_heading_points_from_rear_to_front():
    """Front above the rear in numbers: +pi/2; to its left: pi; (1, 1) ahead: pi/4."""
    table = bodies([[0, 1], [-1, 0], [1, 1]], [[0, 0], [0, 0], [0, 0]])
    np.testing.assert_allclose(Heading().apply(table)["ANGLE"], np.pi * np.array([0.5, 1, 0.25]))
    swapped = Heading(params={"front_idx": 1, "rear_idx": 0, "output_col": "back"}).apply(table)
    np.testing.assert_allclose(swapped["back"], np.pi * np.array([-0.5, 0, -0.75]))


def test_missing_or_coincident_keypoints_have_no_heading():
    table = bodies([[np.nan, 1], [2, 2]], [[0, 0], [2, 2]])
    assert Heading().apply(table)["ANGLE"].is_nan().all()


def test_names_of_keypoints_are_looked_up():
    params = Heading.Params(front_idx="nose", rear_idx="tail")
    resolved = params.resolve(DatasetFacts(keypoints=("tail", "nose")))
    assert (resolved.front_idx, resolved.rear_idx) == (1, 0)
    with pytest.raises(ParamsError, match="are: tail, ear"):
        params.resolve(DatasetFacts(keypoints=("tail", "ear")))


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="both 2"):
        Heading(params={"front_idx": 2, "rear_idx": 2})
    with pytest.raises(ParamsError, match="another meaning"):
        Heading(params={"output_col": "frame"})
    with pytest.raises(MissingColumnError, match="poseX7, poseY7"):
        Heading(params={"front_idx": 7}).apply(toy_tracks())
    with pytest.raises(MissingColumnError, match="the table has 1"):
        Heading(params={"method": "pca"}).apply(toy_tracks(n_keypoints=1))
