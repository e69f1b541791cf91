"""Colours: the same for the same classes, and told apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.charts.colours import _VISIONS, NO_CLUSTER, colours, lighter, lookup, palette


def linear(names):
    """Linear RGB of colours, shape (n, 3)."""
    rgb = np.array([[int(n[i : i + 2], 16) / 255 for i in (1, 3, 5)] for n in names])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def test_a_cluster_has_one_colour_in_all_panels():
    """Sorted values, so that the colours do not depend on which recording comes first."""
    assert palette([2, 0, 1, 1]) == palette([0, 1, 2])
    assert palette(["b", "a"]) == {"a": "#332288", "b": "#88CCEE"}


@settings(deadline=None)
@given(st.integers(0, 80), st.integers(0, 80))
def test_a_further_class_does_not_change_the_colours_of_the_others(few, more):
    """Else pictures with 17 and with 18 clusters could not be laid side by side."""
    few, more = sorted((few, more))
    assert colours(more)[:few] == colours(few)


def test_a_hundred_clusters_have_a_hundred_colours_none_of_which_is_that_of_nothing():
    """A colour that comes twice makes two clusters look like one."""
    found = colours(100)
    assert len({*found, NO_CLUSTER, "#FFFFFF"}) == 102


def test_colours_beyond_the_sixteenth_are_told_apart_without_red_or_green_cones():
    """To eight in a hundred men, two such clusters would be one. Red, green, blue of each are
    between 0 and 1; 0.02 apart in linear light can be seen side by side."""
    light = linear(colours(32))
    for vision in _VISIONS:
        seen = light @ vision.T
        apart = np.linalg.norm(seen[:, None] - seen[None, 16:], axis=2)
        apart[16 + np.arange(16), np.arange(16)] = np.inf
        assert apart.min() > 0.02


def test_dichromats_see_grey_as_it_is():
    """Rows of the matrices sum to 1; else simulated colours would be too dark or too light."""
    for vision in _VISIONS:
        assert np.allclose(vision @ np.ones(3), 1, atol=1e-4)


def test_the_last_colour_of_a_look_up_is_that_of_nothing():
    """Code -1 indexes the last row: a missing frame must not take the colour of a class."""
    shades = lookup(["#FF0000", "#00FF00"])
    assert shades.tolist() == [[255, 0, 0], [0, 255, 0], [228, 228, 228]]
    assert shades[-1].tolist() == [0xE4] * 3


def test_half_lighter():
    """(0, 51, 255) half way to 255 is (127.5, 153, 255); text on it stays readable."""
    assert lighter("#0033FF", 0.5) == "#8099FF"
