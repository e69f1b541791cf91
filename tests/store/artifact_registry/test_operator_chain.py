"""Chains and the ids that follow from them: the same path must always give the same id."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.store.artifact_registry import (
    OperatorChain,
    OperatorNode,
    generate_id,
    parse_artifact_id,
)

small = st.integers(0, 9)
nodes = st.builds(
    OperatorNode,
    step_index=st.integers(1, 20),
    operator_class=st.sampled_from(["SNV", "PLS", "Ridge_2"]),
    branch_path=st.lists(small, max_size=2),
    source_index=st.none() | small,
)
joins = st.lists(nodes, min_size=2, max_size=3).map(tuple)
chains = st.lists(nodes | joins, max_size=4).map(OperatorChain)

STACK = "s4.PLS[br=0]+s4.RF[br=1]>s5.Ridge"


def branched() -> OperatorChain:
    """A scaler, then SNV on branch 0 or PCA on branch 1 of source 1, then PLS on branch [0, 1]."""
    return OperatorChain(
        [
            OperatorNode(1, "MinMaxScaler"),
            OperatorNode(2, "SNV", [0]),
            OperatorNode(2, "PCA", [1], 1),
            OperatorNode(3, "PLS", [0, 1], 0),
        ],
        "p",
    )


@given(chains)
def test_a_path_comes_back_as_the_chain_that_it_was(chain: OperatorChain) -> None:
    """A manifest holds paths only; a chain read wrong loads wrong objects."""
    assert OperatorChain.from_path(chain.to_path()) == chain


def test_the_hash_of_a_path_is_the_known_one() -> None:
    """Ids in old workspaces hold this hash; another one would orphan every artifact."""
    chain = OperatorChain.from_path("s1.MinMaxScaler>s3.PLS")
    assert chain.to_hash() == "d6ec12b94970"
    assert chain.to_hash(64) == hashlib.sha256(b"s1.MinMaxScaler>s3.PLS").hexdigest()


@pytest.mark.parametrize("length", [0, -1, 65])
def test_a_hash_of_an_impossible_length_is_refused(length: int) -> None:
    """An empty hash would make all chains of a pipeline the same."""
    with pytest.raises(ValueError, match=r"1 to 64"):
        OperatorChain().to_hash(length)


def test_joined_inputs_become_a_tuple_of_nodes() -> None:
    """A meta-model stands on several models; its chain must name each."""
    chain = OperatorChain.from_path(STACK)
    assert chain.nodes == [
        (OperatorNode(4, "PLS", [0]), OperatorNode(4, "RF", [1])),
        OperatorNode(5, "Ridge"),
    ]
    assert chain.to_path() == STACK
    assert len(chain) == 2
    assert chain.get_nodes_at_step(4) == [OperatorNode(4, "PLS", [0]), OperatorNode(4, "RF", [1])]


def test_a_join_loses_members_by_filter_and_keeps_them_by_renumbering() -> None:
    """Left with one member it is no join any more; its path would not be found with a join."""
    chain = OperatorChain.from_path(STACK)
    assert chain.filter_branch([0]).to_path() == "s4.PLS[br=0]>s5.Ridge"
    assert chain.filter_step(4).to_path() == "s4.PLS[br=0]+s4.RF[br=1]"
    assert chain.remap_steps({4: 7, 5: 8}).to_path() == "s7.PLS[br=0]+s7.RF[br=1]>s8.Ridge"


def test_the_branch_of_a_join_is_what_its_members_share() -> None:
    """A meta-model over [0, 0] and [0, 1] lives on [0]; over [0] and [1] on none."""
    assert OperatorChain.from_path("s4.A[br=0.0]+s4.B[br=0.1]").get_branch_path() == [0]
    assert OperatorChain.from_path("s4.A[br=0]+s4.B[br=1]").get_branch_path() == []


@pytest.mark.parametrize("path", [">", "s1.A>", ">s1.A", "s1.A>>s2.B", "s1.A+", "s1.A > s2.B"])
def test_what_is_not_wholly_a_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"not the key"):
        OperatorChain.from_path(path)


def test_an_empty_join_is_refused() -> None:
    """It would vanish from the path, and two chains would have one id."""
    with pytest.raises(ValueError, match=r"joins no operators"):
        OperatorChain([()])


def test_the_empty_chain_is_false_and_empty() -> None:
    """``if chain`` decides whether there is anything to replay."""
    empty = OperatorChain.from_path("")
    assert not empty
    assert empty.is_empty()
    assert (len(empty), empty.to_path()) == (0, "")
    assert empty.get_last_node() is None
    assert empty.get_branch_path() == []


def test_filters_keep_what_belongs_to_all() -> None:
    """What lies before the branches, or serves all sources, is needed on every one of them."""
    chain = branched()
    assert chain.filter_branch([0]).to_path() == "s1.MinMaxScaler>s2.SNV[br=0]"
    assert (
        chain.filter_branch([0, 1]).to_path() == "s1.MinMaxScaler>s2.SNV[br=0]>s3.PLS[br=0.1,src=0]"
    )
    assert chain.filter_source(1).to_path() == "s1.MinMaxScaler>s2.SNV[br=0]>s2.PCA[br=1,src=1]"
    assert chain.filter_step(2).to_path() == "s2.SNV[br=0]>s2.PCA[br=1,src=1]"
    assert chain.filter_step(9).is_empty()


def test_no_method_changes_the_chain_that_it_is_called_on() -> None:
    """Branches share their prefix; a change in place would move into all of them."""
    chain = branched()
    before = chain.to_path()
    longer = chain.append(OperatorNode(9, "Ridge")).extend([OperatorNode(10, "Ridge")])
    chain.merge_with_prefix(longer, 3)
    chain.remap_steps({1: 5})
    assert longer.to_path() == f"{before}>s9.Ridge>s10.Ridge"
    assert (chain.to_path(), longer.pipeline_id) == (before, "p")
    assert chain.with_pipeline_id("q") == OperatorChain(chain.nodes, "q")


def test_extending_by_a_chain_takes_its_nodes() -> None:
    both = OperatorChain.from_path("s1.A").extend(OperatorChain.from_path("s2.B>s3.C"))
    assert both.to_path() == "s1.A>s2.B>s3.C"


def test_a_prefix_goes_before_and_raises_the_own_steps() -> None:
    """Transfer puts a fitted prefix before a new chain; equal steps would collide."""
    own, prefix = OperatorChain.from_path("s1.PLS>s2.Ridge"), OperatorChain.from_path("s1.SNV")
    assert own.merge_with_prefix(prefix, 1).to_path() == "s1.SNV>s2.PLS>s3.Ridge"
    with pytest.raises(ValueError, match=r"Steps count"):
        own.merge_with_prefix(prefix, -1)


@pytest.mark.parametrize(
    ("fold", "text"), [(None, "0001_pls$d6ec12b94970:all"), (0, "0001_pls$d6ec12b94970:0")]
)
def test_an_id_is_written_as_documented(fold: int | None, text: str) -> None:
    """Fold 0 is a fold: taken for 'all', one fold's model would stand for every fold."""
    path = "s1.MinMaxScaler>s3.PLS"
    assert generate_id(path, fold, "0001_pls") == text
    assert generate_id(OperatorChain.from_path(path, "0001_pls"), fold) == text


@given(
    st.text(st.characters(exclude_characters="$", exclude_categories=("Cc", "Cs"))),
    st.none() | st.integers(0, 10**6),
)
def test_an_id_is_taken_apart_as_it_was_put_together(pipeline: str, fold: int | None) -> None:
    """Pipeline names may hold colons; split at the wrong one, the fold is somebody else's."""
    chain = OperatorChain.from_path("s1.A")
    identifier = generate_id(chain, fold, pipeline)
    assert parse_artifact_id(identifier) == (pipeline, chain.to_hash(), fold)


@pytest.mark.parametrize("pipeline", ["a$b", "a\nb", "a\x00", "\x7f"])
def test_a_pipeline_id_that_breaks_ids_is_refused(pipeline: str) -> None:
    with pytest.raises(ValueError, match=r"control character"):
        generate_id("s1.A", None, pipeline)


@pytest.mark.parametrize(
    "text",
    ["", "p", "p:0", "p$abc", "p$:0", "p$abc:", "p$abc:-1", "p$abc:01", "p$xyz:0", "p$a$b:0",
     "p$abc:all ", "p$abc:ALL", "p\n$abc:0"],
)  # fmt: skip
def test_what_is_not_wholly_an_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not the id|control character"):
        parse_artifact_id(text)


def test_a_negative_fold_has_no_id() -> None:
    with pytest.raises(ValueError, match=r"Folds count"):
        generate_id("s1.A", -1, "p")
