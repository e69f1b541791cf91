"""Distances between the keypoints of two animals, as one row per frame for either of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.rowwise import project_columns, project_to_float32

# Not a power of two: columns at such a distance evict each other from the processor's cache.
_BLOCK = 1000


@dataclass(frozen=True)
class DistanceLayout:
    """Which distances are computed, and which of them make the row of each perspective.

    Attributes
    ----------
    start, end
        Points of each computed distance, numbered 0..n-1 for the first animal and n..2n-1 for the
        second, shape (n_computed,).
    own, swapped
        Positions among the computed distances of the row in which the first animal is A, and of
        that in which the second is; shape (n_distances,).
    """

    start: IntArray
    end: IntArray
    own: IntArray
    swapped: IntArray


def layout(n_points: int, *, intra_a: bool, intra_b: bool, inter: bool) -> DistanceLayout:
    """Rows made of distances inside A, inside B, and from A to B.

    Inside an animal the order is (1, 0), (2, 0), (2, 1), (3, 0), …; between the two it is all
    points of B for the first point of A, then for the second, and so on.
    """
    later, earlier = np.tril_indices(n_points, k=-1)
    of_a, of_b = np.divmod(np.arange(n_points * n_points), n_points)
    start = np.concatenate([later, later + n_points, of_a])
    end = np.concatenate([earlier, earlier + n_points, of_b + n_points])
    n = len(later)
    inside = np.arange(n)
    own = [inside] * intra_a + [inside + n] * intra_b + [np.arange(n_points**2) + 2 * n] * inter
    transposed = of_b * n_points + of_a + 2 * n
    swapped = [inside + n] * intra_a + [inside] * intra_b + [transposed] * inter
    rows = np.concatenate([*own, *swapped])
    computed, places = np.unique(rows, return_inverse=True)
    half = len(rows) // 2
    return DistanceLayout(start[computed], end[computed], places[:half], places[half:])


def distance_rows(
    x: FloatArray, y: FloatArray, first: IntArray, second: IntArray, plan: DistanceLayout
) -> Iterator[FloatArray]:
    """Computed distances in blocks of rows, each of shape (n_computed, n_in_block).

    A block is overwritten by the next one.

    Parameters
    ----------
    x, y
        Coordinates of the points of all animals, shape (n_points, n_positions), C order.
    first, second
        Positions of the two animals of each row, shape (n_rows,).
    plan
        Which distances.
    """
    n_computed, size = len(plan.start), min(_BLOCK, len(first))
    # New memory for each block would take longer than what is computed in it.
    x_squares, y_squares, scratch = np.empty((3, n_computed, size))
    points = np.empty((2 * len(x), size))
    for begin in range(0, len(first), _BLOCK):
        sides = first[begin : begin + _BLOCK], second[begin : begin + _BLOCK]
        rows = slice(0, len(sides[0]))
        for axis, squares in ((x, x_squares), (y, y_squares)):
            for part, side in zip(np.split(points[:, rows], 2), sides, strict=True):
                np.take(axis, side, axis=1, out=part, mode="clip")
            difference, end = squares[:, rows], scratch[:, rows]
            np.take(points[:, rows], plan.start, axis=0, out=difference, mode="clip")
            np.take(points[:, rows], plan.end, axis=0, out=end, mode="clip")
            difference -= end
            difference *= difference
        difference += x_squares[:, rows]
        yield np.sqrt(difference, out=difference)


def project_both(
    blocks: Iterator[FloatArray],
    plan: DistanceLayout,
    directions: FloatArray,
    mean: FloatArray,
    n_rows: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scores of the rows of both perspectives, each of shape (n_directions, n_rows).

    Parameters
    ----------
    blocks
        What :func:`distance_rows` gives.
    plan
        The same as there.
    directions, mean
        Shape (n_directions, n_distances) and (n_distances,).
    n_rows
        Rows of all blocks together.

    Notes
    -----
    A distance counts for either perspective, so it is computed once and the directions are put in
    the order of the computed distances instead.
    """
    n = len(directions)
    both = np.zeros((2 * n, len(plan.start)))
    both[:n, plan.own] = directions
    both[n:, plan.swapped] = directions
    origin = np.tile(project_columns(mean[:, None], directions)[:, 0], 2)
    scores = np.empty((2 * n, n_rows), dtype=np.float32)
    begin = 0
    for block in blocks:
        rows = slice(begin, begin + block.shape[1])
        scores[:, rows] = project_to_float32(block, both, origin)
        begin = rows.stop
    return scores[:n], scores[n:]
