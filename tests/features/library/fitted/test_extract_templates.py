"""extract-templates: what is sampled here decides every scaler, map and cluster below."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FitError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.fitted.extract_templates import ExtractTemplates
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.testing import check_feature, make_ready, toy_stream, toy_values


def recordings(*sizes: int) -> dict[EntryKey, pl.DataFrame]:
    """Recording i has rows i.000, i.001, …, so a value says where it comes from."""
    return {
        EntryKey("g", f"s{i}"): toy_values({"v": i + np.arange(n + 1) / 1000, "w": 1.0}).head(n)
        for i, n in enumerate(sizes)
    }


def fitted(tables: dict[EntryKey, pl.DataFrame], **params: object) -> ExtractTemplates:
    feature = ExtractTemplates(params=params)
    make_ready(feature, toy_stream(tables))
    return feature


def sources(feature: ExtractTemplates) -> list[int]:
    assert feature.provenance is not None
    return feature.provenance["count"].to_list()


@pytest.mark.parametrize("strategy", ["random", "farthest_first"])
@pytest.mark.parametrize("allocation", ["reservoir", "exact"])
def test_contract(strategy, allocation):
    tables = recordings(30, 20)
    pool = {"size": 20, "allocation": allocation}
    params = {"n_templates": 10, "strategy": strategy, "pool": pool}
    table = tables[EntryKey("g", "s0")]
    result = check_feature(ExtractTemplates, table, params, state_from=toy_stream(tables))
    assert result.equals(table)


def test_each_template_says_where_it_comes_from():
    feature = fitted(recordings(30, 20), n_templates=12)
    assert feature.templates.columns == ["v", "w"]
    assert feature.rows.columns == ["group", "sequence", "frame", "id"]
    recording = feature.rows["sequence"].str.slice(1).cast(pl.Int64)
    expected = recording + feature.rows["frame"] / 1000
    np.testing.assert_allclose(feature.templates["v"], expected)
    assert sum(sources(feature)) == 12
    np.testing.assert_allclose(feature.provenance["proportion"].sum(), 1.0)


def test_another_recording_leaves_the_draws_of_the_others_alone():
    """What remains of the old recordings is a subset of what was drawn before."""
    before = set(fitted(recordings(300, 300), n_templates=60).templates["v"])
    after = fitted(recordings(300, 300, 300), n_templates=60).templates["v"]
    kept = {value for value in after if value < 2}
    assert kept < before
    assert len(kept) < 60


def test_every_row_has_the_same_chance():
    """Of 900 and 100 rows, 200 templates: 180 and 20 expected, standard deviation about 4."""
    counts = sources(fitted(recordings(900, 100), n_templates=200))
    assert 5 < counts[1] < 35


def test_exact_gives_each_recording_its_share():
    """80 : 20 of 10 is 8 and 2; a third recording without rows gives none."""
    feature = fitted(recordings(80, 20, 0), n_templates=10, pool={"allocation": "exact"})
    assert sources(feature) == [8, 2, 0]


@pytest.mark.parametrize("allocation", ["reservoir", "exact"])
def test_one_recording_cannot_fill_the_pool(allocation):
    """Cap 0.4 of 10 is 4: a recording of 1000 rows gives 4, the small ones the rest."""
    pool = {"allocation": allocation, "max_entry_fraction": 0.4}
    feature = fitted(recordings(1000, 3, 3), n_templates=10, pool=pool)
    assert sources(feature) == [4, 3, 3]


def test_the_cap_is_never_below_an_equal_share():
    """Two recordings with cap 0.1 may still give half of the 10 each."""
    feature = fitted(recordings(50, 50), n_templates=10, pool={"max_entry_fraction": 0.1})
    assert sources(feature) == [5, 5]


def test_rows_with_missing_values_never_enter_and_too_few_rows_are_said():
    broken = toy_values({"v": [1.0, np.nan, np.inf, 4.0, 5.0], "n": [1, 2, 3, None, 5]})
    feature = fitted({EntryKey("g", "s"): broken}, n_templates=10)
    assert feature.templates["v"].to_list() == [1.0, 5.0]
    assert feature.state_notes() == {
        "n_templates": 2,
        "n_wanted": 10,
        "warning": "only 2 usable rows for 10 templates",
    }


def test_types_of_the_columns_are_kept():
    table = toy_values({"v": pl.Series([1.0, 2.0], dtype=pl.Float32), "n": [1, 2]})
    feature = fitted({EntryKey("g", "s"): table}, n_templates=2)
    assert dict(feature.templates.schema) == {"n": pl.Int64, "v": pl.Float32}


def test_farthest_first_spreads_over_the_pool():
    """A cloud of 50 equal rows and one row far away: the far one is always taken."""
    table = toy_values({"v": [0.0] * 50 + [9.0]})
    feature = fitted(
        {EntryKey("g", "s"): table},
        n_templates=2,
        strategy="farthest_first",
        pool={"size": 51},
    )
    assert sorted(feature.templates["v"]) == [0.0, 9.0]


def test_recordings_with_different_columns_are_refused_by_name():
    tables = recordings(3, 3)
    for key, column in ((EntryKey("g", "s1"), "w"), (EntryKey("g", "s0"), "w")):
        broken = {**tables, key: tables[key].drop(column)}
        with pytest.raises(MissingColumnError, match=f"Entry {key} lacks the column 'w'"):
            fitted(broken, n_templates=2)


def test_nothing_usable_is_refused():
    with pytest.raises(FitError, match="no row without a missing value"):
        fitted(recordings(0), n_templates=2)
    with pytest.raises(MissingColumnError, match="no numeric value column"):
        fitted({EntryKey("g", "s"): toy_values({"name": ["a"]})}, n_templates=2)
    with pytest.raises(FitError, match="not fitted"):
        ExtractTemplates(params={"n_templates": 1}).save_state(None)


def test_a_pool_smaller_than_the_templates_is_refused():
    with pytest.raises(ParamsError, match=r"pool.size 5 is smaller than n_templates 6"):
        ExtractTemplates(params={"n_templates": 6, "pool": {"size": 5}})
    with pytest.raises(ParamsError, match="n_templates"):
        ExtractTemplates()
