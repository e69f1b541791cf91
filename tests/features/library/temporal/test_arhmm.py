"""arhmm: syllables that mix animals, jump gaps or change with the company are no behaviour."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, FitError, MissingColumnError, ParamsError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.temporal.arhmm import Arhmm
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import load_arrays, save_arrays
from mosaic_dagster.testing import check_feature, make_ready, toy_stream, toy_values

KEY = EntryKey("g", "s")
TWO = {"n_states": 2, "sticky_weight": 10.0, "n_iter": 30}


def bouts(n_bouts: int = 8, length: int = 40, seed: int = 0) -> np.ndarray:
    """Rest at 0 and at 10 in turn, each row half-way between the last one and the rest."""
    rng = np.random.default_rng(seed)
    target = np.repeat(10.0 * (np.arange(n_bouts) % 2), length)
    values = np.zeros((len(target), 2))
    for row in range(1, len(target)):
        values[row] = (values[row - 1] + target[row]) / 2 + 0.1 * rng.normal(size=2)
    return values


def table_of(values: np.ndarray, **identity: int) -> pl.DataFrame:
    return toy_values({"a": values[:, 0], "b": values[:, 1]}, identity=identity or None)


def fitted(params: dict | None = None, values: np.ndarray | None = None) -> Arhmm:
    stream = toy_stream({KEY: table_of(bouts() if values is None else values)})
    return make_ready(Arhmm(params=params or TWO), stream)


def syllables(feature: Arhmm, table: pl.DataFrame) -> list[int | None]:
    return feature.apply(table).table["syllable"].to_list()


def test_contract():
    """Two animals, one with a missing value and a gap."""
    values = bouts(4)
    holed = values.copy()
    holed[5, 1] = np.nan
    second = table_of(holed, id=7).filter(pl.col("frame") != 30)
    table = pl.concat([table_of(values, id=0), second]).sort("frame", maintain_order=True)
    result = check_feature(Arhmm, table, TWO, state_from=toy_stream({KEY: table}))
    assert result.columns == ["frame", "time", "id", "syllable", "fps", "group", "sequence"]
    assert result.schema["syllable"] == pl.Int32
    assert result["syllable"].null_count() == 0


def test_the_two_laws_are_found_and_numbered_by_use():
    """Five bouts at 0 and three at 10: rest at 0 is syllable 0."""
    values = np.concatenate([bouts(6), bouts(1, 80)])
    feature = fitted(values=values)
    found = np.array(syllables(feature, table_of(values)))
    truth = np.concatenate([np.repeat(np.arange(6) % 2, 40), np.zeros(80)])
    assert (found == truth).mean() > 0.98
    usage = feature.state_notes()["usage"]
    np.testing.assert_allclose(usage, [0.625, 0.375], atol=0.02)
    assert sorted(usage, reverse=True) == usage


def test_each_run_is_decoded_alone():
    """The same rows as another animal, after a gap and as a pair's perspective."""
    feature = fitted()
    values = bouts(3, seed=5)
    alone = syllables(feature, table_of(values))
    other = table_of(bouts(2, seed=6), id=1)
    both = pl.concat([table_of(values, id=0), other])
    assert syllables(feature, both)[: len(values)] == alone
    late = table_of(values).with_columns(pl.col("frame") + 10_000)
    after_gap = pl.concat([table_of(bouts(2, seed=6)), late])
    assert syllables(feature, after_gap)[-len(values) :] == alone
    sides = [table_of(v, id1=1, id2=2, perspective=p) for p, v in enumerate([values, bouts(3)])]
    pairs = pl.concat(sides).sort("frame", maintain_order=True)
    first = feature.apply(pairs).table.filter(perspective=0)
    assert first["syllable"].to_list() == alone


def test_a_gap_ends_a_run_and_runs_that_are_too_short_are_null():
    """Frames 0 and 1, then 3: with one lag the pair of rows is decoded, the single row is not."""
    feature = fitted()
    table = table_of(bouts(1, 4)).filter(pl.col("frame") != 2)
    result = feature.apply(table)
    assert result.table["syllable"].is_null().to_list() == [False, False, True]
    assert result.notes == {"n_rows_filled": 0, "n_rows_null": 1}
    first, second, _ = result.table["syllable"]
    assert first == second


def test_lags_take_the_syllable_of_the_first_row_that_has_them():
    feature = fitted(TWO | {"n_lags": 3})
    found = syllables(feature, table_of(bouts(2)))
    assert len(set(found[:4])) == 1
    assert syllables(feature, table_of(bouts(1, 3))) == [None] * 3


def test_rows_between_the_downsampled_ones_have_the_syllable_before_them():
    feature = fitted(TWO | {"downsample_rate": 4})
    table = table_of(bouts(4, 41))
    found = syllables(feature, table)
    kept = table[::4].with_columns(frame=pl.int_range(pl.len()))
    dense = Arhmm(params=TWO)
    dense.state = feature.state | {"downsample_rate": np.array(1)}
    expected = syllables(dense, kept)
    assert found == [expected[row // 4] for row in range(table.height)]


def test_missing_values_count_as_zero_and_are_told():
    feature = fitted()
    values = bouts(2)
    zeros = values.copy()
    values[10], zeros[10] = [np.nan, np.inf], 0.0
    made = feature.apply(table_of(values))
    assert made.table["syllable"].to_list() == syllables(feature, table_of(zeros))
    assert made.notes["n_rows_filled"] == 1


def test_units_do_not_matter_when_columns_are_standardised():
    feature = fitted()
    scaled = fitted(values=bouts() * [1000.0, 0.001] + [5.0, -3.0])
    table = table_of(bouts(3, seed=9))
    converted = table_of(bouts(3, seed=9) * [1000.0, 0.001] + [5.0, -3.0])
    assert syllables(feature, table) == syllables(scaled, converted)


def test_a_constant_column_and_components_are_allowed():
    """The constant adds nothing, and one component of two equal columns holds both."""
    values = bouts()
    table = table_of(np.stack([values[:, 0], values[:, 0]], axis=1)).with_columns(c=pl.lit(4.0))
    feature = make_ready(Arhmm(params=TWO | {"pca_dim": 1}), toy_stream({KEY: table}))
    components = feature.state["components"]
    np.testing.assert_allclose(components, [[0.5**0.5, 0.5**0.5, 0.0]], atol=1e-12)
    same = np.mean(np.array(syllables(feature, table)) == np.repeat(np.arange(8) % 2, 40))
    # Both laws explain half of the rows, so either may be syllable 0.
    assert max(same, 1 - same) > 0.95


def test_states_that_explain_little_are_removed():
    """Twelve states for two laws: those below a fifth of the rows go."""
    params = TWO | {"n_states": 12, "prune_threshold": 0.2}
    notes = fitted(params).state_notes()
    assert notes["n_states"] + notes["n_states_pruned"] == 12
    assert notes["n_states_pruned"] > 0
    assert notes["n_states"] == 1 or min(notes["usage"]) >= 0.2
    params["prune_threshold"] = 0.99
    assert fitted(params).state_notes()["n_states"] == 1


def test_the_likeliest_of_several_starts_is_kept():
    params = TWO | {"n_states": 6, "n_iter": 5}
    single = [
        fitted(params | {"random_state": seed}).state_notes()["log_likelihood"] for seed in (3, 4)
    ]
    best = fitted(params | {"random_state": 3, "n_restarts": 2}).state_notes()["log_likelihood"]
    assert single[0] != single[1]
    assert best == max(single)


def test_a_model_is_taken_up_without_a_fit(tmp_path):
    first = fitted()
    first.save_state(tmp_path)
    second = Arhmm(params={"model": StepRef("states", "arhmm.npz"), "n_lags": 4})
    assert second.load_state(None, {"model": tmp_path / "arhmm.npz"}, {})
    table = table_of(bouts(2))
    assert syllables(second, table) == syllables(first, table)
    assert second.state_notes() == first.state_notes()
    save_arrays(tmp_path / "other.npz", columns=np.array(["a"]))
    with pytest.raises(ParamsError, match=r"other.npz is not a state of arhmm"):
        second.load_state(None, {"model": tmp_path / "other.npz"}, {})


def test_the_state_is_arrays_of_numbers(tmp_path):
    feature = fitted()
    feature.save_state(tmp_path)
    arrays = load_arrays(tmp_path / "arhmm.npz")
    assert arrays["coefficients"].shape == (2, 2, 3)
    np.testing.assert_allclose(arrays["transitions"].sum(axis=1), 1)
    assert arrays["columns"].tolist() == ["a", "b"]


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(FitError, match="50 states of 39 different rows"):
        fitted({"n_states": 50}, bouts(1))
    with pytest.raises(FitError, match="no run of more than 1 successive rows"):
        fitted(TWO, bouts(1, 1))
    with pytest.raises(FitError, match=r"3 component\(s\) in 320 rows of 2 column\(s\)"):
        fitted(TWO | {"pca_dim": 3})
    with pytest.raises(MissingColumnError, match="no numeric value column in 1 entries"):
        make_ready(Arhmm(), toy_stream({KEY: toy_values({"name": ["a"]})}))
    tables = {KEY: table_of(bouts(1)), EntryKey("g", "t"): table_of(bouts(1)).drop("b")}
    with pytest.raises(MissingColumnError, match="Entry g/t lacks the column 'b'"):
        make_ready(Arhmm(params=TWO), toy_stream(tables))
    with pytest.raises(ParamsError, match="names no artifact"):
        Arhmm(params={"model": StepRef("states")})
    with pytest.raises(FeatureError, match="not given the file"):
        Arhmm(params={"model": StepRef("states", "arhmm.npz")}).load_state(None, {}, {})
    with pytest.raises(FeatureError, match="is not fitted"):
        Arhmm().apply(table_of(bouts(1)))
    with pytest.raises(MissingColumnError, match=r"needs the column\(s\) b"):
        fitted().apply(table_of(bouts(1)).drop("b"))


@cache
def ready() -> Arhmm:
    return fitted()


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random):
    feature = ready()
    table = table_of(bouts(2, 6, seed=3))
    order = list(range(table.height))
    random.shuffle(order)
    straight = syllables(feature, table)
    assert syllables(feature, table[order]) == [straight[row] for row in order]
