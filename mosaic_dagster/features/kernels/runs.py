"""Where rows belong together in time.

All functions expect rows sorted by identity, then frame. A *track* is all rows of one identity; a
*run* is a maximal stretch of a track in which each frame follows the one before it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, IntArray


def find_tracks(identity: IntArray) -> list[slice]:
    """Rows of each identity.

    Parameters
    ----------
    identity
        Identity of each row as a whole number, sorted, shape (n_rows,).
    """
    return _split(np.diff(identity) != 0, len(identity))


def find_runs(identity: IntArray, frames: IntArray) -> list[slice]:
    """Maximal stretches of one identity whose frames step by exactly 1.

    Parameters
    ----------
    identity, frames
        Shape (n_rows,), sorted by identity, then frame.
    """
    return _split((np.diff(identity) != 0) | (np.diff(frames) != 1), len(frames))


def find_stretches(wanted: BoolArray) -> list[slice]:
    """Maximal stretches of True.

    Parameters
    ----------
    wanted
        Shape (n_rows,).
    """
    edges = np.flatnonzero(np.diff(wanted.astype(np.int8), prepend=0, append=0))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [slice(start, stop) for start, stop in pairs]


def find_constant(labels: IntArray) -> list[slice]:
    """Maximal stretches of equal labels.

    Parameters
    ----------
    labels
        Shape (n_rows,).
    """
    return _split(np.diff(labels) != 0, len(labels))


def _split(breaks: BoolArray, n_rows: int) -> list[slice]:
    if n_rows == 0:
        return []
    cuts = [0, *(np.flatnonzero(breaks) + 1).tolist(), n_rows]
    return [slice(start, stop) for start, stop in pairwise(cuts)]
