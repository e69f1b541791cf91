"""nn-delta-response: a response over the wrong frames, or of the wrong animal, is no response."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.neighbors.nn_delta_response import NnDeltaResponse
from mosaic_dagster.testing import check_feature

NAN = np.nan


def walk(n_frames: int = 6, **columns: object) -> pl.DataFrame:
    """Animals 0 and 1, interleaved; each other's neighbours; X = f² + 100 id, Y = -f.

    ANGLE = 0.1 f, SPEED = 2 f, neighbour at (f, -f) from 0 and at (-f, f) from 1; 10 fps.
    """
    frame, identity = np.repeat(np.arange(n_frames), 2), np.tile([0, 1], n_frames)
    sign = 1.0 - 2 * identity
    values = {
        "X": frame**2 + 100.0 * identity,
        "Y": -1.0 * frame,
        "ANGLE": 0.1 * frame,
        "SPEED": 2.0 * frame,
        "nn_id": 1 - identity,
        "nn_delta_x_ego": sign * frame,
        "nn_delta_y_ego": -sign * frame,
        "Focal_fish": identity == 0,
        "weight": 10 * frame + identity,
    }
    origin = {"fps": 10.0, "group": "g", "sequence": "s"}
    table = pl.DataFrame({"frame": frame, "time": frame / 10, "id": identity, **values, **columns})
    return table.with_columns(pl.lit(value).alias(name) for name, value in origin.items())


def respond(table: pl.DataFrame, **params: object) -> pl.DataFrame:
    return NnDeltaResponse(params=params).apply(table)


def of(table: pl.DataFrame, identity: int) -> pl.DataFrame:
    return table.filter(pl.col("id") == identity)


def test_contract_with_every_column():
    params = {
        "diff_numframes": 2,
        "diff_numframes_col": "lag",
        "emit_backward": True,
        "tag_cols": ("weight",),
    }
    result = check_feature(NnDeltaResponse, walk(lag=2.0), params)
    assert result.columns == [
        *("frame", "time", "id", "nn_id", "neighbor_x", "neighbor_y", "neighbor_focal"),
        *("dx", "dy", "dt", "dangle", "dspeed", "dt_frames", "dx_back", "dy_back"),
        *("Focal_fish", "weight", "neighbor_weight", "fps", "group", "sequence"),
    ]
    assert result.schema["neighbor_focal"] == pl.Boolean
    assert result.schema["neighbor_weight"] == pl.Int64


def test_changes_over_two_frames_worked_out_by_hand():
    """(f + 2)² - f² = 4 f + 4; -2; 0.2 rad / 2 frames · 10 fps = 1 rad/s; 4; rows 0 to 3 remain."""
    result = of(respond(walk(), diff_numframes=2), 0)
    assert result["frame"].to_list() == [0, 1, 2, 3]
    np.testing.assert_array_equal(result["dx"], [4, 8, 12, 16])
    np.testing.assert_array_equal(result["dy"], -2)
    assert result["dt"].to_list() == [2] * 4
    np.testing.assert_allclose(result["dangle"], 1.0)
    np.testing.assert_array_equal(result["dspeed"], 4)
    np.testing.assert_array_equal(result["neighbor_x"], [0, 1, 2, 3])
    np.testing.assert_array_equal(result["neighbor_y"], [0, -1, -2, -3])


def test_no_response_reaches_across_a_gap():
    """Without frame 3, two rows after 1 is 4 and after 2 is 5: three frames. Only 0 to 2 is two."""
    result = respond(walk().filter(pl.col("frame") != 3), diff_numframes=2)
    assert result["frame"].to_list() == [0, 0]


def test_each_row_may_have_its_own_lag():
    """Lags 2.5 -> 2 (half to even), 0.4 -> 0: the default 1, missing and infinite: the default.

    A lag beyond the end leaves the row out. X is f².
    """
    lag = np.repeat([2.5, 0.4, NAN, np.inf, 1e300, 1.0], 2)
    result = of(respond(walk(lag=lag), diff_numframes=1, diff_numframes_col="lag"), 0)
    assert result["frame"].to_list() == [0, 1, 2, 3]
    assert result["dt_frames"].to_list() == result["dt"].to_list() == [2, 1, 1, 1]
    np.testing.assert_array_equal(result["dx"], [4, 3, 5, 7])


def test_backward_changes_are_nan_where_there_is_no_such_row():
    """Rows 0 to 4 with lag 1: f² - (f - 1)² = 2 f - 1 from frame 1 on; frame 0 has none before."""
    result = of(respond(walk(), diff_numframes=1, emit_backward=True), 0)
    np.testing.assert_array_equal(result["dx_back"], [NAN, 1, 3, 5, 7])
    np.testing.assert_array_equal(result["dy_back"], [NAN, -1, -1, -1, -1])
    gap = of(respond(walk().filter(pl.col("frame") != 2), diff_numframes=1, emit_backward=True), 0)
    assert gap["frame"].to_list() == [0, 3, 4]
    np.testing.assert_array_equal(gap["dx_back"], [NAN, NAN, 7])


def test_what_is_carried_over_comes_from_the_neighbour_in_that_frame():
    """Weights are 10 f + id, so the neighbour of 0 has 10 f + 1; only 0 is focal."""
    result = respond(walk(), diff_numframes=4, tag_cols=("weight", "Focal_fish"))
    assert result["weight"].to_list() == [0, 1, 10, 11]
    assert result["neighbor_weight"].to_list() == [1, 0, 11, 10]
    assert result["neighbor_focal"].to_list() == [False, True] * 2
    assert result["neighbor_Focal_fish"].to_list() == [False, True] * 2


def test_values_of_a_neighbour_that_is_not_there_are_missing():
    table = walk(nn_id=np.array([1, None] * 6, dtype=object).tolist())
    result = respond(table.filter(~((pl.col("id") == 1) & (pl.col("frame") == 0))))
    assert result["nn_id"].to_list() == [1, 1, None]
    assert result["neighbor_focal"].to_list() == [None, False, None]


def test_turns_across_the_seam_and_their_scales():
    """From 3.1 to -3.1 is 2 pi - 6.2; unwrapped -6.2; times 10 fps and divided by 1 frame."""
    table = walk(2, ANGLE=[3.1, 3.1, -3.1, -3.1])
    small = 2 * np.pi - 6.2
    for params, expected in (
        ({}, small * 10),
        ({"scale_dangle_by_fps": False}, small),
        ({"scale_dangle_by_fps": False, "wrap_angle": False}, -6.2),
    ):
        result = respond(table, diff_numframes=1, **params)
        np.testing.assert_allclose(result["dangle"], expected)
    slow = respond(walk(), diff_numframes=2, divide_dangle_by_frames=False)
    np.testing.assert_allclose(slow["dangle"], 2.0)


def test_other_names_of_the_speed_and_of_the_neighbour():
    """nn_fishID may be a float column with NaN."""
    table = walk(nn_fishID=[1.0, NAN] * 6).drop("nn_id").rename({"SPEED": "speed"})
    result = respond(table, diff_numframes=5)
    assert result["nn_id"].to_list() == [1, None]
    assert result.schema["nn_id"] == pl.Int64
    np.testing.assert_array_equal(result["dspeed"], 10)


def test_offsets_along_the_images_axes_are_rotated():
    """Heading pi/2, neighbour at (3, 4): 4 ahead, -3 along (-sin, cos). Without either: NaN."""
    bare = walk(2, ANGLE=np.pi / 2).drop("nn_delta_x_ego", "nn_delta_y_ego")
    world = bare.with_columns(nn_delta_x=3.0, nn_delta_y=4.0)
    result = respond(world, diff_numframes=1)
    np.testing.assert_allclose(result["neighbor_x"], 4)
    np.testing.assert_allclose(result["neighbor_y"], -3)
    assert respond(bare, diff_numframes=1)["neighbor_x"].is_nan().all()


def test_smoothing_averages_headings_as_directions():
    """X 0, 3, 0 reflected is 3 0 3 0 3: means 2, 1, 2. Headings on both sides of pi stay near it.

    Their mean as numbers would be near 1 and turn by far more than 0.1.
    """
    table = walk(3, X=[0.0, 0, 3, 3, 0, 0], ANGLE=[3.1, 3.1, -3.1, -3.1, 3.1, 3.1])
    params = {"sampling": {"smooth_win": 3}, "diff_numframes": 1, "scale_dangle_by_fps": False}
    result = of(respond(table, **params), 0)
    np.testing.assert_allclose(result["dx"], [-1, 1])
    assert (result["dangle"].abs() < 0.1).all()


def test_missing_values_spoil_only_what_needs_them():
    table = walk(3).with_columns(
        X=pl.when(pl.col("frame") == 1).then(float("inf")).otherwise("X"),
    )
    result = of(respond(table, diff_numframes=1), 0)
    np.testing.assert_array_equal(result["dx"], [NAN, NAN])
    np.testing.assert_array_equal(result["dy"], [-1, -1])


def test_the_frame_rate_comes_from_the_table_then_from_the_dataset():
    table = walk(2).drop("fps")
    with pytest.raises(FeatureError, match="frame rate"):
        respond(table, diff_numframes=1)
    params = NnDeltaResponse.Params(diff_numframes=1).resolve(DatasetFacts(fps=20.0))
    np.testing.assert_allclose(NnDeltaResponse(params=params).apply(table)["dangle"], 2.0)
    given = NnDeltaResponse.Params(sampling={"fps_default": 5.0}).resolve(DatasetFacts(fps=20.0))
    assert given.sampling.fps_default == 5.0


@pytest.mark.parametrize(
    ("column", "maker"),
    [
        ("frame", "the tracks"),
        ("id", "the tracks"),
        ("ANGLE", "heading"),
        ("SPEED", "speed-angvel"),
        ("nn_id", "nearest-neighbor"),
        ("weight", "id-tag-columns"),
    ],
)
def test_a_missing_column_is_named_with_the_feature_that_makes_it(column, maker):
    with pytest.raises(MissingColumnError, match=f"'{column}'.* comes from {maker}"):
        respond(walk().drop(column), tag_cols=("weight",))


def test_parameters_that_cannot_work_are_refused():
    with pytest.raises(ParamsError, match="diff_numframes"):
        NnDeltaResponse(params={"diff_numframes": 0})
    for tags in (("dx",), ("x",), ("a", "a"), ("id",)):
        with pytest.raises(ParamsError, match="second column"):
            NnDeltaResponse(params={"tag_cols": tags})
