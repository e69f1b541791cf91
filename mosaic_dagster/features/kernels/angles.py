"""Angles in radians, and offsets seen from an animal's own heading."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray


def wrap(angle: FloatArray) -> FloatArray:
    """The same direction in [-pi, pi); NaN stays NaN."""
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    # Rounding lifts angles just below -pi to +pi.
    return np.where(wrapped >= np.pi, -np.pi, wrapped)


def ego(dx: FloatArray, dy: FloatArray, heading: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotate offsets into the frame of an animal that looks along ``heading``.

    Parameters
    ----------
    dx, dy
        Offsets along the image's axes, any length unit.
    heading
        Radians from +x towards +y.

    Returns
    -------
    tuple of ndarray
        Offset ahead of the animal, and offset along its ``(-sin, cos)`` axis; same unit.
    """
    cos, sin = np.cos(heading), np.sin(heading)
    return dx * cos + dy * sin, -dx * sin + dy * cos


def direction(dx: FloatArray, dy: FloatArray) -> FloatArray:
    """Direction of a vector, radians; NaN for the zero vector, which points nowhere."""
    angle = np.arctan2(dy, dx)
    return np.where((dx == 0) & (dy == 0), np.nan, angle)
