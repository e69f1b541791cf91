"""Layers show groups, roles and pairs in the frames in which they hold, and in no other."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.media.layers import GroupOutlines, IdCircles, PairFocus, PairRoles
from mosaic_dagster.media.overlay import IdStyle, Overlay, OverlayStyle
from mosaic_dagster.media.palette import colour_of

pytest.importorskip("cv2")

GREY = np.full((60, 80, 3), 100, np.uint8)
PAIR = pl.DataFrame({"frame": [0], "id1": [0], "id2": [1]})


def square() -> pl.DataFrame:
    """Four animals at the corners (10, 10), (50, 10), (50, 50), (10, 50), in the frames 0 and 1."""
    corners = [(10.0, 10.0), (50.0, 10.0), (50.0, 50.0), (10.0, 50.0)]
    rows = [(frame, i, *corner) for frame in (0, 1) for i, corner in enumerate(corners)]
    return pl.DataFrame(rows, schema=["frame", "id", "X", "Y"], orient="row")


def drawn(*layers: object, frame: int = 0) -> np.ndarray:
    """A frame with the layers, and the dots and words left out."""
    hidden = {i: IdStyle(hidden=True) for i in range(4)}
    style = OverlayStyle(layers=layers, id_styles=hidden)
    return Overlay(square(), style=style).draw(GREY, frame)


def test_groups_are_outlined():
    """0, 1, 2 are group 3; 3 is alone in group 4, and in frame 1 nobody is in a group."""
    table = pl.DataFrame(
        {
            "frame": [0] * 4 + [1] * 4,
            "id": [0, 1, 2, 3] * 2,
            "group_membership": [3, 3, 3, 4] + [None] * 4,
        }
    )
    image = drawn(GroupOutlines(table))
    for x, y in ((30, 10), (50, 30), (30, 30)):  # two sides, and the middle of the third
        assert tuple(image[y, x]) == colour_of(3)
    assert (image[45:, :20] == 100).all()
    assert np.array_equal(drawn(GroupOutlines(table), frame=1), GREY)


def test_two_animals_are_joined_by_a_line():
    table = pl.DataFrame({"frame": [0, 0], "id": [0, 1], "herd": ["a", "a"]})
    assert tuple(drawn(GroupOutlines(table, "herd"))[10, 30]) == colour_of("a")


def test_roles_point_from_the_first_to_the_second():
    """The head of the arrow is at (50, 10): beside the line there, and not at (10, 10)."""
    image = drawn(PairRoles(PAIR, ("", ""), colour=(0, 0, 0)))
    assert tuple(image[10, 30]) == (0, 0, 0)
    changed = (image != 100).any(axis=2)
    assert changed[:, 41:50].sum() > changed[:, 11:20].sum()
    named = drawn(PairRoles(PAIR, ("approaches", "avoids"), colour=(0, 0, 0)))
    assert (named != image).any()
    assert np.array_equal(drawn(PairRoles(PAIR), frame=1), GREY)


def test_focus_darkens_the_rest():
    """Within 15 px of (10, 10) and (50, 10) it is 100 bright as before, elsewhere 35."""
    image = drawn(PairFocus(PAIR, radius=15))
    assert image[10, 10, 0] == image[10, 64, 0] == 100
    assert image[50, 50, 0] == image[10, 30, 0] == 35
    assert np.array_equal(drawn(PairFocus(PAIR), frame=1), GREY)


def test_circles_surround_the_chosen():
    image = drawn(IdCircles(radius=8, ids=["1"]))
    assert tuple(image[10, 58]) == tuple(image[2, 50]) == colour_of(1)
    assert (image[:, :40] == 100).all()
    assert tuple(drawn(IdCircles(radius=8))[10, 18]) == colour_of(0)


def test_layers_lie_over_one_another():
    """The circle is drawn after the darkness, so it stays bright."""
    image = drawn(PairFocus(PAIR, radius=15), IdCircles(radius=8))
    assert tuple(image[50, 58]) == colour_of(2)
    image = drawn(IdCircles(radius=8), PairFocus(PAIR, radius=15))
    assert tuple(image[50, 58]) == tuple(int(c * 0.35) for c in colour_of(2))


def test_animals_that_are_missing_draw_nothing():
    table = pl.DataFrame({"frame": [0], "id1": [0], "id2": [9]})
    assert np.array_equal(drawn(PairRoles(table, ("", ""))), GREY)
    assert drawn(PairFocus(table, radius=15))[10, 10, 0] == 100
    with pytest.raises(MissingColumnError, match="id2"):
        drawn(PairRoles(PAIR.drop("id2")))
