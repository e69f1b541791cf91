"""Colours that colour-blind people can tell apart, as many as there are values."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

# Paul Tol's "muted" and "bright" schemes: told apart by colour-blind people, and on paper.
_FIRST = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255",
    "#AA4499", "#4477AA", "#EE6677", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB", "#000000",
)  # fmt: skip

NO_CLUSTER = "#E4E4E4"
"""Colour of what belongs to no class or cluster."""

_PAPER = "#FFFFFF"
_LIGHTNESS = (0.38, 0.9)
_LEVELS = 12
# Protan and deutan vision of linear RGB: Viénot, Brettel & Mollon (1999).
_VISIONS = (
    np.eye(3),
    np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
)
# Most people see all three channels; the others must tell colours apart too, less far.
_WEIGHTS = np.array([1.0, 2.2, 2.2])
_RGB_TO_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929],
     [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_CONES_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468],
     [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip

Array = np.ndarray[Any, np.dtype[Any]]
T = TypeVar("T")


def palette(values: Iterable[T]) -> dict[T, str]:
    """A colour for each distinct value, in sorted order.

    Parameters
    ----------
    values
        Values that can be sorted; no nulls.

    Returns
    -------
    dict
        Value to ``#RRGGBB``. The first sixteen colours are fixed. Each further one is the colour
        farthest from all before it, in the worst of normal, protan and deutan vision; they come
        closer together the more there are.
    """
    ordered = sorted(set(values))  # type: ignore[type-var]
    return dict(zip(ordered, colours(len(ordered)), strict=True))


@lru_cache(maxsize=64)
def colours(count: int) -> tuple[str, ...]:
    """The first ``count`` colours of the palette; shorter lists are starts of longer ones."""
    if count <= len(_FIRST):
        return _FIRST[:count]
    candidates, seen = _candidates()
    used = _perceived(_rgb((*_FIRST, NO_CLUSTER, _PAPER)))
    distance = np.min([_distance(seen, used[:, i : i + 1]) for i in range(used.shape[1])], axis=0)
    chosen = list(_FIRST)
    while len(chosen) < count:
        # Rounded, so that the last bit of a cube root never decides between two candidates.
        best = int(np.argmax(distance.round(6)))
        chosen.append("#" + "".join(f"{round(channel * 255):02X}" for channel in candidates[best]))
        distance = np.minimum(distance, _distance(seen, seen[:, best : best + 1]))
    return tuple(chosen)


def lighter(colour: str, share: float) -> str:
    """The colour mixed with a share of white."""
    mixed = _rgb((colour,))[0] * (1 - share) + share
    return "#" + "".join(f"{round(channel * 255):02X}" for channel in mixed)


def lookup(shades: Iterable[str]) -> Array:
    """RGB bytes by code, shape (n + 1, 3); the last row, code -1, is the colour of nothing."""
    return np.asarray(np.rint(_rgb((*shades, NO_CLUSTER)) * 255), dtype=np.uint8)


def _rgb(names: tuple[str, ...]) -> Array:
    return np.array([[int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)] for name in names])


@lru_cache(maxsize=1)
def _candidates() -> tuple[Array, Array]:
    levels = np.linspace(0, 1, _LEVELS)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = _perceived(grid)
    readable = (seen[0, :, 0] >= _LIGHTNESS[0]) & (seen[0, :, 0] <= _LIGHTNESS[1])
    return grid[readable], seen[:, readable]


def _perceived(rgb: Array) -> Array:
    """Coordinates (visions, n, 3) in which distances are seen alike, of sRGB in [0, 1] (n, 3)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.stack([_oklab(np.clip(linear @ vision.T, 0, 1)) for vision in _VISIONS])


def _oklab(linear: Array) -> Array:
    """OKLab (Ottosson, 2020) of linear RGB."""
    return np.asarray(np.cbrt(linear @ _RGB_TO_CONES.T) @ _CONES_TO_LAB.T)


def _distance(some: Array, one: Array) -> Array:
    """Smallest distance over the visions, shape (n,)."""
    distances = np.linalg.norm(some - one, axis=2) * _WEIGHTS[:, None]
    return np.asarray(distances.min(axis=0))
