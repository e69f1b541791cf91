"""Order, shape and motion of a group as a whole.

Rows are sorted by scene (see :mod:`mosaic_dagster.features.kernels.scenes`); results have one value
per scene. a × b = ax by - ay bx.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mosaic_dagster.features.kernels.angles import direction
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.scenes import (
    divide,
    scene_count,
    scene_mean,
    scene_sum,
)

LOW, HIGH = 0.35, 0.65
"""Below LOW a group is not ordered in a way, above HIGH it is."""

STATES = ("Undefined", "Polarized", "Swarm", "Milling", "Transitional")

_EPS = float(np.finfo(np.float64).eps)


def heading_order(
    offsets: tuple[FloatArray, FloatArray, FloatArray],
    headings: tuple[FloatArray, FloatArray],
    scene: IntArray,
    n_scenes: int,
) -> dict[str, FloatArray]:
    """``polarization``, ``mean_heading``, ``rotation_signed`` and ``rotation`` of each scene.

    Parameters
    ----------
    offsets
        What :func:`~mosaic_dagster.features.kernels.scenes.from_centroid` gives.
    headings
        Unit vectors, NaN where unknown, shape (n_rows,) each.
    scene, n_scenes
        Number of each row's scene, and how many there are.

    Notes
    -----
    With n headings: polarization = ``|sum u| / n``; rotation_signed = sum(e × u) / n with the unit
    vectors e from the centroid (an animal at the centroid adds nothing). NaN without a heading;
    mean_heading is NaN where headings cancel out.
    """
    rx, ry, distance = offsets
    n_headings = scene_count(~np.isnan(headings[0]), scene, n_scenes)
    sum_x = scene_sum(headings[0], scene, n_scenes)
    sum_y = scene_sum(headings[1], scene, n_scenes)
    spin = divide(rx * headings[1] - ry * headings[0], distance)
    polarization = divide(np.hypot(sum_x, sum_y), n_headings)
    cancelled = ~(polarization > 1e-12)
    signed = divide(scene_sum(spin, scene, n_scenes), n_headings)
    return {
        "polarization": polarization,
        "mean_heading": np.where(cancelled, np.nan, np.arctan2(sum_y, sum_x)),
        "rotation_signed": signed,
        "rotation": np.abs(signed),
    }


def group_state(rotation: FloatArray, polarization: FloatArray) -> npt.NDArray[np.str_]:
    """Name of the state of each scene, one of ``STATES``."""
    unknown = np.isnan(rotation) | np.isnan(polarization)
    polarized = (rotation < LOW) & (polarization > HIGH)
    swarm = (rotation < LOW) & (polarization < LOW)
    milling = (rotation > HIGH) & (polarization < LOW)
    index = np.select([unknown, polarized, swarm, milling], [0, 1, 2, 3], default=4)
    return np.asarray(np.array(STATES)[index], dtype=np.str_)


def centroid_motion(
    offsets: tuple[FloatArray, FloatArray, FloatArray],
    velocity: tuple[FloatArray, FloatArray],
    scene: IntArray,
    n_scenes: int,
    min_speed: float,
) -> dict[str, FloatArray]:
    """``centroid_speed``, ``centroid_heading`` and ``group_angvel`` of each scene.

    Parameters
    ----------
    offsets, scene, n_scenes
        As in :func:`heading_order`.
    velocity
        Velocities, NaN where unknown, shape (n_rows,) each.
    min_speed
        At this speed or below the group has no direction (NaN).

    Notes
    -----
    The group's velocity is the mean of the known ones; its angular velocity the mean of
    (r × (v - mean v)) / r² over the animals with a velocity away from the centroid.
    """
    rx, ry, distance = offsets
    mean_x = scene_mean(velocity[0], scene, n_scenes)
    mean_y = scene_mean(velocity[1], scene, n_scenes)
    speed = np.hypot(mean_x, mean_y)
    around = rx * (velocity[1] - mean_y[scene]) - ry * (velocity[0] - mean_x[scene])
    return {
        "centroid_speed": speed,
        "centroid_heading": np.where(speed > min_speed, np.arctan2(mean_y, mean_x), np.nan),
        "group_angvel": scene_mean(divide(around, distance**2), scene, n_scenes),
    }


def group_shape(
    offsets: tuple[FloatArray, FloatArray, FloatArray], scene: IntArray, n_scenes: int
) -> dict[str, FloatArray]:
    """``sd_major``, ``sd_minor``, ``elongation`` and ``principal_axis_angle`` of each scene.

    Notes
    -----
    Roots of the eigenvalues of the second moments about the centroid (division by n). A minor
    eigenvalue within rounding of 0 is 0: elongation = major / minor is then inf, and NaN if both
    are 0. The axis is undefined (NaN) where no direction is longest.
    """
    rx, ry, _ = offsets
    xx, yy = scene_mean(rx * rx, scene, n_scenes), scene_mean(ry * ry, scene, n_scenes)
    xy = scene_mean(rx * ry, scene, n_scenes)
    spread = np.hypot(xx - yy, 2 * xy)
    larger = 0.5 * (xx + yy + spread)
    smaller = 0.5 * (xx + yy - spread)
    smaller = np.where(smaller <= 16 * _EPS * larger, 0.0, smaller)
    major, minor = np.sqrt(larger), np.sqrt(smaller)
    flat = (minor == 0) & (major > 0)
    return {
        "sd_major": major,
        "sd_minor": np.where(np.isnan(major), np.nan, minor),
        "elongation": np.where(flat, np.inf, divide(major, minor)),
        "principal_axis_angle": 0.5 * direction(xx - yy, 2 * xy),
    }
