"""Order of the animals around each animal."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.scenes import divide, lay_out, scene_count, scene_mean


@dataclass(frozen=True)
class DiscSums:
    """Sums over the animals within a radius of each animal, itself among them, (n_rows,) each.

    Attributes
    ----------
    n_animals, n_headings, n_spins
        Number of animals, of those with a heading, of those with a spin.
    heading_x, heading_y, spin
        Sums of the unit headings and of the spins.
    """

    n_animals: FloatArray
    n_headings: FloatArray
    n_spins: FloatArray
    heading_x: FloatArray
    heading_y: FloatArray
    spin: FloatArray


def disc_sums(
    positions: tuple[FloatArray, FloatArray],
    headings: tuple[FloatArray, FloatArray],
    spin: FloatArray,
    scene: IntArray,
    n_scenes: int,
    radius: float,
) -> DiscSums:
    """Sum over the disc around each animal.

    Parameters
    ----------
    positions
        Finite x and y, rows sorted by scene, shape (n_rows,) each.
    headings
        Unit vectors, NaN where unknown.
    spin
        Any value per animal, NaN where unknown.
    scene, n_scenes
        Number of each row's scene, and how many there are.
    radius
        Animals at this distance or closer count; unit of the positions.

    Notes
    -----
    Animals are added one after the other in the order of the rows, in blocks of scenes.
    """
    parts = _parts(headings, spin)
    sums = np.zeros((len(parts), len(scene)))
    for _, rows in lay_out(scene, n_scenes):
        taken = rows >= 0
        x = np.where(taken, positions[0][rows], np.nan)
        y = np.where(taken, positions[1][rows], np.nan)
        block = _sum_block(x, y, [part[rows] for part in parts], radius**2)
        for total, part in zip(sums, block, strict=True):
            total[rows[taken]] = part[taken]
    return DiscSums(**{f.name: total for f, total in zip(fields(DiscSums), sums, strict=True)})


def _parts(headings: tuple[FloatArray, FloatArray], spin: FloatArray) -> list[FloatArray]:
    """What is summed, in the order of the fields of :class:`DiscSums`."""
    turned, spins = np.isnan(headings[0]), np.isnan(spin)
    return [
        np.ones(len(spin)),
        (~turned).astype(np.float64),
        (~spins).astype(np.float64),
        np.where(turned, 0.0, headings[0]),
        np.where(turned, 0.0, headings[1]),
        np.where(spins, 0.0, spin),
    ]


def _sum_block(
    x: FloatArray, y: FloatArray, parts: list[FloatArray], squared_radius: float
) -> list[FloatArray]:
    """Sums over discs for scenes side by side, coordinates of shape (m, width)."""
    sums = [np.zeros(x.shape) for _ in parts]
    term = np.empty(x.shape)
    for other in range(x.shape[1]):
        one = slice(other, other + 1)
        dx, dy = x - x[:, one], y - y[:, one]
        # A place without an animal is NaN, and never near.
        near = (dx * dx + dy * dy <= squared_radius).astype(np.float64)
        for total, part in zip(sums, parts, strict=True):
            np.multiply(near, part[:, one], out=term)
            total += term
    return sums


def outer_radius(
    distance: FloatArray, scene: IntArray, n_scenes: int, n_peripheral: int
) -> FloatArray:
    """Median of the largest distances from the centre in each scene, shape (n_scenes,).

    Parameters
    ----------
    distance
        Distance of each animal from the centre of its scene, rows sorted by scene.
    scene, n_scenes
        Number of each row's scene, and how many there are.
    n_peripheral
        How many of the largest; a scene with fewer animals gives all. NaN for an empty scene.
    """
    ordered = distance[np.lexsort((distance, scene))]
    sizes = np.bincount(scene, minlength=n_scenes)
    taken = np.minimum(sizes, n_peripheral)
    last = np.cumsum(sizes) - 1
    radius = np.full(n_scenes, np.nan)
    filled = np.flatnonzero(taken)
    low = last[filled] - taken[filled] // 2
    high = last[filled] - (taken[filled] - 1) // 2
    radius[filled] = 0.5 * (ordered[low] + ordered[high])
    return radius


def shell_index(distance: FloatArray, outer: FloatArray, n_shells: int) -> IntArray:
    """Shell of equal width from the centre outwards, shape (n_rows,).

    ``min(floor(distance / (outer / n_shells)), n_shells - 1)``; -1 where the outer radius is 0.
    """
    place = np.floor(divide(distance, outer / n_shells))
    undefined: BoolArray = np.isnan(place)
    return np.where(undefined, -1, np.minimum(place, n_shells - 1)).astype(np.int64)


def shell_means(
    spin: FloatArray, shell: IntArray, scene: IntArray, n_scenes: int, n_shells: int
) -> tuple[IntArray, FloatArray]:
    """Number of animals and mean spin of each animal's shell; -1 and NaN without a shell."""
    place = scene * n_shells + shell
    place[shell < 0] = n_scenes * n_shells
    n_places = n_scenes * n_shells + 1
    count = scene_count(np.ones(len(place), dtype=np.bool_), place, n_places)[place]
    mean = scene_mean(spin, place, n_places)[place]
    return np.where(shell < 0, -1, count), np.where(shell < 0, np.nan, mean)
