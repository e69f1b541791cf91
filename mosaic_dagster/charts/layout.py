"""Places for the steps of a graph: layers from left to right, with few crossings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mosaic_dagster.errors import CycleError

_SWEEPS = 16
_LINE_ROOM = 0.45

Array = np.ndarray[Any, np.dtype[Any]]

Place = tuple[str, int]
"""A name and a layer: where the step stands, or where an edge from it passes by."""


@dataclass(frozen=True)
class Layout:
    """Where steps stand, and which way their edges go.

    Attributes
    ----------
    layers
        Layer of each name; the first is 0.
    heights
        Height of each place, where neighbouring steps are at least 1 apart; the lowest is 0.
    edges
        Pairs of places in neighbouring layers. All edges of one step share their way.
    """

    layers: dict[str, int]
    heights: dict[Place, float]
    edges: list[tuple[Place, Place]]


def lay_out(needs: Mapping[str, Sequence[str]]) -> Layout:
    """Lay out a graph without circles.

    Parameters
    ----------
    needs
        What each name needs; every name has an entry.

    Returns
    -------
    Layout
        The layer of a step is the length of the longest way to it; what needs nothing stands just
        before its first user. The order in a layer is improved by barycentres (Sugiyama et al.,
        1981), in a fixed number of sweeps, and the one with the fewest crossings is kept.

    Raises
    ------
    CycleError
        If steps need each other in a circle.
    """
    layers = _layers(needs)
    edges = _edges(needs, layers)
    columns = _order(_columns(layers, edges), edges)
    return Layout(layers, _heights(columns, edges, layers), edges)


def _layers(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    layers: dict[str, int] = {}
    waiting = list(needs)
    while waiting:
        ready = [name for name in waiting if all(need in layers for need in needs[name])]
        if not ready:
            raise CycleError(
                f"Steps need each other in a circle, among: {', '.join(sorted(waiting))}.",
                "Take one of their inputs away.",
            )
        for name in ready:
            layers[name] = max((layers[need] + 1 for need in needs[name]), default=0)
        waiting = [name for name in waiting if name not in layers]
    for name in [name for name in needs if not needs[name]]:
        users = [layers[user] for user in needs if name in needs[user]]
        layers[name] = min(users, default=1) - 1
    return layers


def _edges(needs: Mapping[str, Sequence[str]], layers: dict[str, int]) -> list[tuple[Place, Place]]:
    edges: dict[tuple[Place, Place], None] = {}
    for name, sources in needs.items():
        for source in dict.fromkeys(sources):
            first, last = layers[source], layers[name]
            for layer in range(first, last - 1):
                edges[(source, layer), (source, layer + 1)] = None
            edges[(source, last - 1), (name, last)] = None
    return list(edges)


def _columns(layers: dict[str, int], edges: list[tuple[Place, Place]]) -> list[list[Place]]:
    columns: list[dict[Place, None]] = [{} for _ in range(max(layers.values(), default=-1) + 1)]
    for name, layer in layers.items():
        columns[layer][name, layer] = None
    for edge in edges:
        for place in edge:
            columns[place[1]][place] = None
    return [list(column) for column in columns]


def _order(columns: list[list[Place]], edges: list[tuple[Place, Place]]) -> list[list[Place]]:
    best, fewest = columns, _crossings(columns, edges)
    before = _neighbours(edges, forward=False)
    after = _neighbours(edges, forward=True)
    for sweep in range(_SWEEPS):
        columns = [list(column) for column in columns]
        rightwards = sweep % 2 == 0
        walk = range(1, len(columns)) if rightwards else range(len(columns) - 2, -1, -1)
        for layer in walk:
            beside = columns[layer - 1 if rightwards else layer + 1]
            _sort(columns[layer], beside, before if rightwards else after)
        crossings = _crossings(columns, edges)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _neighbours(edges: list[tuple[Place, Place]], forward: bool) -> dict[Place, list[Place]]:
    found: dict[Place, list[Place]] = {}
    for left, right in edges:
        found.setdefault(left if forward else right, []).append(right if forward else left)
    return found


def _sort(column: list[Place], beside: list[Place], neighbours: dict[Place, list[Place]]) -> None:
    """Order a layer by the mean position of the neighbours; without any, a place stays."""
    position = {place: i / max(len(beside) - 1, 1) for i, place in enumerate(beside)}
    own = {place: i / max(len(column) - 1, 1) for i, place in enumerate(column)}
    column.sort(
        key=lambda place: (
            float(np.mean([position[n] for n in neighbours[place]]))
            if place in neighbours
            else own[place]
        )
    )


def _crossings(columns: list[list[Place]], edges: list[tuple[Place, Place]]) -> int:
    position = {place: i for column in columns for i, place in enumerate(column)}
    total = 0
    for layer in range(len(columns) - 1):
        pairs = [(position[a], position[b]) for a, b in edges if a[1] == layer]
        left, right = np.array(pairs, dtype=int).reshape(-1, 2).T
        over = (left[:, None] < left[None, :]) & (right[:, None] > right[None, :])
        total += int(over.sum())
    return total


def _heights(
    columns: list[list[Place]], edges: list[tuple[Place, Place]], layers: dict[str, int]
) -> dict[Place, float]:
    """Heights that keep the order and the distances, each near the mean of its neighbours."""
    room = {p: 1.0 if layers[p[0]] == p[1] else _LINE_ROOM for column in columns for p in column}
    before, after = _neighbours(edges, forward=False), _neighbours(edges, forward=True)
    heights: dict[Place, float] = {}
    for column in columns:
        ends = np.cumsum([room[place] for place in column])
        middle = ends[-1] / 2
        for place, end in zip(column, ends, strict=True):
            heights[place] = float(end - room[place] / 2 - middle)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = [
                float(np.mean([heights[n] for n in near])) if near else heights[place]
                for place in column
                for near in [before.get(place, []) + after.get(place, [])]
            ]
            apart = np.array([room[place] for place in column])
            placed = _keep_apart(np.array(wanted), (apart[:-1] + apart[1:]) / 2)
            heights.update(zip(column, placed.tolist(), strict=True))
    lowest = min(heights.values(), default=0.0)
    return {place: height - lowest for place, height in heights.items()}


def _keep_apart(wanted: Array, gaps: Array) -> Array:
    """The heights nearest to the wanted ones (least squares) in their order, `gaps` apart.

    Less the gaps, the heights must not fall: pool adjacent violators.
    """
    offsets = np.concatenate([[0.0], np.cumsum(gaps)])
    blocks: list[tuple[float, int]] = []
    for value in wanted - offsets:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            other, count = blocks.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        blocks.append((mean, size))
    level = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])
    return np.asarray(level + offsets)
