"""temporal-stack: rows of other animals in a window would teach a classifier nonsense."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.temporal import temporal_stack
from mosaic_dagster.features.library.temporal.temporal_stack import TemporalStack
from mosaic_dagster.testing import check_feature, toy_values

PLAIN = {"half": 2, "skip": 2, "sigma_stack": 0, "add_pool": False}
NAN = np.nan


def test_contract_with_every_statistic():
    rng = np.random.default_rng(0)
    table = toy_values({"b2": rng.normal(size=30), "b10": rng.normal(size=30)})
    params = {"half": 2, "skip": 1, "pool_stats": ("mean", "std", "variance")}
    result = check_feature(TemporalStack, table, params)
    assert result.columns[3:5] == ["b2__t-02", "b10__t-02"]
    assert result.columns[13:17] == [
        "b2__pool_mean",
        "b10__pool_mean",
        "b2__pool_std",
        "b10__pool_std",
    ]
    assert result.schema["b2__pool_var"] == pl.Float32


def test_the_stack_shifts_rows_and_repeats_the_ends():
    result = TemporalStack(params=PLAIN).apply(toy_values({"v": [0, 1, 2, 3]}))
    assert result["v__t-02"].to_list() == [0, 0, 0, 1]
    assert result["v__t+00"].to_list() == [0, 1, 2, 3]
    assert result["v__t+02"].to_list() == [2, 3, 3, 3]


def test_windows_stay_within_an_individual_and_a_run():
    """Two individuals interleaved, the second with a gap after frame 1."""
    table = pl.DataFrame(
        {"frame": [0, 0, 1, 1, 2, 7], "id": [0, 1, 0, 1, 0, 1], "v": [0, 10, 1, 11, 2, 17]}
    )
    params = PLAIN | {"half": 1, "skip": 1}
    result = TemporalStack(params=params).apply(table)
    assert result["v__t+01"].to_list() == [1, 11, 2, 11, 2, 17]
    assert result["v__t-01"].to_list() == [0, 10, 0, 10, 1, 17]


def test_perspectives_of_a_pair_are_apart():
    table = pl.DataFrame(
        {"frame": [0, 0, 1, 1], "id1": 1, "id2": 2, "perspective": [0, 1, 0, 1], "v": [0, 5, 1, 6]}
    )
    result = TemporalStack(params=PLAIN | {"half": 1, "skip": 1}).apply(table)
    assert result["v__t+01"].to_list() == [1, 6, 1, 6]
    assert result["perspective"].to_list() == [0, 1, 0, 1]


def test_pool_of_a_window_worked_out_by_hand():
    """fps 10, win_sec 0.2: 2 rows; sigma 1, cut at max(1, 2/2) = 1: weights w = e^-½, 1, e^-½.

    For 0, 3, 0 in the middle: mean 3/(1+2w) = 1.3557, mean of squares 9/(1+2w) = 4.0671,
    variance 4.0671 - 1.8379 = 2.2292.
    """
    params = {"sigma_pool": 1.0, "win_sec": 0.2, "pool_stats": ("mean", "variance", "std")}
    feature = TemporalStack(params=params | {"use_temporal_stack": False})
    result = feature.apply(toy_values({"v": [0.0, 3.0, 0.0]}, fps=10.0))
    weight = 1 / (1 + 2 * np.exp(-0.5))
    mean, variance = 3 * weight, 9 * weight - (3 * weight) ** 2
    row = result.row(1, named=True)
    np.testing.assert_allclose(row["v__pool_mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(row["v__pool_var"], variance, rtol=1e-6)
    np.testing.assert_allclose(row["v__pool_std"], np.sqrt(variance), rtol=1e-6)
    assert result["v"].to_list() == [0, 3, 0]


def test_the_width_of_the_pool_follows_the_frame_rate_when_asked():
    """sigma 0: win_sec fps / 6 = 0.6 · 10 / 6 = 1, cut at 6 / 2 = 3; half the rate gives 1 too."""
    feature = TemporalStack(params={"sigma_pool": 0, "win_sec": 0.6})
    assert feature._pool_window(toy_values({"v": [1.0]}, fps=10.0)) == (1.0, 3.0)
    assert feature._pool_window(toy_values({"v": [1.0]}, fps=5.0)) == (1.0, 1.5)


def test_a_missing_value_stays_missing_and_does_not_spread():
    result = TemporalStack(params={"half": 0, "add_pool": False}).apply(
        toy_values({"v": [4.0, NAN, 4.0]})
    )
    np.testing.assert_allclose(result["v__t+00"], [4, NAN, 4])


def test_a_pool_without_a_frame_rate_is_refused():
    with pytest.raises(FeatureError, match="frame rate"):
        TemporalStack().apply(toy_values({"v": [1.0]}).drop("fps"))


def test_a_table_without_numbers_is_refused():
    with pytest.raises(MissingColumnError, match="no numeric value"):
        TemporalStack().apply(toy_values({"name": ["a"]}))


def test_an_unknown_statistic_is_refused():
    with pytest.raises(ParamsError, match="pool_stats"):
        TemporalStack(params={"pool_stats": ("max",)})


def test_an_output_larger_than_the_memory_is_refused_with_its_size(monkeypatch):
    """1 row x 26 columns x 4 bytes = 104 bytes, of which 80 % of 129 hold 103."""
    free = SimpleNamespace(available=129)
    monkeypatch.setattr(temporal_stack.psutil, "virtual_memory", lambda: free)
    with pytest.raises(FeatureError, match="1 rows x 26 columns"):
        TemporalStack().apply(toy_values({"v": [1.0]}))
    free.available = 131
    assert TemporalStack().apply(toy_values({"v": [1.0]})).height == 1
