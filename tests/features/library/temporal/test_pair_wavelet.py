"""pair-wavelet: spectra that are off put behaviours into wrong clusters."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.temporal.pair_wavelet import PairWavelet
from mosaic_dagster.testing import check_feature, toy_values

NAN = np.nan
ONE = {"f_min": 5.0, "f_max": 5.0, "n_freq": 1}


def sine(frequency: float, n_rows: int = 300, fps: float = 30.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(n_rows) / fps)


def test_contract():
    rng = np.random.default_rng(0)
    table = toy_values({"PC0": rng.normal(size=40), "PC1": rng.normal(size=40), "other": 1.0})
    result = check_feature(PairWavelet, table, {"n_freq": 3, "coi": True})
    values = [f"W_PC{c}_f{k}" for c in range(2) for k in range(3)]
    assert result.columns[3:-3] == [*values, "coi_f0", "coi_f1", "coi_f2"]
    assert result.schema["W_PC0_f0"] == pl.Float32


def test_check_values_of_a_sine():
    """5 Hz at 30 fps: a = 6, ln(6/4) = 0.405; 4 Hz seen at 5 Hz: ln 0.459 = -0.779."""
    table = toy_values({"on": sine(5.0), "off": sine(4.0)}, fps=30.0)
    result = PairWavelet(params=ONE).apply(table)
    middle = result.table[100:200]
    np.testing.assert_allclose(middle["W_on_f0"], 0.405, atol=0.01)
    np.testing.assert_allclose(middle["W_off_f0"].mean(), np.log(0.459), atol=0.01)
    assert result.notes["frequencies_hz"] == [5.0]
    assert result.notes["scales"] == [6.0]
    assert result.notes["input_columns"] == ["off", "on"]


def test_frequencies_are_spaced_in_octaves():
    params = PairWavelet.Params(f_min=1.0, f_max=4.0, n_freq=3)
    np.testing.assert_allclose(params.frequencies(), [1, 2, 4])


def test_silence_lies_on_the_floor():
    result = PairWavelet(params=ONE).apply(toy_values({"v": [0.0] * 20}))
    assert (result.table["W_v_f0"] == -3.0).all()


def test_pairs_and_perspectives_do_not_mix():
    """A loud perspective beside a silent one leaves the silent one on the floor."""
    parts = [
        toy_values({"v": values}, identity={"id1": 1, "id2": 2, "perspective": side}, fps=30.0)
        for side, values in enumerate([sine(5.0, 60), np.zeros(60)])
    ]
    table = pl.concat(parts).sort("frame", maintain_order=True)
    result = PairWavelet(params=ONE).apply(table).table
    assert (result.filter(perspective=1)["W_v_f0"] == -3.0).all()
    alone = PairWavelet(params=ONE).apply(parts[0]).table
    np.testing.assert_array_equal(result.filter(perspective=0)["W_v_f0"], alone["W_v_f0"])


def test_a_long_hole_splits_the_signal_and_a_short_one_is_bridged():
    signal = sine(5.0, 60)
    holed = signal.copy()
    holed[20:24] = NAN
    table = toy_values({"v": holed}, fps=30.0)
    split = PairWavelet(params=ONE | {"linear_interp_limit": 3}).apply(table).table["W_v_f0"]
    assert split.is_nan().to_numpy().nonzero()[0].tolist() == [20, 21, 22, 23]
    alone = PairWavelet(params=ONE).apply(table[:20]).table["W_v_f0"]
    np.testing.assert_array_equal(split[:20], alone)
    bridged = PairWavelet(params=ONE | {"linear_interp_limit": 4}).apply(table).table["W_v_f0"]
    assert not bridged.is_nan().any()


def test_a_gap_in_the_frames_splits_the_signal():
    table = toy_values({"v": sine(5.0, 40)}, fps=30.0)
    shifted = table.with_columns(pl.col("frame") + 100 * (pl.col("frame") >= 20))
    result = PairWavelet(params=ONE).apply(shifted).table
    first = PairWavelet(params=ONE).apply(table[:20]).table
    np.testing.assert_array_equal(result["W_v_f0"][:20], first["W_v_f0"])


def test_the_frame_rate_comes_from_the_dataset_where_the_table_has_none():
    table = toy_values({"v": sine(5.0, 60)}, fps=30.0)
    params = PairWavelet.Params(**ONE)
    resolved = params.resolve(DatasetFacts(fps=30.0))
    expected = PairWavelet(params=ONE).apply(table).table["W_v_f0"]
    made = PairWavelet(params=resolved).apply(table.drop("fps")).table["W_v_f0"]
    np.testing.assert_array_equal(made, expected)
    with pytest.raises(FeatureError, match="frame rate"):
        PairWavelet(params=params).apply(table.drop("fps"))


def test_smoothing_comes_before_the_transform():
    """A window of 6 frames would erase 5 Hz at 30 fps; 7 frames leave a seventh of it."""
    table = toy_values({"v": sine(5.0, 90)}, fps=30.0)
    smooth = (
        PairWavelet(params=ONE | {"sampling": {"smooth_win": 7}, "log_floor": -9})
        .apply(table)
        .table
    )
    power = np.exp(smooth["W_v_f0"][45])
    np.testing.assert_allclose(power, 1.5 / 49, rtol=0.05)


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match=r"above half of the 8.0 frames"):
        PairWavelet().apply(toy_values({"v": [1.0]}, fps=8.0))
    with pytest.raises(ParamsError, match="cmorB-C"):
        PairWavelet(params={"wavelet": "mexh"})
    with pytest.raises(ParamsError, match="above f_max"):
        PairWavelet(params={"f_min": 6.0})
    with pytest.raises(ParamsError, match="odd"):
        PairWavelet(params={"sampling": {"smooth_win": 4}})
    with pytest.raises(MissingColumnError, match=r"needs the column\(s\) absent"):
        PairWavelet(params={"cols": ("absent",)}).apply(toy_values({"v": [1.0]}))
    with pytest.raises(MissingColumnError, match="no numeric value"):
        PairWavelet().apply(toy_values({"name": ["a"]}))
