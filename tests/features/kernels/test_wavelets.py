"""The wavelet: power that is off makes spectra of two labs incomparable."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.features.kernels.wavelets import (
    Morlet,
    edge_influence,
    kernel_spectra,
    wavelet_power,
)

CMOR = Morlet(1.5, 1.0)
FPS = 30.0


def sine(frequency: float, n_rows: int = 600) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(n_rows) / FPS)


def power_of(signal: np.ndarray, wavelet: Morlet, scales: np.ndarray) -> np.ndarray:
    return wavelet_power(signal, kernel_spectra(len(signal), wavelet, scales)).T


def test_a_sine_at_the_scale_frequency_has_power_a_quarter_of_the_scale():
    """5 Hz at 30 fps: a = 6, so |W|² = 1.5 away from the ends."""
    power = power_of(sine(5.0), CMOR, CMOR.scales(np.array([5.0]), FPS))
    np.testing.assert_allclose(power[100:500, 0], 1.5, rtol=0.01)


def test_a_sine_beside_the_scale_frequency_is_weaker_by_the_formula():
    """4 Hz seen at 5 Hz: 1.5 exp(-0.75 (2 pi)² 0.2²) = 1.5 exp(-1.184) = 0.459."""
    power = power_of(sine(4.0), CMOR, CMOR.scales(np.array([5.0]), FPS))
    np.testing.assert_allclose(power[100:500, 0].mean(), 0.459, rtol=0.01)


@pytest.mark.parametrize("n_rows", [3, 16, 17, 40])
def test_the_transform_is_the_sum_in_its_definition(n_rows):
    """Direct sum over all rows against the FFT, also where the kernel (33 rows) is the longer."""
    signal = np.random.default_rng(1).normal(size=n_rows)
    scale, bandwidth, center = 2.7, 1.5, 1.0
    rows = np.arange(n_rows)
    t = (rows[None, :] - rows[:, None]) / scale
    psi = np.exp(-(t**2) / bandwidth + 2j * np.pi * center * t) / np.sqrt(np.pi * bandwidth)
    direct = np.abs((signal * psi.conj()).sum(axis=1) / np.sqrt(scale)) ** 2
    power = power_of(signal, Morlet(bandwidth, center), np.array([scale]))
    np.testing.assert_allclose(power[:, 0], direct, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_rows", [1, 2])
def test_the_shortest_signals_have_power_too(n_rows):
    """One row of 2: |W|² = 4 / (a pi B) with a = 1."""
    power = power_of(np.full(n_rows, 2.0), CMOR, np.array([1.0]))
    assert power.shape == (n_rows, 1)
    if n_rows == 1:
        np.testing.assert_allclose(power[0, 0], 4 / (np.pi * 1.5))


def test_rows_near_the_ends_are_marked():
    """sqrt(1.5) a = 1.22 for a = 1: rows 0, 1 of 5 and their mirror images are nearer."""
    marked = edge_influence(5, CMOR, np.array([1.0]))[:, 0]
    np.testing.assert_array_equal(marked, [True, True, False, True, True])
