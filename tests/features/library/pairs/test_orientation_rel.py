"""orientation-rel: wrong frames of reference mix up front and back, or left and right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.pairs.orientation_rel import OrientationRel
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.testing import check_feature, toy_tracks

HALF_TURN = np.pi / 2


def bodies(
    points: dict[int, list[tuple[float, float]]], headings: dict[int, float]
) -> pl.DataFrame:
    """One frame; keypoints and heading by id."""
    rows = []
    for who, body in points.items():
        pose = {f"pose{axis}{k}": p[i] for k, p in enumerate(body) for i, axis in enumerate("XY")}
        rows.append({"frame": 0, "id": who, "ANGLE": headings[who], **pose})
    return pl.DataFrame(rows).with_columns(group=pl.lit("g"), sequence=pl.lit("s"))


TWO = bodies({1: [(0, 0), (2, 0)], 2: [(1, 4), (1, 8)]}, {1: 0.0, 2: HALF_TURN})


def numbers_of(table: pl.DataFrame, params: dict | None = None) -> list[dict]:
    result = OrientationRel(params=params).apply(table)
    return [{k: v for k, v in row.items() if isinstance(v, float)} for row in result.to_dicts()]


def test_contract():
    table = toy_tracks(n_ids=3).with_columns(ANGLE=pl.lit(0.5))
    result = check_feature(OrientationRel, table, {"nearest_k": 1, "quantiles": [0.1]})
    assert result.columns == [
        *("frame", "time", "id1", "id2", "perspective", "dx", "dy", "dtheta"),
        *("dist_min", "dist_median", "dist_max", "dist_q10"),
        *("x_min", "x_median", "x_max", "y_min", "y_median", "y_max", "near_0"),
        *("scale_source", "fps", "group", "sequence"),
    ]
    assert result.height == 12 * 6
    assert set(result["scale_source"]) == {"local"}


def test_two_bodies():
    """Focal 1: centre (1, 0), length 2, heading 0.

    2's keypoints are (0, 4) and (0, 8) away: (0, 2) and (0, 4) in lengths, their mean (0, 3).
    Distances 2 and 4: median 3, quartiles 2.5, 3 and 3.5; there is no third nearest.
    """
    row = numbers_of(TWO)[0]
    assert np.isnan(row.pop("near_2"))
    assert row == pytest.approx(
        {
            "dx": 0,
            "dy": 3,
            "dtheta": HALF_TURN,
            "dist_min": 2,
            "dist_median": 3,
            "dist_max": 4,
            "dist_q25": 2.5,
            "dist_q50": 3,
            "dist_q75": 3.5,
            "x_min": 0,
            "x_median": 0,
            "x_max": 0,
            "y_min": 2,
            "y_median": 3,
            "y_max": 4,
            "near_0": 2,
            "near_1": 4,
        }
    )


def test_the_frame_turns_with_the_focal_one():
    """Focal 2: centre (1, 6), length 4, heading +y: 1's keypoints lie 6 behind, 1 to either side.

    (-6, 1) / 4 = (-1.5, 0.25) and (-1.5, -0.25).
    """
    row = numbers_of(TWO)[1]
    assert (row["dx"], row["dy"]) == pytest.approx((-1.5, 0))
    assert row["dtheta"] == pytest.approx(-HALF_TURN)
    assert (row["x_min"], row["x_max"]) == pytest.approx((-1.5, -1.5))
    assert (row["y_min"], row["y_max"]) == pytest.approx((-0.25, 0.25))


def test_the_difference_of_headings_is_wrapped():
    """-3 - 3 = -6, which is 0.283 further than a full turn back."""
    table = TWO.with_columns(ANGLE=pl.Series([3.0, -3.0]))
    assert numbers_of(table)[0]["dtheta"] == pytest.approx(2 * np.pi - 6)


def test_a_missing_heading_gives_nothing_not_zero():
    """1 has none: 1's view is empty; 2 sees 1 but not how it is turned."""
    table = TWO.with_columns(ANGLE=pl.Series([np.nan, 0.0]))
    first, second = numbers_of(table)
    assert np.isnan(list(first.values())).all()
    assert np.isnan(second["dtheta"])
    assert np.isfinite(second["dx"])


def test_missing_keypoints_are_left_out_and_one_is_no_body():
    """2 lacks a third keypoint: as before. 2 has one keypoint only: nothing but the heading."""
    three = TWO.with_columns(poseX2=pl.Series([np.nan, np.inf]), poseY2=pl.Series([0.0, 1.0]))
    for with_hole, without in zip(numbers_of(three), numbers_of(TWO), strict=True):
        assert with_hole == pytest.approx(without, nan_ok=True)
    one = TWO.with_columns(poseX1=pl.Series([2.0, None]))
    for row in numbers_of(one):
        assert [k for k, v in row.items() if np.isfinite(v)] == ["dtheta"]


def scaled(tmp_path: Path, scale: pl.DataFrame) -> OrientationRel:
    path = tmp_path / "scale.parquet"
    scale.write_parquet(path)
    feature = OrientationRel(params={"scale": StepRef("size")})
    assert feature.load_state(None, {}, {"scale": {EntryKey("g", "s"): path}})
    return feature


def test_lengths_are_divided_by_the_mean_scale_of_the_recording(tmp_path):
    """Scales 0.5, 1.5 and NaN: mean 1, so 2 is 6 ahead of 1 in y."""
    result = scaled(tmp_path, pl.DataFrame({"scale": [0.5, 1.5, np.nan]})).apply(TWO)
    assert result["dy"].to_list() == pytest.approx([6, 0])
    assert result["scale_source"].to_list() == ["entry", "entry"]


def test_an_empty_scale_table_falls_back_and_says_so(tmp_path):
    result = scaled(tmp_path, pl.DataFrame({"scale": []}, schema={"scale": pl.Float64})).apply(TWO)
    assert result["dy"].to_list() == pytest.approx([3, 0])
    assert result["scale_source"].to_list() == ["local", "local"]


def test_a_scale_is_looked_up_by_recording(tmp_path):
    feature = scaled(tmp_path, pl.DataFrame({"scale": [1.0]}))
    with pytest.raises(FeatureError, match="no scale for the recording g/other"):
        feature.apply(TWO.with_columns(sequence=pl.lit("other")))
    with pytest.raises(MissingColumnError, match="group and sequence"):
        feature.apply(TWO.drop("group"))
    assert feature.apply(TWO.clear()).is_empty()


def test_the_scale_is_an_edge_of_the_graph():
    params = OrientationRel.Params(scale=StepRef("size"))
    assert list(params.references()) == ["scale"]


@given(st.floats(-3, 3), st.floats(-50, 50), st.floats(0.1, 9), st.integers(0, 999))
def test_moving_turning_and_zooming_change_nothing(turn, shift, zoom, seed):
    """The local scale grows with the picture."""
    rng = np.random.default_rng(seed)
    points, headings = rng.normal(size=(3, 4, 2)), rng.uniform(-3, 3, 3)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    moved = zoom * points @ rotation + shift
    before = numbers_of(bodies(dict(enumerate(points.tolist())), dict(enumerate(headings))))
    turned = dict(enumerate(headings + turn))
    after = numbers_of(bodies(dict(enumerate(moved.tolist())), turned))
    for old, new in zip(before, after, strict=True):
        turns = np.exp(1j * old.pop("dtheta")), np.exp(1j * new.pop("dtheta"))
        assert turns[0] == pytest.approx(turns[1])
        assert new == pytest.approx(old, rel=1e-6, abs=1e-6)


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="not between 0 and 1"):
        OrientationRel(params={"quantiles": [2.0]})
    with pytest.raises(ParamsError, match="one column"):
        OrientationRel(params={"quantiles": [0.501, 0.502]})
    with pytest.raises(MissingColumnError, match="the table has 1"):
        OrientationRel().apply(toy_tracks(n_keypoints=1).with_columns(ANGLE=0.0))
    with pytest.raises(MissingColumnError, match="ANGLE"):
        OrientationRel().apply(toy_tracks())
