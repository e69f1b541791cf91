"""How one animal moves and where another is, seen along the heading of the first.

For a centre c and a unit heading h = (cos, sin) with o = (-sin, cos) beside it: velocity
v = dc/dt, ``v_para`` = v·h, ``v_perp`` = v·o, and for the offset d to the partner ``dx`` = d·h,
``dy`` = d·o.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray

_NO_DIRECTION = 1e-12


@dataclass(frozen=True)
class Pose:
    """Centre and heading of an animal, each of shape (n_rows,).

    Attributes
    ----------
    x, y
        Centre, any length unit.
    cos, sin
        Unit vector of the heading; NaN where it has none.
    """

    x: FloatArray
    y: FloatArray
    cos: FloatArray
    sin: FloatArray


def unit(dx: FloatArray, dy: FloatArray, smallest: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Vectors brought to length 1; NaN where they are not longer than ``smallest``."""
    length = np.sqrt(dx * dx + dy * dy)
    if not (length > smallest).all():
        length = np.where(length > smallest, length, np.nan)
    return dx / length, dy / length


def mean_direction(cos: FloatArray, sin: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors of averaged unit vectors; NaN where these cancel but for rounding."""
    return unit(cos, sin, _NO_DIRECTION)


def slope(values: FloatArray, begins: BoolArray) -> FloatArray:
    """Derivative per row inside each run, shape (n_rows,).

    Parameters
    ----------
    values
        Runs one after the other, shape (n_rows,).
    begins
        Whether a run starts at the row, shape (n_rows,).

    Notes
    -----
    Inside a run ``(x[i+1] - x[i-1]) / 2``, at its ends the one-sided difference; a run of a single
    row has none (NaN).
    """
    slopes = np.full(len(values), np.nan)
    slopes[1:-1] = (values[2:] - values[:-2]) / 2
    starts, lasts = _ends(begins)
    slopes[starts] = values[np.minimum(starts + 1, lasts)] - values[starts]
    slopes[lasts] = values[lasts] - values[np.maximum(lasts - 1, starts)]
    slopes[starts[starts == lasts]] = np.nan
    return slopes


def turn(cos: FloatArray, sin: FloatArray, begins: BoolArray) -> FloatArray:
    """Derivative of the heading per row inside each run, rad, shape (n_rows,).

    The angle is unwrapped: each step is the shorter way round. NaN where a step that is needed
    starts or ends without a heading.
    """
    heading = np.arctan2(sin, cos)
    raw = np.diff(heading)
    steps = raw - 2 * np.pi * np.round(raw / (2 * np.pi))
    turns = np.full(len(heading), np.nan)
    turns[1:-1] = (steps[1:] + steps[:-1]) / 2
    starts, lasts = _ends(begins)
    longer = starts < lasts
    starts, lasts, alone = starts[longer], lasts[longer], starts[~longer]
    turns[starts], turns[lasts], turns[alone] = steps[starts], steps[lasts - 1], np.nan
    return turns


def motion(pose: Pose, begins: BoolArray, fps: float) -> dict[str, FloatArray]:
    """Speed, velocity along and beside the heading, turning rate, and the heading itself.

    Parameters
    ----------
    pose
        The animal, runs one after the other.
    begins
        Whether a run starts at the row, shape (n_rows,).
    fps
        Rows per second.

    Returns
    -------
    dict of ndarray
        ``speed``, ``v_para``, ``v_perp`` (length per second), ``ang_speed`` (rad/s),
        ``heading_cos``, ``heading_sin``; each of shape (n_rows,).
    """
    vx, vy = slope(pose.x, begins) * fps, slope(pose.y, begins) * fps
    return {
        "speed": np.sqrt(vx * vx + vy * vy),
        "v_para": vx * pose.cos + vy * pose.sin,
        "v_perp": vy * pose.cos - vx * pose.sin,
        "ang_speed": turn(pose.cos, pose.sin, begins) * fps,
        "heading_cos": pose.cos,
        "heading_sin": pose.sin,
    }


def relation(a: Pose, b: Pose) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Where b is for a, and where a is for b.

    Returns
    -------
    tuple of dict of ndarray
        ``dist``, ``dx_ego``, ``dy_ego`` (length), ``heading_cos``, ``heading_sin`` (of the
        partner's heading relative to the own one), first for a, then for b; shape (n_rows,).
    """
    dx, dy = b.x - a.x, b.y - a.y
    distance = np.sqrt(dx * dx + dy * dy)
    cos = a.cos * b.cos + a.sin * b.sin
    sin = a.cos * b.sin - a.sin * b.cos
    for_a = {
        "dist": distance,
        "dx_ego": dx * a.cos + dy * a.sin,
        "dy_ego": dy * a.cos - dx * a.sin,
        "heading_cos": cos,
        "heading_sin": sin,
    }
    for_b = {
        "dist": distance,
        "dx_ego": -(dx * b.cos + dy * b.sin),
        "dy_ego": dx * b.sin - dy * b.cos,
        "heading_cos": cos,
        "heading_sin": -sin,
    }
    return for_a, for_b


def _ends(begins: BoolArray) -> tuple[IntArray, IntArray]:
    """First and last row of each run."""
    return np.flatnonzero(begins), np.flatnonzero(np.roll(begins, -1))
