"""Values for the gaps inside one track, by several methods."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

Method = Literal["linear", "nearest", "quadratic", "cubic"]
"""How a value between known ones is found."""

_DEGREES = {"quadratic": 2, "cubic": 3}


def interpolate_gaps(
    values: FloatArray, frames: IntArray, method: Method, max_gap: int | None = None
) -> FloatArray:
    """Fill the gaps between finite values, shape (n_rows,); nothing is filled at the ends.

    Parameters
    ----------
    values
        One track, shape (n_rows,); what is not finite is missing.
    frames
        Frame of each row, increasing, shape (n_rows,).
    method
        ``linear`` draws a line over frames; ``nearest`` takes the value of the nearest known
        frame, the earlier of two equally near ones; ``quadratic`` and ``cubic`` evaluate the
        interpolating spline of that degree through all known values of the track, of a lower
        degree where there are too few of them.
    max_gap
        Longest gap that is filled, in frames without a value; frames without a row count too.
        None fills all.

    Notes
    -----
    A cubic spline ends "not-a-knot"; the knots of a quadratic one lie midway between the known
    frames, but for the first and the last such midpoint, which are left out.
    """
    filled = values.copy()
    finite = np.isfinite(values)
    known = np.flatnonzero(finite)
    missing = np.flatnonzero(~finite)
    after = np.searchsorted(known, missing)
    inside = (after > 0) & (after < len(known))
    missing, after = missing[inside], after[inside]
    left, right = known[after - 1], known[after]
    if max_gap is not None:
        fits = frames[right] - frames[left] - 1 <= max_gap
        missing, left, right = missing[fits], left[fits], right[fits]
    if not len(missing):
        return filled
    if method in _DEGREES:
        filled[missing] = _spline(values[known], frames[known], frames[missing], _DEGREES[method])
        return filled
    before, span = frames[missing] - frames[left], frames[right] - frames[left]
    if method == "nearest":
        filled[missing] = np.where(2 * before <= span, values[left], values[right])
    else:
        filled[missing] = values[left] + (values[right] - values[left]) / span * before
    return filled


def _spline(values: FloatArray, frames: IntArray, wanted: IntArray, degree: int) -> FloatArray:
    # Half a second to import, which everybody would wait for who only asks what is stale.
    from scipy.interpolate import make_interp_spline

    spline = make_interp_spline(frames.astype(np.float64), values, k=min(degree, len(frames) - 1))
    return np.asarray(spline(wanted.astype(np.float64)), dtype=np.float64)
