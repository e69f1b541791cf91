"""The path of operators that made an artifact, and the ids that follow from it."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.artifact_registry.operator_node import OperatorNode, branch_reaches

Link = OperatorNode | tuple[OperatorNode, ...]
"""One place of a chain: an operator, or the joined inputs of a meta-model."""

HASH_LENGTH = 12

_HASH = re.compile(r"[0-9a-f]{1,64}")
_FOLD = re.compile(r"0|[1-9][0-9]*")


def _members(link: Link) -> tuple[OperatorNode, ...]:
    return (link,) if isinstance(link, OperatorNode) else link


@dataclass(frozen=True, slots=True)
class OperatorChain:
    """Operators in the order in which the data passed through them; never changed in place.

    Parameters
    ----------
    nodes
        Operators from first to last. A tuple of operators stands for the joined inputs of the
        operator that follows: several models below one meta-model.
    pipeline_id
        Pipeline that the chain belongs to; not part of the path.
    """

    nodes: list[Link] = field(default_factory=list)
    pipeline_id: str = ""

    def __post_init__(self) -> None:
        links = (link if isinstance(link, OperatorNode) else tuple(link) for link in self.nodes)
        object.__setattr__(self, "nodes", list(links))
        if () in self.nodes:
            msg = "A place of the chain joins no operators at all."
            raise StoreValueError(msg, "Leave it out, or name at least one operator.")

    def __len__(self) -> int:
        return len(self.nodes)

    def __bool__(self) -> bool:
        return bool(self.nodes)

    def __iter__(self) -> Iterator[Link]:
        return iter(self.nodes)

    def __hash__(self) -> int:
        return hash((self.to_path(), self.pipeline_id))

    def is_empty(self) -> bool:
        """Whether there is no operator in it."""
        return not self.nodes

    def append(self, node: Link) -> OperatorChain:
        """Chain with one more operator, or join, at its end."""
        return self._with([*self.nodes, node])

    def extend(self, nodes: Iterable[Link]) -> OperatorChain:
        """Chain with the operators of an iterable, or of another chain, at its end."""
        return self._with([*self.nodes, *nodes])

    def filter_step(self, step_index: int) -> OperatorChain:
        """Chain of the operators of one step."""
        return self._keep(lambda node: node.step_index == step_index)

    def filter_source(self, source_index: int) -> OperatorChain:
        """Chain of one source: its operators and those without a source."""
        return self._keep(lambda node: node.source_index in (None, source_index))

    def filter_branch(self, branch_path: Sequence[int]) -> OperatorChain:
        """Chain of one branch: operators before all branches, on it, or on one around it."""
        return self._keep(lambda node: branch_reaches(node.branch_path, branch_path))

    def merge_with_prefix(self, prefix: OperatorChain, step_offset: int = 0) -> OperatorChain:
        """Nodes of ``prefix``, then the own ones with their steps raised by ``step_offset``."""
        moved = self._change(lambda n: replace(n, step_index=n.step_index + step_offset))
        return self._with([*prefix.nodes, *moved.nodes])

    def remap_steps(self, mapping: Mapping[int, int]) -> OperatorChain:
        """Chain with steps renumbered; steps that the mapping lacks stay as they are."""
        return self._change(
            lambda n: replace(n, step_index=mapping.get(n.step_index, n.step_index))
        )

    def with_pipeline_id(self, pipeline_id: str) -> OperatorChain:
        """Copy that belongs to another pipeline."""
        return replace(self, pipeline_id=pipeline_id)

    def get_last_node(self) -> OperatorNode | None:
        """Last operator, of a join its last member; None in the empty chain."""
        return _members(self.nodes[-1])[-1] if self.nodes else None

    def get_nodes_at_step(self, step_index: int) -> list[OperatorNode]:
        """Operators of one step, members of joins included."""
        return [
            node for link in self.nodes for node in _members(link) if node.step_index == step_index
        ]

    def get_branch_path(self) -> list[int]:
        """Branch of the last operator; of a join, the branch that contains all its members."""
        if not self.nodes:
            return []
        branches = [node.branch_path for node in _members(self.nodes[-1])]
        levels = zip(*branches, strict=False)
        return [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]

    def to_path(self) -> str:
        """Keys joined by ``>``, those of a join by ``+``: ``s4.PLS[br=0]+s4.RF[br=1]>s5.Ridge``."""
        return ">".join("+".join(node.to_key() for node in _members(link)) for link in self.nodes)

    @classmethod
    def from_path(cls, path: str, pipeline_id: str = "") -> OperatorChain:
        """Chain of a path; the empty path is the empty chain.

        Raises
        ------
        StoreValueError
            A part of the path is not the key of an operator.
        """
        if not path:
            return cls(pipeline_id=pipeline_id)
        places = [
            tuple(OperatorNode.from_key(key) for key in place.split("+"))
            for place in path.split(">")
        ]
        nodes: list[Link] = [place[0] if len(place) == 1 else place for place in places]
        return cls(nodes, pipeline_id)

    def to_hash(self, length: int = HASH_LENGTH) -> str:
        """First hex digits of the SHA-256 of the path in UTF-8.

        Raises
        ------
        StoreValueError
            The length is not between 1 and 64.
        """
        return hash_path(self.to_path(), length)

    def _with(self, nodes: list[Link]) -> OperatorChain:
        return replace(self, nodes=nodes)

    def _keep(self, wanted: Callable[[OperatorNode], bool]) -> OperatorChain:
        kept: list[Link] = []
        for link in self.nodes:
            members = tuple(node for node in _members(link) if wanted(node))
            if members:
                kept.append(members[0] if len(members) == 1 else members)
        return self._with(kept)

    def _change(self, change: Callable[[OperatorNode], OperatorNode]) -> OperatorChain:
        return self._with(
            [
                change(link)
                if isinstance(link, OperatorNode)
                else tuple(change(node) for node in link)
                for link in self.nodes
            ]
        )


def hash_path(path: str, length: int = HASH_LENGTH) -> str:
    """First hex digits of the SHA-256 of a chain's path in UTF-8."""
    if not 1 <= length <= 64:
        msg = f"A chain cannot be hashed to {length} digits."
        raise StoreValueError(msg, "Ask for 1 to 64.")
    return hashlib.sha256(path.encode()).hexdigest()[:length]


def as_chain(chain: OperatorChain | str) -> OperatorChain:
    """Chain itself, or the one that a path describes."""
    return chain if isinstance(chain, OperatorChain) else OperatorChain.from_path(chain)


def generate_id(
    chain: OperatorChain | str, fold_id: int | None = None, pipeline_id: str | None = None
) -> str:
    """Artifact id ``{pipeline_id}${chain hash}:{fold, or all}``.

    Parameters
    ----------
    chain
        Chain that made the artifact, or its path.
    fold_id
        Fold; None for what all folds share.
    pipeline_id
        Pipeline; None for the one of the chain.

    Raises
    ------
    StoreValueError
        The pipeline id holds ``$`` or a control character, or the fold is negative.
    """
    chain = as_chain(chain)
    pipeline = chain.pipeline_id if pipeline_id is None else pipeline_id
    _check_pipeline_id(pipeline)
    if fold_id is not None and fold_id < 0:
        msg = f"The pipeline {pipeline!r} has the fold {fold_id}."
        raise StoreValueError(msg, "Folds count from 0; None is what all folds share.")
    return f"{pipeline}${chain.to_hash()}:{'all' if fold_id is None else fold_id}"


def parse_artifact_id(artifact_id: str) -> tuple[str, str, int | None]:
    """Pipeline id, chain hash and fold (None for all) of an artifact id.

    Raises
    ------
    StoreValueError
        The text is not the id of an artifact made by a chain.
    """
    pipeline, dollar, rest = artifact_id.partition("$")
    chain_hash, colon, fold = rest.rpartition(":")
    valid = (
        dollar
        and colon
        and _HASH.fullmatch(chain_hash)
        and (fold == "all" or _FOLD.fullmatch(fold))
    )
    if not valid:
        msg = f"{artifact_id!r} is not the id of an artifact made by a chain."
        raise StoreValueError(msg, "It looks like 0001_pls$d6ec12b94970:0, or ends with :all.")
    _check_pipeline_id(pipeline)
    return pipeline, chain_hash, None if fold == "all" else int(fold)


def _check_pipeline_id(pipeline_id: str) -> None:
    if any(char == "$" or unicodedata.category(char) == "Cc" for char in pipeline_id):
        msg = f"The pipeline id {pipeline_id!r} holds a $ or a control character."
        raise StoreValueError(msg, "Choose another; artifact ids are taken apart at the $.")
