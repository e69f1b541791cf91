"""The fast Gaussian mean: a value off by one step would make another digest of the same tracks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.gaussian_float32 import gaussian_float32
from mosaic_dagster.features.kernels.smoothing import gaussian_finite


def exact(values: np.ndarray, runs: list[slice], sigma: float, truncate: float) -> np.ndarray:
    parts = [gaussian_finite(values[:, run].T, sigma, truncate).T for run in runs]
    return np.concatenate(parts, axis=1).astype(np.float32)


def test_a_single_value_spreads_by_the_weights_of_the_window():
    """sigma 1, cut at 1: weights e^-0.5 : 1 : e^-0.5, so 1 becomes 1 / (1 + 2 e^-0.5) = 0.4519."""
    values = np.zeros((1, 300))
    values[0, 150] = 1.0
    smooth = gaussian_float32(values, [slice(0, 300)], 1.0, 1.0)
    np.testing.assert_allclose(smooth[0, 149:152], [0.27407, 0.45186, 0.27407], atol=1e-5)
    assert not smooth[0, :149].any()
    assert not smooth[0, 152:].any()


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=5),
    n_columns=st.integers(1, 5),
    sigma=st.sampled_from([0.6, 5.0, 30.0]),
    truncate=st.sampled_from([1.0, 4.0, 20.0]),
    missing=st.sampled_from([0.0, 0.003, 0.5, 1.0]),
)
def test_it_is_the_slow_mean_to_the_last_bit(seed, lengths, n_columns, sigma, truncate, missing):
    """Short and long runs, windows longer than runs, few, many and only missing values."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_columns, sum(lengths))).cumsum(axis=1)
    values[rng.random(values.shape) < missing] = np.nan
    ends = np.cumsum(lengths).tolist()
    runs = [slice(end - n, end) for n, end in zip(lengths, ends, strict=True)]
    found = gaussian_float32(values, runs, sigma, truncate)
    np.testing.assert_array_equal(found, exact(values, runs, sigma, truncate))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_flags_and_outliers_are_exact_too(scale):
    """0 and 1 cancel to 0 and round half a step; an outlier must not blur what is far from it."""
    rng = np.random.default_rng(1)
    values = np.stack([rng.random(900) < 0.01, np.arange(900) == 400, np.zeros(900)]) * scale
    values[1] += 1e-6 * scale * rng.random(900)
    runs = [slice(0, 900)]
    np.testing.assert_array_equal(
        gaussian_float32(values, runs, 30.0), exact(values, runs, 30.0, 4.0)
    )


def test_two_columns_with_the_same_holes_share_nothing_but_their_weights():
    """x and y of a keypoint are missing together; each keeps its own mean."""
    values = np.stack([np.full(400, 2.0), np.full(400, -3.0), np.full(400, 7.0)])
    values[:2, 100:104] = np.nan
    smooth = gaussian_float32(values, [slice(0, 400)], 30.0)
    assert np.isnan(smooth[:2, 100:104]).all()
    for column, value in zip(smooth, (2.0, -3.0, 7.0), strict=True):
        np.testing.assert_array_equal(np.unique(column[np.isfinite(column)]), [value])
