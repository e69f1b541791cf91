"""posture: a wrong bend turns left turns into right ones."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.individual.posture import Posture
from mosaic_dagster.testing import check_feature, toy_tracks


def body(*points: tuple[float, float]) -> pl.DataFrame:
    columns = {}
    for k, (x, y) in enumerate(points):
        columns |= {f"poseX{k}": [float(x)], f"poseY{k}": [float(y)]}
    return pl.DataFrame({"frame": [0], "id": [0], **columns})


def test_contract():
    """Three keypoints 1 apart on a line: length 2, no bend."""
    result = check_feature(Posture, toy_tracks())
    assert (result["body_length"] == 2.0).all()
    assert (result["total_bend"] == 0.0).all()


def test_a_square_path_bends_by_right_angles():
    """(0,0) → (2,0) → (2,2) → (0,2): lengths 2, bends +pi/2 twice, total pi over length 6."""
    row = Posture().apply(body((0, 0), (2, 0), (2, 2), (0, 2))).row(0, named=True)
    assert [row[f"length_{k}"] for k in range(3)] == [2, 2, 2]
    np.testing.assert_allclose([row["bend_0"], row["bend_1"]], np.pi / 2)
    np.testing.assert_allclose(row["total_bend"], np.pi)
    np.testing.assert_allclose(row["curvature"], np.pi / 6)


def test_bending_the_other_way_is_negative():
    row = Posture().apply(body((0, 0), (2, 0), (2, -2))).row(0, named=True)
    np.testing.assert_allclose(row["bend_0"], -np.pi / 2)


def test_a_missing_keypoint_spoils_only_what_needs_it():
    """Without keypoint 3 of 5: segments 0, 1 and bend 0 remain."""
    table = body((0, 0), (1, 0), (2, 0), (np.nan, np.nan), (4, 0))
    row = Posture().apply(table).row(0, named=True)
    finite = {name for name, value in row.items() if np.isfinite(value)}
    assert finite == {"frame", "id", "length_0", "length_1", "bend_0"}


def test_coincident_keypoints_have_no_direction():
    row = Posture().apply(body((1, 1), (1, 1), (1, 1))).row(0, named=True)
    assert row["body_length"] == 0.0
    assert np.isnan([row["bend_0"], row["curvature"]]).all()


def test_two_keypoints_have_a_length_only():
    result = check_feature(Posture, toy_tracks(), {"keypoints": (0, 2)})
    assert [c for c in result.columns if c not in toy_tracks().columns] == [
        "body_length",
        "length_0",
    ]
    assert (result["length_0"] == 2.0).all()


def test_the_midline_follows_the_names_given():
    facts = DatasetFacts(keypoints=("head", "mid", "tail"))
    assert Posture.Params(keypoints=("tail", "head")).resolve(facts).keypoints == (2, 0)
    assert Posture.Params().resolve(facts).keypoints == (0, 1, 2)
    with pytest.raises(ParamsError, match="are: head, mid, tail"):
        Posture.Params(keypoints=("head", "wing")).resolve(facts)


@pytest.mark.parametrize("line", [(0,), (0, 0)])
def test_a_midline_of_one_point_is_refused(line):
    with pytest.raises(ParamsError, match="at least two keypoints"):
        Posture(params={"keypoints": line})


def test_a_table_without_the_keypoints_is_refused():
    with pytest.raises(MissingColumnError, match="poseX9"):
        Posture(params={"keypoints": (0, 9)}).apply(toy_tracks())
    with pytest.raises(MissingColumnError, match="the table has 0"):
        Posture().apply(toy_tracks(n_keypoints=0))
