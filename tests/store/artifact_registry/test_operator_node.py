"""Keys of operators: what a key says must come back, and nothing else may pass for a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.store.artifact_registry import OperatorNode
from mosaic_dagster.store.artifact_registry.operator_node import branch_reaches

small = st.integers(0, 30)
nodes = st.builds(
    OperatorNode,
    step_index=st.integers(1, 200),
    operator_class=st.from_regex(r"[A-Za-zÄé_][A-Za-z0-9_]{0,12}", fullmatch=True),
    branch_path=st.lists(small, max_size=3),
    source_index=st.none() | small,
    substep_index=st.none() | small,
)


@pytest.mark.parametrize(
    ("node", "key"),
    [
        (OperatorNode(1, "MinMaxScaler"), "s1.MinMaxScaler"),
        (OperatorNode(3, "SNV", [0]), "s3.SNV[br=0]"),
        (OperatorNode(3, "SNV", [0, 1], 1), "s3.SNV[br=0.1,src=1]"),
        (OperatorNode(12, "PLS", [2], 0, substep_index=4), "s12.PLS[br=2,src=0,sub=4]"),
        (OperatorNode(2, "PCA", substep_index=1), "s2.PCA[sub=1]"),
    ],
)
def test_a_key_is_written_as_documented(node: OperatorNode, key: str) -> None:
    """Another spelling would change the hash of every chain, and no artifact would be found."""
    assert node.to_key() == key
    assert OperatorNode.from_key(key) == node


@given(nodes)
def test_a_key_comes_back_as_the_node_that_it_was(node: OperatorNode) -> None:
    """A place that is lost on the way would load the object of another branch or source."""
    assert OperatorNode.from_key(node.to_key()) == node


@pytest.mark.parametrize(
    "text",
    ["", "SNV", "s3.", "s0.SNV", "s01.SNV", "s3.SNV ", "s3.SNV\n", " s3.SNV", "s3.SNV[br=0]x",
     "s3.SNV[]", "s3.SNV[br=]", "s3.SNV[br=0.]", "s3.SNV[br=00]", "s3.SNV[fold=1]",
     "s3.SNV[src=1,br=0]", "s3.SNV[br=0,br=1]", "s3.SNV[br=0,,src=1]", "s3.SNV[br=0src=1]",
     "s3.SNV[,src=1]", "s3.sklearn.SNV", "s3.A>s4.B", "s3.A+s3.B", "s٣.SNV"],
)  # fmt: skip
def test_what_is_not_wholly_a_key_is_refused(text: str) -> None:
    """Trailing or unknown parts that are dropped in silence would name another object."""
    with pytest.raises(ValueError, match=r"not the key"):
        OperatorNode.from_key(text)


@pytest.mark.parametrize(
    "arguments",
    [(0, "SNV"), (1, "a.B"), (1, ""), (1, "A>s2.B"), (1, "SNV", [-1]), (1, "SNV", [], -1)],
)
def test_a_node_that_has_no_key_cannot_be_made(arguments: tuple) -> None:
    """It would write a path that nobody can read back."""
    with pytest.raises(ValueError, match=r"Steps count|class of an operator|misplaced"):
        OperatorNode(*arguments)


def test_fold_and_name_are_not_in_the_key_but_in_the_dictionary() -> None:
    """All folds of a model share one chain; a record still says which fold it is."""
    node = OperatorNode(3, "PLS", [1], 0, fold_id=2, operator_name="best")
    assert node.to_key() == OperatorNode(3, "PLS", [1], 0).to_key()
    assert OperatorNode.from_dict({**node.to_dict(), "later": 1}) == node


def test_a_dictionary_without_a_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks operator_class"):
        OperatorNode.from_dict({"step_index": 1})


def test_copies_change_one_field_only() -> None:
    """A copy that lost its branch would be found on every branch."""
    node = OperatorNode(3, "PLS", [1], fold_id=2)
    assert node.with_fold(4) == OperatorNode(3, "PLS", [1], fold_id=4)
    assert node.with_source(0) == OperatorNode(3, "PLS", [1], 0, 2)
    assert node == OperatorNode(3, "PLS", [1], fold_id=2)


def test_the_callers_list_is_not_the_nodes() -> None:
    """A caller that goes on changing its branch list must not move the node."""
    branch = [0]
    node = OperatorNode(1, "SNV", branch)
    branch.append(1)
    assert node.branch_path == [0]


@pytest.mark.parametrize(
    ("context", "matches"),
    [
        ({}, True),
        ({"step_index": 3, "branch_path": [1], "source_index": 0, "fold_id": 2}, True),
        ({"step_index": 2}, False),
        ({"branch_path": []}, False),
        ({"branch_path": [1, 0]}, False),
        ({"source_index": 1}, False),
        ({"fold_id": 0}, False),
    ],
)
def test_a_context_matches_exactly_or_not_at_all(context: dict, matches: bool) -> None:
    """Fold 0 and branch [] are places, not wildcards; taken for None they load a wrong model."""
    node = OperatorNode(3, "PLS", [1], 0, fold_id=2)
    assert node.matches_context(**context) is matches


def test_a_branch_reaches_itself_and_what_it_contains() -> None:
    """A model must not read what a sibling branch, or a branch inside its own, made."""
    assert branch_reaches([], [0, 1])
    assert branch_reaches([0], [0, 1])
    assert branch_reaches([0, 1], [0, 1])
    assert not branch_reaches([1], [0, 1])
    assert not branch_reaches([0, 1], [0])
