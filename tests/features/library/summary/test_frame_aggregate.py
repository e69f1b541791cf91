"""frame-aggregate: a number per frame that counts other animals than it says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.summary.frame_aggregate import FrameAggregate
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan

SCENE = pl.DataFrame(
    {
        "frame": [0, 0, 0, 1, 1, 3],
        "time": [0.0, 0.0, 0.0, 0.1, 0.1, 0.3],
        "id": [9, -2, 5, 5, 9, 9],
        "v": [-4.0, 1.0, 2.0, NAN, 8.0, np.inf],
        "kind": ["a", "b", "a", "a", None, "b"],
        "moving": [True, False, None, True, True, False],
        "fps": 10.0,
        "sequence": "s",
    }
)


def aggregated(table: pl.DataFrame = SCENE, **params: object) -> dict[int, float]:
    feature = FrameAggregate(params={"column": "v", **params})
    result = feature.apply(table)
    return dict(zip(result["frame"], result[feature.params.output_name()], strict=True))


@pytest.mark.parametrize("agg", ["mean", "median", "min", "max", "std", "sum", "count"])
def test_contract(agg):
    result = check_feature(FrameAggregate, toy_tracks(), {"column": "Y", "agg": agg})
    assert result.columns == ["frame", "time", f"Y_{agg}", "fps", "group", "sequence"]


@pytest.mark.parametrize(
    ("agg", "expected"),
    [
        ("mean", {0: -1 / 3, 1: 8.0, 3: NAN}),
        ("median", {0: 1.0, 1: 8.0, 3: NAN}),
        ("min", {0: -4.0, 1: 8.0, 3: NAN}),
        ("max", {0: 2.0, 1: 8.0, 3: NAN}),
        ("sum", {0: -1.0, 1: 8.0, 3: 0.0}),
        ("count", {0: 3.0, 1: 1.0, 3: 0.0}),
        ("std", {0: np.sqrt(93 / 9), 1: NAN, 3: NAN}),
    ],
)
def test_by_hand(agg, expected):
    """Frame 0: -4, 1, 2. Frame 1: NaN, 8. Frame 3: an infinity, which counts as missing.

    Deviations from -1/3 are -11/3, 4/3, 7/3: squares (121 + 16 + 49) / 9 = 186/9, / 2 = 93/9.
    """
    result = aggregated(agg=agg)
    assert list(result) == [0, 1, 3]
    np.testing.assert_allclose(list(result.values()), list(expected.values()))


def test_a_missing_value_is_on_neither_side_of_the_threshold():
    """Above 1: one of three in frame 0; frame 1 knows one value of two, so 1 and not 1/2."""
    shares = aggregated(threshold=1.0)
    np.testing.assert_allclose(list(shares.values()), [1 / 3, 1.0, NAN])


def test_absolute_values_come_before_the_threshold():
    """|-4| and |2| exceed 1.5, |1| does not."""
    np.testing.assert_allclose(aggregated(threshold=1.5, transform="abs", agg="sum")[0], 2.0)
    np.testing.assert_allclose(aggregated(transform="abs")[0], 7 / 3)


def test_the_condition_chooses_rows_first():
    """Of kind a are -4 and 2 in frame 0 and NaN in frame 1; frame 3 has none, so no row."""
    result = aggregated(filter_expr="kind == 'a' and id > 0")
    np.testing.assert_allclose(list(result.values()), [-1.0, NAN])
    assert list(result) == [0, 1]


def test_a_condition_is_never_run_as_python(tmp_path):
    """The text may come from a shared pipeline file."""
    mark = tmp_path / "mark"
    condition = f"__import__('pathlib').Path({str(mark)!r}).touch() or v > 0"
    with pytest.raises(ParamsError, match=r"filter_expr.*__import__"):
        FrameAggregate(params={"column": "v", "filter_expr": condition})
    assert not mark.exists()


def test_truth_values_and_individuals_can_be_counted():
    """moving: frame 0 has one of two known, frame 1 two of two."""
    share = aggregated(column="moving")
    np.testing.assert_allclose(list(share.values()), [0.5, 1.0, 0.0])
    assert list(aggregated(column="id", agg="count").values()) == [3, 2, 1]
    assert list(aggregated(column="kind", agg="count").values()) == [3, 1, 1]


def test_text_has_no_mean():
    with pytest.raises(ParamsError, match="cannot take the mean of 'kind', of type String"):
        FrameAggregate(params={"column": "kind"}).output_schema(SCENE.schema)


def test_missing_columns_are_known_before_running():
    feature = FrameAggregate(params={"column": "v", "filter_expr": "w > 1"})
    assert feature.input_columns() == ("frame", "v", "w")
    with pytest.raises(MissingColumnError, match="w"):
        feature.output_schema(SCENE.schema)


def test_the_columns_and_their_order():
    result = FrameAggregate(params={"column": "v", "output_column": "drift"}).apply(SCENE)
    assert result.columns == ["frame", "time", "drift", "fps", "sequence"]
    assert result["time"].to_list() == [0.0, 0.1, 0.3]


def test_tables_without_an_identity_may_have_several_rows_in_a_frame():
    """Such as one row per subgroup; rows of one individual may not repeat a frame."""
    table = pl.DataFrame({"frame": [4, 2, 4], "v": [1.0, 5.0, 3.0]})
    assert aggregated(table) == {2: 5.0, 4: 2.0}
    repeated = table.with_columns(id=pl.lit(1))
    with pytest.raises(FeatureError, match="Frame 4 has more than one row"):
        aggregated(repeated)
    with pytest.raises(FeatureError, match="no frame"):
        aggregated(table.with_columns(frame=pl.lit(None, dtype=pl.Int64)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "column"),
        ({"column": "v", "agg": "mode"}, "agg"),
        ({"column": "v", "output_column": "frame"}, "name of a key column"),
        ({"column": "v", "threshold": float("nan")}, "threshold"),
    ],
)
def test_what_cannot_work_is_refused(params, message):
    with pytest.raises(ParamsError, match=message):
        FrameAggregate(params=params)


@settings(max_examples=25)
@given(st.permutations(range(6)), st.sampled_from(["mean", "median", "std", "sum"]))
def test_the_order_of_rows_does_not_matter(order, agg):
    params = {"column": "v", "agg": agg}
    result = FrameAggregate(params=params).apply(SCENE[list(order)])
    assert result.equals(FrameAggregate(params=params).apply(SCENE))
