"""Short stretches of rows that do not overlap."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import IntArray


def place_clips(seeds: IntArray, n_rows: int, length: int) -> IntArray:
    """First rows of clips that begin at the seeds or as near as room allows, increasing.

    Parameters
    ----------
    seeds
        Wanted first rows in 0 … n_rows - 1, increasing, shape (n_seeds,).
    n_rows
        Number of rows of the run.
    length
        Rows of a clip.

    Notes
    -----
    A clip that would overlap the one before begins at its end; clips that would reach beyond
    the last row move back, and those before them as far as needed. Only as many seeds count, from
    the first on, as clips fit into the run.
    """
    seeds = seeds[: n_rows // length]
    offsets = np.arange(len(seeds)) * length
    forward = np.maximum.accumulate(seeds - offsets) + offsets
    latest = n_rows - length * len(seeds) + offsets
    return np.minimum(forward, latest)
