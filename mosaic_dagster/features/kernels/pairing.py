"""Rows of two individuals that are there in the same frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, IntArray


@dataclass(frozen=True)
class PairRows:
    """Each unordered pair in each frame that has both, sorted by pair, then frame.

    Attributes
    ----------
    first, second
        Row of the individual with the lower and with the higher number, shape (n_rows,).
    begins
        Whether a run starts: another pair, or a step of the frame other than 1; shape (n_rows,).
    order
        Positions among ``first`` and ``second`` stacked (perspective 0, then 1) that sort both
        perspectives by frame, focal individual, partner; shape (2 n_rows,).
    n_pairs
        Number of pairs that meet in some frame.
    """

    first: IntArray
    second: IntArray
    begins: BoolArray
    order: IntArray
    n_pairs: int

    @property
    def runs(self) -> list[slice]:
        """Rows of each run."""
        cuts = [*np.flatnonzero(self.begins).tolist(), len(self.begins)]
        return [slice(cuts[i], cuts[i + 1]) for i in range(len(cuts) - 1)]


def pair_rows(identity: IntArray, frames: IntArray) -> PairRows:
    """Match the rows of all individuals by frame.

    Parameters
    ----------
    identity, frames
        Shape (n_rows,), sorted by identity, then frame; an individual has one row per frame.

    Notes
    -----
    Work and memory grow with the number of pairs that share a frame, not with that of all pairs.
    """
    first, second = _meetings(identity, frames)
    if first.size > 1 and identity[-1] > identity[0] + 1:
        by_pair = np.lexsort((frames[first], identity[second], identity[first]))
        first, second = first[by_pair], second[by_pair]
    low, high, frame = identity[first], identity[second], frames[first]
    other = (np.diff(low) != 0) | (np.diff(high) != 0)
    begins = np.ones(len(first), dtype=np.bool_)
    begins[1:] = other | (np.diff(frame) != 1)
    focal, partner = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.lexsort((partner, focal, np.concatenate([frame, frame])))
    return PairRows(first, second, begins, order, int(other.sum()) + bool(len(first)))


def _meetings(identity: IntArray, frames: IntArray) -> tuple[IntArray, IntArray]:
    """Rows of the lower and the higher individual, sorted by frame for each distance in it."""
    by_frame = np.argsort(frames, kind="stable")
    sorted_frames = frames[by_frame]
    first, second = [by_frame[:0]], [by_frame[:0]]
    # Rows of a frame stand together, so those k places apart are pairs as long as any share it.
    for apart in range(1, len(identity)):
        together = np.flatnonzero(sorted_frames[apart:] == sorted_frames[:-apart])
        if not len(together):
            break
        first.append(by_frame[together])
        second.append(by_frame[together + apart])
    return np.concatenate(first), np.concatenate(second)
