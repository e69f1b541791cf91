"""pair-egocentric: headings and centres from keypoints."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.pairs._ego import EGO_COLUMNS
from mosaic_dagster.features.library.pairs.pair_egocentric import PairEgocentric
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan
TWO = {"pose": {"pose_n": 2}, "neck_idx": 0, "tail_base_idx": 1}


def body(n: int = 4) -> pl.DataFrame:
    """Animals 0 and 1 at 10 fps move (3, 4) per frame; keypoint k is k to the left of the centre.

    Animal 1 is 100 below. Neck 0 lies right of tail base 1, so both look along +x; the mean of
    the two keypoints is at X - 0.5.
    """
    return toy_tracks(n, n_keypoints=2)


def seen(table: pl.DataFrame, params=TWO, perspective: int = 0) -> dict[str, float]:
    row = PairEgocentric(params=params).apply(table).table.filter(perspective=perspective)
    return row.select(EGO_COLUMNS).row(0, named=True)


def test_contract():
    """Also that poseX10 counts as keypoint 10, not as the one after poseX1."""
    rng = np.random.default_rng(0)
    table = toy_tracks(30, n_keypoints=11)
    noisy = table.with_columns(
        pl.Series(name, table[name].to_numpy() + rng.normal(size=table.height))
        for name in table.columns
        if name.startswith("pose")
    )
    params = {"pose": {"pose_indices": [2, 10, 1]}, "neck_idx": 10, "tail_base_idx": 2}
    result = check_feature(PairEgocentric, noisy, params)
    assert result.columns[5:-3] == list(EGO_COLUMNS)
    dx = (noisy["poseX10"] - noisy["poseX2"]).to_numpy()
    dy = (noisy["poseY10"] - noisy["poseY2"]).to_numpy()
    own = result.sort("frame", "perspective")["A_heading_cos"]
    np.testing.assert_allclose(own, dx / np.hypot(dx, dy), rtol=1e-6)


def test_both_perspectives_by_hand():
    """Looking along +x with o = (0, 1): 30 ahead, 40 beside; the partner is 100 beside, or -100."""
    for perspective, side in ((0, 100), (1, -100)):
        values = seen(body(), perspective=perspective)
        expected = {
            "A_speed": 50, "A_v_para": 30, "A_v_perp": 40, "A_ang_speed": 0, "A_heading_cos": 1,
            "A_heading_sin": 0, "AB_dist": 100, "AB_dx_egoA": 0, "AB_dy_egoA": side,
            "rel_heading_cos": 1, "rel_heading_sin": 0, "B_speed": 50, "B_v_para": 30,
            "B_v_perp": 40, "B_ang_speed": 0,
        }  # fmt: skip
        assert values == pytest.approx(expected, abs=1e-5)


def test_the_centre_is_the_mean_or_one_keypoint():
    """Animal 1's tail base is moved by 8 ahead: the means are 4 apart in x, the necks 0."""
    table = body().with_columns(poseX1=pl.col("poseX1") - 8 * (pl.col("id") == 1))
    assert seen(table)["AB_dx_egoA"] == pytest.approx(-4)
    assert seen(table, TWO | {"center_mode": 0})["AB_dx_egoA"] == pytest.approx(0)
    assert seen(table, TWO | {"center_mode": 1})["AB_dx_egoA"] == pytest.approx(-8)


def test_a_body_without_length_has_no_heading():
    """In frame 3 of 7 neck and tail base of animal 0 coincide; distances and speeds stay."""
    fold = (pl.col("id") == 0) & (pl.col("frame") == 3)
    table = body(7).with_columns(poseX1=pl.when(fold).then("poseX0").otherwise("poseX1"))
    result = PairEgocentric(params=TWO).apply(table).table.filter(perspective=0)
    lost = result.select(pl.col(EGO_COLUMNS).is_nan())
    for name in ("A_heading_cos", "A_v_para", "AB_dx_egoA", "rel_heading_sin"):
        assert lost[name].arg_true().to_list() == [3]
    assert lost["A_ang_speed"].arg_true().to_list() == [2, 3, 4]
    assert not lost.select("A_speed", "AB_dist", "B_v_para", "B_ang_speed").to_numpy().any()


def test_a_missing_keypoint_drops_the_row_of_both():
    """A hole of 3 frames with limit 2 takes these frames from the pair, in both perspectives."""
    hole = (pl.col("id") == 1) & pl.col("frame").is_between(4, 6)
    table = body(12).with_columns(poseX0=pl.when(hole).then(NAN).otherwise("poseX0"))
    params = TWO | {"interpolation": {"linear_interp_limit": 2}}
    result = PairEgocentric(params=params).apply(table)
    assert result.table["frame"].unique().to_list() == [0, 1, 2, 3, 7, 8, 9, 10, 11]
    assert result.notes["n_dropped"] == 3
    np.testing.assert_allclose(result.table["A_speed"], 50, rtol=1e-6)


def test_one_animal_gives_no_row_but_every_column():
    alone = body().filter(pl.col("id") == 0)
    result = PairEgocentric(params=TWO).apply(alone).table
    assert (result.height, result.schema) == (
        0,
        PairEgocentric(params=TWO).output_schema(alone.schema),
    )


def test_keypoints_by_name():
    names = {
        "pose": {"pose_indices": ["tail", "neck"]},
        "neck_idx": "neck",
        "tail_base_idx": "tail",
        "center_mode": "neck",
    }
    params = PairEgocentric.Params.from_overrides(names)
    resolved = params.resolve(DatasetFacts(fps=10.0, keypoints=("neck", "tail")))
    assert (resolved.neck_idx, resolved.tail_base_idx, resolved.center_mode) == (0, 1, 0)
    assert resolved.pose.pose_indices == (1, 0)
    assert resolved.sampling.fps_default == 10.0
    assert resolved.interpolation == params.interpolation
    plain = PairEgocentric(params=TWO | {"center_mode": 0}).apply(body()).table
    assert PairEgocentric(params=resolved).apply(body()).table.equals(plain)
    with pytest.raises(ParamsError, match="not among the keypoints that are read: 1, 2"):
        params.from_overrides(names | {"pose": {"pose_indices": [1, "nose"]}}).resolve(
            DatasetFacts(keypoints=("neck", "tail", "nose"))
        )


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"neck_idx": 7}, "neck_idx is 7, which is not among"),
        ({"tail_base_idx": 9}, "tail_base_idx is 9"),
        ({"center_mode": -1}, "center_mode is -1"),
        ({"neck_idx": 6}, "both 6"),
        ({"pose": {"pose_indices": [0, 1]}}, "neck_idx is 3"),
    ],
)
def test_keypoints_that_are_not_read_are_refused(params, said):
    with pytest.raises(ParamsError, match=said):
        PairEgocentric(params=params)


def test_a_missing_column_is_named():
    with pytest.raises(MissingColumnError, match="poseX2"):
        PairEgocentric().apply(body())
