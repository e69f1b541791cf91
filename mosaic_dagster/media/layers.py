"""What may be drawn over the animals: groups, roles, pairs, circles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import polars as pl

from mosaic_dagster.media.canvas import Canvas
from mosaic_dagster.media.palette import Colour, colour_of
from mosaic_dagster.media.scenes import FrameTable, Scene

_LIGHT: Colour = (255, 255, 255)
_PAIR = ("id1", "id2")


class Layer(Protocol):
    """Draws something on each frame, in the order in which an overlay lists its layers."""

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw what belongs to the scene's frame."""


@dataclass(frozen=True, eq=False)
class GroupOutlines:
    """The convex outline of each group of two or more, in the group's colour.

    Attributes
    ----------
    table
        ``frame``, ``id`` and the column.
    column
        Number or name of the group; null is in none.
    """

    table: pl.DataFrame
    column: str = "group_membership"
    thickness: int = 2

    @cached_property
    def _rows(self) -> FrameTable:
        return FrameTable(self.table, ("id", self.column), "The table of groups")

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw the outlines of the groups of one frame."""
        members: dict[Any, list[Any]] = defaultdict(list)
        for individual, group in self._rows.at(scene.frame):
            if group is not None:
                members[group].append(scene.place(individual))
        for group, places in members.items():
            canvas.hull(np.array(places), colour_of(group), self.thickness)


@dataclass(frozen=True, eq=False)
class PairRoles:
    """An arrow from id1 to id2 in every frame of the table, with the role of each.

    Attributes
    ----------
    table
        ``frame``, ``id1``, ``id2``: the frames in which the roles hold.
    roles
        Words for id1 and id2.
    """

    table: pl.DataFrame
    roles: tuple[str, str] = ("1", "2")
    colour: Colour = _LIGHT

    @cached_property
    def _rows(self) -> FrameTable:
        return FrameTable(self.table, _PAIR, "The table of roles")

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw the arrows of one frame."""
        for pair in self._rows.at(scene.frame):
            places = [scene.place(individual) for individual in pair]
            canvas.arrow(places[0], places[1], self.colour)
            for role, place in zip(self.roles, places, strict=True):
                canvas.text(role, place + np.array([5.0, 15.0]), self.colour)


@dataclass(frozen=True, eq=False)
class PairFocus:
    """Everything but the pairs of the table is dark, in the frames that it has.

    Attributes
    ----------
    table
        ``frame``, ``id1``, ``id2``.
    radius
        What lies this near to one of a pair stays bright, in pixels.
    """

    table: pl.DataFrame
    radius: float = 60.0

    @cached_property
    def _rows(self) -> FrameTable:
        return FrameTable(self.table, _PAIR, "The table of pairs")

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Darken one frame around its pairs."""
        focal = {individual for pair in self._rows.at(scene.frame) for individual in pair}
        if focal:
            places = np.array([scene.place(individual) for individual in focal])
            canvas.dim_outside(places, self.radius)


@dataclass(frozen=True)
class IdCircles:
    """A circle around each individual, in its colour.

    Attributes
    ----------
    radius
        In pixels.
    ids
        For these alone; None for all.
    """

    radius: float = 40.0
    ids: Sequence[Any] | None = None
    thickness: int = 1

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw the circles of one frame."""
        wanted = None if self.ids is None else {str(individual) for individual in self.ids}
        for individual, place in zip(scene.ids, scene.centre, strict=True):
            if wanted is None or str(individual) in wanted:
                canvas.circle(place, self.radius, colour_of(individual), self.thickness)
