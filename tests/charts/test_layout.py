"""Layers, order and heights of a graph."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.charts.layout import _columns, _crossings, _keep_apart, lay_out
from mosaic_dagster.errors import CycleError


@st.composite
def graphs(draw) -> dict[str, list[str]]:
    """Up to 12 steps, each of which needs some of those before it."""
    count = draw(st.integers(0, 12))
    return {
        f"s{i}": [f"s{j}" for j in range(i) if draw(st.integers(0, 3)) == 0] for i in range(count)
    }


def test_a_step_stands_behind_the_longest_way_to_it():
    """d needs a directly and by b and c: layer 3. Tags are needed by d alone: layer 2."""
    needs = {"a": [], "tags": [], "b": ["a"], "c": ["b"], "d": ["a", "c", "tags"]}
    assert lay_out(needs).layers == {"a": 0, "b": 1, "c": 2, "d": 3, "tags": 2}


@settings(deadline=None)
@given(graphs())
def test_every_edge_goes_to_the_right_and_none_is_lost(needs):
    """An arrow to the left, or one that ends nowhere, tells a wrong story."""
    layout = lay_out(needs)
    reached = {name: set() for name in needs}
    for (source, left), (name, right) in layout.edges:
        assert right == left + 1
        if layout.layers[name] == right:
            reached[name].add(source)
    assert reached == {name: set(sources) for name, sources in needs.items()}


@settings(deadline=None)
@given(graphs())
def test_steps_do_not_overlap(needs):
    """Two steps of one layer are at least 1 apart, a step and a passing edge at least half."""
    layout = lay_out(needs)
    for layer, places in itertools.groupby(
        sorted(layout.heights, key=lambda p: p[1]), lambda p: p[1]
    ):
        found = sorted((layout.heights[p], layout.layers[p[0]] == layer) for p in places)
        for (low, below), (high, above) in itertools.pairwise(found):
            assert high - low >= (0.999 if below and above else 0.449)


def test_edges_that_need_not_cross_do_not():
    """a1 to b3, a2 to b2, a3 to b1: three crossings in the order given, none in the best."""
    needs = {"a1": [], "a2": [], "a3": [], "b1": ["a3"], "b2": ["a2"], "b3": ["a1"]}
    layout = lay_out(needs)
    given_order = _columns(layout.layers, layout.edges)
    assert _crossings(given_order, layout.edges) == 3
    found = [sorted(column, key=layout.heights.__getitem__) for column in given_order]
    assert _crossings(found, layout.edges) == 0


def test_a_circle_is_refused_with_the_steps_in_it():
    """Else the layout would never end."""
    with pytest.raises(CycleError, match="among: a, b"):
        lay_out({"a": ["b"], "b": ["a"], "c": []})


def test_heights_that_are_too_near_are_moved_apart_alike():
    """Both want 0 and must be 1 apart: -0.5 and 0.5. The third is far away and stays at 9."""
    assert _keep_apart(np.array([0.0, 0.0, 9.0]), np.array([1.0, 1.0])).tolist() == [-0.5, 0.5, 9.0]
