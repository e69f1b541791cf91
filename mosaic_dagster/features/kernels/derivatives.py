"""Changes of a quantity from row to row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray


def step_difference(values: FloatArray, identity: IntArray, step: int = 1) -> FloatArray:
    """``values[i] - values[i - step]`` within one identity, shape (n_rows,).

    Parameters
    ----------
    values
        Shape (n_rows,), sorted by identity, then frame.
    identity
        Identity of each row, shape (n_rows,).
    step
        Number of rows to look back.

    Notes
    -----
    The first ``step`` rows of an identity are NaN; NaN in either value gives NaN. Rows are counted,
    not frames: divide by the difference of the frames to be right across gaps.
    """
    difference = np.full(len(values), np.nan)
    if step < len(values):
        same = identity[step:] == identity[:-step]
        difference[step:] = np.where(same, values[step:] - values[:-step], np.nan)
    return difference


def gradient(values: FloatArray, runs: Sequence[slice]) -> FloatArray:
    """Derivative per frame inside each run, shape of ``values``.

    Parameters
    ----------
    values
        Shape (n_rows,) or (n_rows, n_columns).
    runs
        Rows of each run; see :func:`~mosaic_dagster.features.kernels.runs.find_runs`.

    Notes
    -----
    Inside a run ``(x[i+1] - x[i-1]) / 2``, at its ends the one-sided difference; a run of a single
    row has no derivative (NaN). Multiply by the frame rate for a rate per second.
    """
    slopes = np.full(values.shape, np.nan)
    for run in runs:
        if run.stop - run.start > 1:
            slopes[run] = np.gradient(values[run], axis=0)
    return slopes
