"""Windows over the frames of one track, in which a frame without a row is a missing value."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

Statistic = Literal["median", "mean", "max", "min"]
"""What a rolling window gives."""

EdgeMode = Literal["mirror", "constant", "nearest", "wrap", "interp"]
"""How a Savitzky–Golay filter goes on beyond the ends of a track."""

_BLOCK = 1 << 20


def grid_positions(frames: IntArray, window: int) -> IntArray:
    """Row of each frame on a grid with a row for every frame, shape (n_rows,).

    Parameters
    ----------
    frames
        Frames of one track, increasing, shape (n_rows,).
    window
        Number of frames in the windows that are to be laid over the grid. A gap that is longer
        is shortened to it: no window sees both its sides either way, and the grid stays small.
    """
    steps = np.minimum(np.diff(frames, prepend=frames[:1]), window + 1)
    return np.cumsum(steps)


def rolling_statistic(
    grid: FloatArray, window: int, statistic: Statistic, min_periods: int
) -> FloatArray:
    """Statistic of the finite values in a centred window, shape of ``grid``.

    Parameters
    ----------
    grid
        Rows are successive frames, shape (n_frames, n_columns).
    window
        Odd number of frames.
    statistic
        What to take.
    min_periods
        Fewest finite values that give a result, at least 1; fewer give NaN. Frames beyond the
        ends are missing.
    """
    from scipy.ndimage import convolve1d, maximum_filter1d, minimum_filter1d

    finite = np.isfinite(grid)
    ones = np.ones(window)
    count = convolve1d(finite.astype(np.float64), ones, axis=0, mode="constant")
    if statistic == "median":
        result = _rolling_median(grid, window, count.astype(np.int64))
    elif statistic == "mean":
        sums = convolve1d(np.where(finite, grid, 0.0), ones, axis=0, mode="constant")
        result = sums / np.maximum(count, 1.0)
    else:
        extreme, beyond = (
            (maximum_filter1d, -np.inf) if statistic == "max" else (minimum_filter1d, np.inf)
        )
        known = np.where(finite, grid, beyond)
        result = extreme(known, window, axis=0, mode="constant", cval=beyond)
    return np.where(count >= min_periods, result, np.nan)


def _rolling_median(grid: FloatArray, window: int, count: IntArray) -> FloatArray:
    half = window // 2
    padded = np.pad(grid, ((half, half), (0, 0)), constant_values=np.nan)
    lower, upper = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, window - 1)
    median = np.empty_like(grid)
    step = max(1, _BLOCK // (window * max(1, grid.shape[1])))
    for start in range(0, len(grid), step):
        block = slice(start, min(start + step, len(grid)))
        windows = np.lib.stride_tricks.sliding_window_view(
            padded[block.start : block.stop + 2 * half], window, axis=0
        )
        ordered = np.sort(windows, axis=-1)  # NaN comes last
        middle = [
            np.take_along_axis(ordered, place[block][..., None], axis=-1)[..., 0]
            for place in (lower, upper)
        ]
        median[block] = (middle[0] + middle[1]) / 2
    return median


def savgol_grid(grid: FloatArray, window: int, order: int, mode: EdgeMode) -> FloatArray:
    """Savitzky–Golay filter along the rows, shape of ``grid``.

    Parameters
    ----------
    grid
        Rows are successive frames, shape (n_frames, n_columns).
    window, order
        Odd number of frames, and the degree of the fitted polynomial, below it.
    mode
        ``interp`` takes the first and last rows from the polynomial fitted to the first and last
        window; with fewer frames than the window all is NaN. The others extend the grid by its
        mirror image, by zeros, by its end values, or by its other end.

    Notes
    -----
    A NaN anywhere in a window makes its result NaN.
    """
    # Half a second to import, which everybody would wait for who only asks what is stale.
    from scipy.signal import savgol_filter

    if mode != "interp":
        return np.asarray(savgol_filter(grid, window, order, axis=0, mode=mode), dtype=np.float64)
    if len(grid) < window:
        return np.full(grid.shape, np.nan)
    smoothed = np.asarray(savgol_filter(grid, window, order, axis=0, mode="constant"))
    half = window // 2
    powers = np.vander(np.arange(window) - half, order + 1).astype(np.float64)
    fitted = powers @ np.linalg.pinv(powers)
    smoothed[:half] = np.einsum("ij,jk->ik", fitted[:half], grid[:window])
    smoothed[len(grid) - half :] = np.einsum("ij,jk->ik", fitted[half + 1 :], grid[-window:])
    return smoothed
