"""scale-to-cm: a column that is scaled wrongly, or not at all, is off by the calibration."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.individual.scale_to_cm import ScaleToCm, ScaleToCmParams
from mosaic_dagster.features.params import DatasetFacts
from mosaic_dagster.testing import check_feature, toy_tracks, toy_values


def scaled(table: pl.DataFrame, **params: object) -> pl.DataFrame:
    return ScaleToCm(params={"cm_per_pixel": 0.5, **params}).apply(table)


def test_contract():
    """X = 3 f is 1.5 f cm; keypoint 2 is two units to the left."""
    tracks = toy_tracks()
    result = check_feature(ScaleToCm, tracks, {"cm_per_pixel": 0.5})
    assert result.columns[:3] == ["frame", "time", "id"]
    assert result.columns[-3:] == ["fps", "group", "sequence"]
    np.testing.assert_allclose(result["X_cm"], 1.5 * tracks["frame"].to_numpy())
    np.testing.assert_allclose(result["poseX2_cm"], 1.5 * tracks["frame"].to_numpy() - 1)


def test_lengths_are_known_by_name_and_nothing_else_is_scaled():
    """An angle, a count or a confidence in "cm" would look plausible and be wrong."""
    lengths = ["X", "Y", "SPEED", "VX", "AY", "speed", "vy", "X#wcentroid", "SPEED#pcentroid"]
    lengths += ["poseX10", "poseY10", "bbox_x1", "midline_x", "nn_dist", "nn_delta_x"]
    lengths += ["nn_delta_y_ego", "distance", "AB_dist", "A_v_para", "B_v_perp", "AB_speed"]
    others = ["ANGLE", "poseP10", "nn_delta_angle", "nn_id", "speedy", "label_x", "X_cm"]
    others += ["poseX3_cm", "det_conf", "normalized_midline"]
    table = toy_values({name: [2.0] for name in [*lengths, *others]})
    result = scaled(table.with_columns(bbox_note=pl.lit("text"), bbox_ok=pl.lit(value=True)))
    values = [c for c in result.columns if c not in toy_values({}).columns]
    assert values == [f"{name}_cm" for name in lengths]
    assert (result.select(values).row(0)) == (1.0,) * len(lengths)


def test_named_columns_and_suffix():
    table = toy_values({"body_length": [4, None], "X": [1.0, 1.0]})
    result = scaled(table, columns=("body_length",), suffix="")
    assert result["body_length"].dtype == pl.Float64
    np.testing.assert_array_equal(result["body_length"], [2.0, np.nan])
    assert "X" not in result.columns


def test_missing_and_infinite_values_stay_missing():
    result = scaled(toy_values({"X": [np.nan, np.inf, 2.0]}))
    np.testing.assert_array_equal(result["X_cm"], [np.nan, np.nan, 1.0])


def test_the_calibration_comes_from_the_dataset():
    """An own value wins; without either the step cannot run."""
    table = toy_values({"X": [10.0]})
    params = ScaleToCmParams().resolve(DatasetFacts(cm_per_pixel=0.2, unit="px"))
    assert ScaleToCm(params=params).apply(table)["X_cm"].to_list() == [2.0]
    own = ScaleToCmParams(cm_per_pixel=0.1).resolve(DatasetFacts(cm_per_pixel=0.2))
    assert own.cm_per_pixel == 0.1
    with pytest.raises(FeatureError, match="Set cm_per_pixel in the parameters"):
        ScaleToCm().apply(table)


def test_tracks_that_are_no_pixels_and_calibrations_that_are_none_are_refused():
    with pytest.raises(ParamsError, match="those of the dataset are in mm"):
        ScaleToCmParams(cm_per_pixel=0.1).resolve(DatasetFacts(unit="mm"))
    with pytest.raises(ParamsError, match="greater than 0"):
        ScaleToCmParams().resolve(DatasetFacts(cm_per_pixel=0.0))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"cm_per_pixel": 0}, "greater than 0"),
        ({"cm_per_pixel": float("nan")}, "cm_per_pixel"),
        ({"columns": ("poseP0",)}, "'poseP0' is a key or a confidence"),
        ({"columns": ("id",)}, "'id' is a key"),
        ({"columns": ("X", "X")}, "one twice"),
        ({"columns": ()}, "names no column"),
    ],
)
def test_what_cannot_work_is_refused(params, message):
    with pytest.raises(ParamsError, match=message):
        ScaleToCm(params=params)


def test_columns_that_cannot_be_scaled_are_refused_before_running():
    table = toy_values({"label": ["a"], "angle": [1.0]})
    with pytest.raises(MissingColumnError, match="found no length among"):
        ScaleToCm().output_schema(table.schema)
    with pytest.raises(MissingColumnError, match="nope"):
        ScaleToCm(params={"columns": ("nope",)}).output_schema(table.schema)
    with pytest.raises(ParamsError, match="cannot scale the column 'label' of type String"):
        ScaleToCm(params={"columns": ("label",)}).output_schema(table.schema)


def test_pairs_keep_their_keys():
    pairs = toy_values({"AB_dist": [2.0]}, identity={"id1": 4, "id2": -7, "perspective": 1})
    result = scaled(pairs)
    assert result.columns[:6] == ["frame", "time", "id1", "id2", "perspective", "AB_dist_cm"]


def test_turning_rates_are_no_lengths():
    """rad/s times cm/px would be a number without a unit under a name that ends in _cm."""
    values = {"A_ang_speed": [1.0], "A_speed": [10.0], "AB_dx_egoA": [4.0], "speed_smooth": [2.0]}
    table = toy_values(values, identity={"id1": 0, "id2": 1, "perspective": 0})
    scaled = check_feature(ScaleToCm, table, {"cm_per_pixel": 0.5})
    assert [c for c in scaled.columns if c.endswith("_cm")] == [
        "A_speed_cm", "AB_dx_egoA_cm", "speed_smooth_cm",
    ]  # fmt: skip
    assert scaled.select("A_speed_cm", "AB_dx_egoA_cm").row(0) == (5.0, 2.0)
