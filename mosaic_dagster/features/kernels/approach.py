"""When one of two individuals moves towards the other, which moves away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.frame_pairs import window_counts


@dataclass(frozen=True)
class Motion:
    """Where individuals are and how they move, each of shape (n_rows,).

    Attributes
    ----------
    x, y
        Position.
    vx, vy, speed
        Velocity and its size, NaN where unknown.
    along
        Cosine between heading and velocity.
    """

    x: FloatArray
    y: FloatArray
    vx: FloatArray
    vy: FloatArray
    speed: FloatArray
    along: FloatArray

    def take(self, rows: IntArray) -> Motion:
        """Some rows, in the order given."""
        return Motion(*(values[rows] for values in vars(self).values()))


@dataclass(frozen=True)
class Limits:
    """What makes a frame a candidate, and how many candidates an event.

    Attributes
    ----------
    distance
        Largest distance.
    approacher_speed, avoider_speed
        Lowest speeds.
    approacher_cos, avoider_cos
        Lowest cosines between a velocity and the direction from approacher to avoider.
    along
        Lowest cosine between the approacher's heading and velocity; minus infinity asks for none.
    length, count
        An event has ``count`` candidates in the last ``length`` frames.
    """

    distance: float
    approacher_speed: float
    avoider_speed: float
    approacher_cos: float
    avoider_cos: float
    along: float
    length: int
    count: int


def approach_events(
    one: Motion,
    two: Motion,
    owner: IntArray,
    frames: IntArray,
    limits: Limits,
    *,
    window: int = 1,
    step: int = 1,
) -> BoolArray:
    """Frames in which one approaches two, and in which two approaches one, shape (2, n_rows).

    Parameters
    ----------
    one, two
        Both individuals of each row.
    owner
        Number of the pair, shape (n_rows,), not decreasing.
    frames
        Frame, increasing within a pair, shape (n_rows,).
    limits
        See :class:`Limits`.
    window
        Rows over which distances, speeds and cosines are averaged.
    step
        Averages end where the frames of two rows differ by anything else.
    """
    dx, dy = two.x - one.x, two.y - one.y
    distance = np.hypot(dx, dy)
    ahead = [ratio(m.vx * dx + m.vy * dy, distance * m.speed) for m in (one, two)]
    signals = [distance, one.speed, two.speed, *ahead, one.along, two.along]
    if window > 1:
        run = _runs(owner, frames, step)
        signals = [centered_mean(signal, run, window) for signal in signals]
    apart, speed1, speed2, ahead1, ahead2, along1, along2 = signals
    usable = np.isfinite(one.speed) & np.isfinite(two.speed)
    usable &= (apart > 0) & (apart <= limits.distance)
    keys = _keys(owner, frames, limits.length)
    events = np.empty((2, len(frames)), dtype=np.bool_)
    forth = (speed1, speed2, ahead1, ahead2, along1)
    back = (speed2, speed1, -ahead2, -ahead1, along2)
    for row, signals_of_direction in zip(events, (forth, back), strict=True):
        candidate = usable & _passes(limits, *signals_of_direction)
        row[:] = candidate & (window_counts(candidate, keys, limits.length) >= limits.count)
    return events


def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Quotient, NaN where the divisor is 0, shape of both."""
    quotient = np.full(len(above), np.nan)
    np.divide(above, below, out=quotient, where=below != 0)
    return quotient


def centered_mean(values: FloatArray, run: IntArray, window: int) -> FloatArray:
    """Mean of the finite values in a window around each row, inside its run, shape (n_rows,).

    Parameters
    ----------
    values
        Shape (n_rows,).
    run
        Number of the run of each row, not decreasing, shape (n_rows,).
    window
        Rows; an even window reaches one row further back than ahead.
    """
    finite = np.isfinite(values)
    known = np.where(finite, values, 0.0)
    total, count = np.zeros(len(values)), np.zeros(len(values), dtype=np.int64)
    for offset in range(-(window // 2), (window - 1) // 2 + 1):
        if abs(offset) >= len(values):
            continue
        here = slice(max(0, -offset), len(values) - max(0, offset))
        source = slice(here.start + offset, here.stop + offset)
        same = run[here] == run[source]
        total[here] += np.where(same, known[source], 0.0)
        count[here] += same & finite[source]
    return ratio(total, count.astype(np.float64))


def _passes(
    limits: Limits,
    fast: FloatArray,
    other: FloatArray,
    approach: FloatArray,
    avoid: FloatArray,
    along: FloatArray,
) -> BoolArray:
    return np.asarray(
        (fast >= limits.approacher_speed)
        & (other >= limits.avoider_speed)
        & (approach >= limits.approacher_cos)
        & (avoid >= limits.avoider_cos)
        & (along >= limits.along)
    )


def _runs(owner: IntArray, frames: IntArray, step: int) -> IntArray:
    runs = np.zeros(len(frames), dtype=np.int64)
    np.cumsum((np.diff(owner) != 0) | (np.diff(frames) != step), out=runs[1:])
    return runs


def _keys(owner: IntArray, frames: IntArray, length: int) -> IntArray:
    """Frames of all pairs in one increasing series, pairs further apart than ``length``."""
    if not len(frames):
        return frames
    first, last = int(frames.min()), int(frames.max())
    return owner * (last - first + 1 + length) + (frames - first)
