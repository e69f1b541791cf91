"""Needs between artifacts: whatever is loaded must come after what it needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.store.artifact_registry import DependencyGraph


def line(length: int) -> DependencyGraph:
    """``n0`` needs ``n1`` needs ... needs ``n<length>``: so many links."""
    graph = DependencyGraph()
    for i in range(length):
        graph.add_dependency(f"n{i}", f"n{i + 1}")
    return graph


def test_needs_come_before_the_needy_and_each_once() -> None:
    """A diamond: top needs left and right, both need base."""
    graph = DependencyGraph()
    graph.add_dependencies("top", ["left", "right"])
    graph.add_dependency("left", "base")
    graph.add_dependency("right", "base")
    assert graph.resolve_dependencies("top") == ["base", "left", "right"]
    assert graph.resolve_dependencies("base") == []
    assert graph.resolve_dependencies("unknown") == []


def test_equals_come_in_the_order_of_insertion() -> None:
    """The columns of a stack follow this order."""
    graph = DependencyGraph()
    graph.add_dependencies("top", ["c", "a", "b"])
    assert graph.resolve_dependencies("top") == ["c", "a", "b"]
    assert graph.get_dependencies("top") == ["c", "a", "b"]


def test_a_need_noted_twice_counts_once() -> None:
    graph = DependencyGraph()
    graph.add_dependencies("a", ["b", "b"])
    graph.add_dependency("a", "b")
    assert graph.get_dependencies("a") == ["b"]
    assert graph.get_dependents("b") == ["a"]


def test_a_circle_is_named_instead_of_walked_for_ever() -> None:
    """x needs a needs b needs c needs a; and p needs itself."""
    graph = DependencyGraph()
    for a, b in [("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("p", "p")]:
        graph.add_dependency(a, b)
    with pytest.raises(ValueError, match=r"circle: a > b > c > a"):
        graph.resolve_dependencies("x")
    with pytest.raises(ValueError, match=r"circle: b > c > a > b"):
        graph.resolve_dependencies("b")
    with pytest.raises(ValueError, match=r"circle: p > p"):
        graph.resolve_dependencies("p")


def test_a_path_longer_than_allowed_is_refused() -> None:
    """101 links are one more than the default of 100."""
    assert len(line(100).resolve_dependencies("n0")) == 100
    with pytest.raises(ValueError, match=r"101 artifacts"):
        line(101).resolve_dependencies("n0")


def test_the_depth_is_that_of_the_longest_path() -> None:
    """n0 also needs n3 directly; the path over n1 and n2 is still 3 links long."""
    graph = DependencyGraph()
    graph.add_dependency("n0", "n3")
    for i in range(3):
        graph.add_dependency(f"n{i}", f"n{i + 1}")
    assert graph.resolve_dependencies("n0", max_depth=3) == ["n3", "n2", "n1"]
    with pytest.raises(ValueError, match=r"3 artifacts"):
        graph.resolve_dependencies("n0", max_depth=2)


def test_many_needs_side_by_side_are_not_deep() -> None:
    """A stack of three models is one link deep."""
    graph = DependencyGraph()
    graph.add_dependencies("top", ["a", "b", "c"])
    assert graph.resolve_dependencies("top", max_depth=1) == ["a", "b", "c"]


def test_ten_thousand_links_do_not_hit_the_recursion_limit() -> None:
    """A long chain of refinements would else end in a RecursionError."""
    needed = line(10_000).resolve_dependencies("n0", max_depth=10_000)
    assert (needed[0], needed[-1], len(needed)) == ("n10000", "n1", 10_000)


def test_a_removed_artifact_is_in_no_list_any_more() -> None:
    graph = line(2)
    graph.remove_artifact("n1")
    assert graph.get_dependencies("n0") == []
    assert graph.get_dependents("n2") == []
    graph.remove_artifact("n1")


def test_what_needs_an_artifact_still_says_so_when_only_its_own_needs_go() -> None:
    """A model that is trained again keeps the meta-models that stand on it."""
    graph = line(2)
    graph.remove_dependencies("n1")
    assert graph.get_dependents("n1") == ["n0"]
    assert graph.get_dependencies("n1") == []


def test_clear_forgets_all() -> None:
    graph = line(2)
    graph.clear()
    assert graph.resolve_dependencies("n0") == []
    assert graph.get_dependents("n1") == []


@given(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda e: e[0] < e[1])))
def test_order_holds_in_any_graph_without_circles(edges: set[tuple[int, int]]) -> None:
    """Edges go from smaller to larger numbers, so there is no circle."""
    graph = DependencyGraph()
    for a, b in edges:
        graph.add_dependency(str(a), str(b))
    needed = graph.resolve_dependencies("0")
    reachable, todo = set(), [0]
    while todo:
        current = todo.pop()
        below = {b for a, b in edges if a == current} - reachable
        reachable |= below
        todo += below
    assert sorted(needed) == sorted(map(str, reachable))
    place = {name: i for i, name in enumerate(needed)}
    assert all(place[str(b)] < place[str(a)] for a, b in edges if str(a) in place)
