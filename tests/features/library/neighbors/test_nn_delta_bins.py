"""nn-delta-bins: these maps are what a study prints about how animals respond."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.features.library.neighbors.nn_delta_bins import NnDeltaBins
from mosaic_dagster.testing import check_feature

NAN = np.nan
SMALL = {"nbins": 3, "binmax": 2.0, "antisymm": False}


def responses(**columns: object) -> pl.DataFrame:
    """Neighbours at (1, -1), (1, 1) and (-1, 2)."""
    table = pl.DataFrame(
        {
            "frame": [0, 1, 2],
            "id": 0,
            "neighbor_x": [1.0, 1.0, -1.0],
            "neighbor_y": [-1.0, 1.0, 2.0],
            "dangle": [0.5, 0.3, 0.1],
            "dspeed": [10.0, 20.0, 30.0],
            **columns,
        }
    )
    return table.with_columns(fps=pl.lit(10.0), group=pl.lit("g"), sequence=pl.lit("s"))


def bins(table: pl.DataFrame, dim: str, metric: str, **params: object) -> pl.DataFrame:
    result = NnDeltaBins(params=SMALL | params).apply(table)
    return result.filter(
        (pl.col("dim") == dim)
        & (pl.col("metric") == metric)
        & (pl.col("neighbor_category") == "all")
    )


def test_contract_with_categories_and_groups():
    table = responses(
        Focal_fish=[True, False, True],
        neighbor_focal=[False, True, None],
        group_size=[2, 3, None],
        Exp="e",
        Trial=7,
        bad=[0, 0, 0],
    )
    result = check_feature(NnDeltaBins, table, {"exclude_cols": ("bad",)})
    assert result.columns[:7] == [
        *("dim", "Exp", "Trial", "center_category", "neighbor_category", "group_size", "metric"),
    ]
    assert result.columns[-3:] == ["fps", "group", "sequence"]
    assert set(result["center_category"]) == {"true", "false"}
    assert set(result["neighbor_category"]) == {"all", "true", "false", None}
    assert set(result["group_size"]) == {2, 3, None}
    assert set(result["Trial"]) == {"7"}
    assert result["count"].sum() > 0


def test_turns_by_the_side_of_a_neighbour_ahead():
    """Edges -2, 0, 2. Ahead are y = -1 (0.5) and y = 1 (0.3); (-1, 2) is behind."""
    found = bins(responses(), "1d", "turn")
    np.testing.assert_allclose(found["value"], [0.5, 0.3])
    np.testing.assert_array_equal(found["bin_center"], [-1, 1])
    assert found["bin_idx"].to_list() == [0, 1]
    assert found["count"].to_list() == [1, 1]
    assert found["bin_x"].null_count() == 2


def test_turns_count_mirrored():
    """At y = -1: 0.5 and, mirrored, -0.3: mean 0.1; at y = 1: 0.3 and -0.5: -0.1."""
    found = bins(responses(), "1d", "turn", antisymm=True)
    np.testing.assert_allclose(found["value"], [0.1, -0.1])
    assert found["count"].to_list() == [2, 2]


def test_how_far_ahead_and_aside_a_neighbour_may_be():
    """max 1: x = 1 is still ahead, but all |y| exceed 1 / 2, so no speed is left; max 0.9: none."""
    assert bins(responses(), "1d", "turn", max_for_avg=1.0)["count"].sum() == 2
    speed = bins(responses(), "1d", "speed", max_for_avg=1.0)
    assert speed["count"].sum() == 0
    assert speed["value"].is_nan().all()
    assert bins(responses(), "1d", "turn", max_for_avg=0.9)["count"].sum() == 0


def test_speeds_by_the_distance_ahead():
    """x = -1: 30; x = 1: 10 and 20, mean 15."""
    found = bins(responses(), "1d", "speed")
    np.testing.assert_array_equal(found["value"], [30, 15])
    np.testing.assert_array_equal(found["sum_value"], [30, 30])


def test_two_dimensions_and_the_closed_last_bin():
    """y edges -2, -2/3, 2/3, 2. y = 2 lies on the last edge and counts in the last bin.

    Turns: (1, -1) in cell (1, 0), (1, 1) in (1, 2), (-1, 2) in (0, 2).
    """
    found = bins(responses(), "2d", "turn")
    cells = {(row["bin_x"], row["bin_y"]): row for row in found.to_dicts()}
    sums = {cell: row["sum_value"] for cell, row in cells.items() if row["count"]}
    assert sums == {(1, 0): 0.5, (1, 2): 0.3, (0, 2): 0.1}
    assert len(cells) == 6
    np.testing.assert_allclose(cells[1, 0]["bin_center_x"], 1)
    np.testing.assert_allclose(cells[1, 0]["bin_center_y"], -4 / 3)
    assert np.isnan(cells[0, 1]["value"])


def test_speeds_in_two_dimensions_count_on_both_sides():
    """(1, ±1): 10 + 20 on each side; (-1, ±2): 30 on each side."""
    found = bins(responses(), "2d", "speed")
    sums = {(row["bin_x"], row["bin_y"]): row["sum_value"] for row in found.to_dicts()}
    assert sums == {(0, 0): 30, (0, 1): 0, (0, 2): 30, (1, 0): 30, (1, 1): 0, (1, 2): 30}


def test_the_last_edge_is_inside_and_beyond_is_outside():
    """x = 2 counts in the bin from 0 to 2, x = 2.1 nowhere, x = 0 in the upper bin."""
    found = bins(responses(neighbor_x=[2.0, 2.1, 0.0], neighbor_y=0.0), "1d", "speed")
    assert found["count"].to_list() == [0, 2]


def test_rows_that_are_excluded_or_incomplete_count_nowhere():
    table = responses(bad=[False, True, None])
    assert bins(table, "1d", "speed", exclude_cols=("bad",))["count"].sum() == 2
    for column in ("neighbor_x", "neighbor_y", "dangle", "dspeed"):
        broken = responses().with_columns(pl.Series(column, [NAN, np.inf, 1.0]))
        assert bins(broken, "2d", "turn")["count"].sum() == 1
    assert bins(responses(bad=["", "x", None]), "2d", "turn", exclude_cols=("bad",)).height == 6


def test_categories_divide_the_rows():
    """Without a focal column all animals are "all", by the neighbour's category."""
    table = responses(neighbor_focal=[True, False, False])
    result = NnDeltaBins(params=SMALL).apply(table)
    speeds = result.filter((pl.col("dim") == "1d") & (pl.col("metric") == "speed"))
    totals = speeds.group_by("center_category", "neighbor_category").agg(pl.col("count").sum())
    assert set(totals.rows()) == {("all", "all", 3), ("all", "true", 1), ("all", "false", 2)}


def test_a_category_is_made_from_a_quantile_of_the_non_focal_animals():
    """Lengths 1, 3 of the others have the median 2; 9 and 3 exceed it, 1 does not.

    The median of all three would be 3, which only 9 exceeds.
    """
    spec = {"source_col": "length", "new_col": "long", "quantile": 0.5}
    table = responses(length=[1.0, 3.0, 9.0], Focal_fish=[False, False, True])
    params = SMALL | {"focal_category_col": "long", "category_specs": [spec]}

    def counts(table: pl.DataFrame, params: dict[str, object]) -> dict[str, int]:
        result = NnDeltaBins(params=params).apply(table)
        assert set(result["neighbor_category"]) == {"all"}
        speeds = result.filter((pl.col("dim") == "1d") & (pl.col("metric") == "speed"))
        return dict(speeds.group_by("center_category").agg(pl.col("count").sum()).rows())

    assert counts(table, params) == {"true": 2, "false": 1}
    assert counts(table.drop("Focal_fish"), params) == {"true": 1, "false": 2}
    below = params | {"category_specs": [spec | {"op": "<="}]}
    assert counts(table, below) == {"true": 1, "false": 2}
    numbered = table.with_columns(pl.col("Focal_fish").cast(pl.Int8))
    assert counts(numbered, params) == {"true": 2, "false": 1}
    named = table.with_columns(Focal_fish=pl.Series(["no", "no", "yes"]))
    assert counts(named, params | {"nonfocal_flag_value": "no"}) == {"true": 2, "false": 1}
    unknown = table.with_columns(length=pl.Series([1.0, 3.0, None]))
    assert counts(unknown, params) == {"true": 1, "false": 1, None: 1}


def test_nothing_left_gives_an_empty_table_with_all_columns():
    full = NnDeltaBins().apply(responses())
    for table in (responses().clear(), responses(dangle=NAN)):
        empty = NnDeltaBins().apply(table)
        assert empty.height == 0
        assert empty.schema == full.schema


def test_what_cannot_work_is_refused_before_anything_is_computed():
    with pytest.raises(MissingColumnError, match=r"'dangle'.* comes from nn-delta-response"):
        NnDeltaBins().apply(responses().drop("dangle"))
    with pytest.raises(MissingColumnError, match="bad"):
        NnDeltaBins(params={"exclude_cols": ("bad",)}).apply(responses())
    spec = {"source_col": "a", "new_col": "b"}
    with pytest.raises(MissingColumnError, match=r"column\(s\) a"):
        NnDeltaBins(params={"category_specs": [spec]}).apply(responses())
    for specs in ([spec, spec], [spec | {"new_col": "dangle"}], [spec | {"op": "<"}]):
        with pytest.raises(ParamsError, match="category_specs"):
            NnDeltaBins(params={"category_specs": specs})
    with pytest.raises(ParamsError, match="nbins"):
        NnDeltaBins(params={"nbins": 1})
