"""Stretches of frames of several owners: closing, opening and padding without a grid of frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, IntArray


@dataclass(frozen=True)
class Stretches:
    """Frames ``start`` to ``end``, both included, sorted by owner, then start, disjoint.

    Attributes
    ----------
    owner, start, end
        Shape (n_stretches,).
    """

    owner: IntArray
    start: IntArray
    end: IntArray

    def keep(self, wanted: BoolArray) -> Stretches:
        """Some of the stretches."""
        return Stretches(self.owner[wanted], self.start[wanted], self.end[wanted])

    def at_least(self, length: int) -> Stretches:
        """Those of ``length`` frames or more: a binary opening with false beyond the ends."""
        return self.keep(self.end - self.start + 1 >= length)

    def merged(self, gap: int) -> Stretches:
        """Neighbours of one owner joined where at most ``gap`` frames lie between them.

        A negative gap of -1 joins what shares a frame.
        """
        between = self.start[1:] - self.end[:-1] - 1
        apart = (np.diff(self.owner) != 0) | (between > gap)
        first = np.concatenate(([True], apart))[: len(self.owner)]
        last = np.concatenate((apart, [True]))[-len(self.owner) :] if len(self.owner) else first
        return Stretches(self.owner[first], self.start[first], self.end[last])

    def closed(self, size: int) -> Stretches:
        """Binary closing by a line of ``size`` frames.

        Gaps shorter than ``size`` are filled. Stretches at an end of the recording stay as they
        are: nothing is taken from them, and a gap between them and the end is not filled.
        """
        return self if size <= 1 else self.merged(size - 1)

    def padded(self, frames: int, first: int, last: int) -> Stretches:
        """Longer by ``frames`` on both sides within ``first`` to ``last``; overlaps are joined."""
        start = np.maximum(self.start - frames, first)
        end = np.minimum(self.end + frames, last)
        return Stretches(self.owner, start, end).merged(-1)

    def numbered(self) -> IntArray:
        """Number of each stretch within its owner, from 0, shape (n_stretches,)."""
        return np.arange(len(self.owner)) - np.searchsorted(self.owner, self.owner)

    def find(self, owner: IntArray, frames: IntArray) -> IntArray:
        """Position of the stretch that holds each (owner, frame), else -1; shape of ``frames``."""
        if not len(self.owner):
            return np.full(len(frames), -1)
        low = min(int(self.start.min()), int(frames.min(initial=0)))
        span = max(int(self.end.max()), int(frames.max(initial=0))) - low + 1
        key = owner * span + (frames - low)
        place = np.searchsorted(self.owner * span + (self.start - low), key, side="right") - 1
        inside = (place >= 0) & (key <= (self.owner * span + (self.end - low))[place])
        return np.where(inside, place, -1)


def stretches_of(owner: IntArray, frames: IntArray, step: int = 1) -> Stretches:
    """Maximal stretches of frames that follow each other.

    Parameters
    ----------
    owner, frames
        Shape (n_rows,), sorted by owner, then frame, each frame once.
    step
        Distance of two frames that follow each other.
    """
    apart = (np.diff(owner) != 0) | (np.diff(frames) != step)
    first = np.concatenate(([True], apart))[: len(owner)]
    last = np.concatenate((apart, [True]))[: len(owner)]
    return Stretches(owner[first], frames[first], frames[last])
