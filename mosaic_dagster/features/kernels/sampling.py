"""Choosing rows: at random without replacement, by quota, or far apart."""

from __future__ import annotations

import hashlib

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

_BLOCK = 1 << 16


def named_generator(random_state: int, name: str) -> np.random.Generator:
    """Random numbers that depend on a seed and a name, and on nothing else."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([random_state, int.from_bytes(digest[:16], "big")])


def smallest(priorities: FloatArray, n: int) -> IntArray:
    """Positions of the ``n`` smallest priorities in ascending position.

    Rows with independent uniform priorities chosen this way are a uniform sample without
    replacement, and the sample of a union is made of the samples of its parts.

    Parameters
    ----------
    priorities
        Shape (n_rows,); among equal ones the first positions are taken.
    n
        Number wanted; fewer rows give them all.
    """
    return np.sort(np.argsort(priorities, kind="stable")[:n])


def share_quotas(counts: IntArray, total: int, cap: int | None = None) -> IntArray:
    """How many rows each part gives, in proportion to its count, shape of ``counts``.

    Parameters
    ----------
    counts
        Rows of each part.
    total
        Rows wanted overall.
    cap
        Most rows that any part may give; what it cannot give is spread over the others.

    Returns
    -------
    ndarray
        Sums to ``min(total, sum(min(counts, cap)))``. Largest remainder method; equal remainders
        favour the first part.
    """
    limit = counts if cap is None else np.minimum(counts, cap)
    quotas = np.zeros(len(counts), dtype=np.int64)
    open_parts = limit > 0
    left = min(total, int(limit.sum()))
    while left > 0:
        ideal = np.where(open_parts, counts / counts[open_parts].sum() * left, 0.0)
        room = limit - quotas
        full = open_parts & (ideal >= room)
        if full.any():
            quotas[full] = limit[full]
            left -= int(room[full].sum())
            open_parts &= ~full
            continue
        quotas += np.floor(ideal).astype(np.int64)
        remainder = np.where(open_parts, ideal - np.floor(ideal), -1.0)
        spare = left - int(np.floor(ideal).sum())
        quotas[np.argsort(-remainder, kind="stable")[:spare]] += 1
        break
    return quotas


def farthest_first(pool: FloatArray, n: int, rng: np.random.Generator) -> IntArray:
    """Positions of rows that lie far apart, in the order they were chosen.

    The first is random; each next one is the row farthest (Euclidean) from all chosen so far,
    the first of equals. Gonzalez, Theoretical Computer Science 38 (1985) 293.

    Parameters
    ----------
    pool
        Shape (n_rows, n_columns). Rows that are not finite are never chosen.
    n
        Number wanted; fewer usable rows give them all.
    rng
        Draws the first row.
    """
    usable = np.flatnonzero(np.isfinite(pool).all(axis=1))
    points = np.ascontiguousarray(pool[usable])
    if not len(points) or n <= 0:
        return np.empty(0, dtype=np.int64)
    chosen = [int(rng.integers(0, len(points)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < min(n, len(points)):
        _lower_to_distance(nearest, points, points[chosen[-1]])
        nearest[chosen[-1]] = -1.0
        chosen.append(int(np.argmax(nearest)))
    return usable[chosen]


def _lower_to_distance(nearest: FloatArray, points: FloatArray, center: FloatArray) -> None:
    """Lower each entry of ``nearest`` to the squared distance from ``center``, in place."""
    step = max(1, _BLOCK // max(1, points.shape[1]))
    for start in range(0, len(points), step):
        block = slice(start, start + step)
        offset = points[block] - center
        distance = np.einsum("ij,ij->i", offset, offset)
        np.minimum(nearest[block], distance, out=nearest[block])
