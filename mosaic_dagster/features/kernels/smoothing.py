"""Smoothing along one run of rows."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.runs import find_stretches


def moving_mean(values: FloatArray, window: int) -> FloatArray:
    """Centred moving mean with reflected ends, shape (n_rows,).

    Parameters
    ----------
    values
        One run, shape (n_rows,). NaN spreads to the rows whose window holds it.
    window
        Odd number of rows; 1 or less means none. A longer window than the run is cut to the
        largest odd number of rows that fits.
    """
    window = min(window, len(values) - 1 + len(values) % 2)
    if window <= 1:
        return values.copy()
    padded = np.pad(values, window // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)
    return np.asarray(windows.mean(axis=-1), dtype=np.float64)


def savgol_finite(values: FloatArray, window: int, order: int) -> FloatArray:
    """Savitzky–Golay filter of each finite stretch by itself, shape (n_rows,).

    Parameters
    ----------
    values
        One run, shape (n_rows,).
    window, order
        Odd number of rows, and the degree of the fitted polynomial.

    Notes
    -----
    Stretches shorter than the window are left as they are; NaN stays NaN and touches no other row.
    Ends are taken from the polynomial fitted to the first and the last window.
    """
    # Half a second to import, which everybody would wait for who only asks what is stale.
    from scipy.signal import savgol_filter

    smoothed = values.copy()
    for stretch in find_stretches(np.isfinite(values)):
        if stretch.stop - stretch.start >= window:
            smoothed[stretch] = savgol_filter(values[stretch], window, order)
    return smoothed


def gaussian_radius(sigma: float, truncate: float) -> int:
    """Half width in rows of a Gaussian window that ends at ``truncate`` standard deviations."""
    return int(truncate * sigma + 0.5)


def gaussian_kernel(sigma: float, truncate: float) -> FloatArray:
    """Weights of a Gaussian window, which sum to 1, shape (2 radius + 1,)."""
    radius = gaussian_radius(sigma, truncate)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum())


def gaussian_finite(values: FloatArray, sigma: float, truncate: float = 4.0) -> FloatArray:
    """Gaussian mean along rows over the finite values in the window, shape of ``values``.

    Parameters
    ----------
    values
        One run, shape (n_rows, n_columns).
    sigma
        Standard deviation in rows, above 0.
    truncate
        The window ends at this many standard deviations.

    Notes
    -----
    Beyond its ends the run continues with its first and last row. Weights are renormalised over
    the finite values; a value that is NaN itself stays NaN.
    """
    from scipy.ndimage import convolve1d

    if not len(values):
        return values.copy()
    kernel = gaussian_kernel(sigma, truncate)
    finite = np.isfinite(values)
    sums = convolve1d(np.where(finite, values, 0.0), kernel, axis=0, mode="nearest")
    if finite.all():
        return sums
    weights = convolve1d(finite.astype(np.float64), kernel, axis=0, mode="nearest")
    smoothed = np.full(values.shape, np.nan)
    np.divide(sums, weights, out=smoothed, where=finite)
    return smoothed
