"""One operator of a chain: which class ran at which step, in which branch, on which source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Protocol

from mosaic_dagster.errors import StoreValueError

_NUMBER = r"(?:0|[1-9][0-9]*)"
_KEY = re.compile(
    r"s(?P<step>[1-9][0-9]*)\.(?P<cls>\w+)"
    r"(?:\[(?P<first>(?:br|src|sub)=)(?P<rest>[^\[\]]+)\])?"
)
_QUALIFIERS = re.compile(
    rf"(?:br=(?P<br>{_NUMBER}(?:\.{_NUMBER})*))?"
    rf"(?:(?:^|,)src=(?P<src>{_NUMBER}))?"
    rf"(?:(?:^|,)sub=(?P<sub>{_NUMBER}))?"
)
_CLASS = re.compile(r"\w+")


class Placed(Protocol):
    """What has a place in a pipeline: a node of a chain or the record of an artifact."""

    @property
    def step_index(self) -> int:
        """Step, counted from 1."""

    @property
    def branch_path(self) -> list[int]:
        """Branch indices from the outside in; empty outside branches."""

    @property
    def source_index(self) -> int | None:
        """Data source, None for all."""

    @property
    def fold_id(self) -> int | None:
        """Fold, None for what all folds share."""


def placed_at(
    item: Placed,
    step_index: int | None = None,
    branch_path: Sequence[int] | None = None,
    source_index: int | None = None,
    fold_id: int | None = None,
) -> bool:
    """Whether an item lies at exactly this place; a coordinate that is None matches anything."""
    return (
        (step_index is None or item.step_index == step_index)
        and (branch_path is None or item.branch_path == list(branch_path))
        and (source_index is None or item.source_index == source_index)
        and (fold_id is None or item.fold_id == fold_id)
    )


def branch_reaches(path: Sequence[int], target: Sequence[int]) -> bool:
    """Whether what was made on branch ``path`` is upstream of, or on, branch ``target``.

    So it is for what lies before all branches, on the same branch or on one that contains it.
    """
    return list(path) == list(target)[: len(path)]


@dataclass(frozen=True, slots=True)
class OperatorNode:
    """One operator of a chain.

    Parameters
    ----------
    step_index
        Step of the pipeline, counted from 1.
    operator_class
        Name of the class: letters, digits and underscores.
    branch_path
        Branch indices from the outside in; empty outside branches.
    source_index
        Data source that it worked on; None for all.
    fold_id
        Fold that it was fitted on; None for all. Not part of the key.
    substep_index
        Place among several operators of one step.
    operator_name
        The user's name for it. Not part of the key.

    Raises
    ------
    StoreValueError
        A number is out of range, or the class name could not stand in a key.
    """

    step_index: int
    operator_class: str
    branch_path: list[int] = field(default_factory=list)
    source_index: int | None = None
    fold_id: int | None = None
    substep_index: int | None = None
    operator_name: str | None = None

    def __post_init__(self) -> None:
        # Callers keep no handle on the list of a node, whose key must not change.
        object.__setattr__(self, "branch_path", list(self.branch_path or ()))
        if self.step_index < 1:
            msg = f"The operator {self.operator_class!r} has the step {self.step_index}."
            raise StoreValueError(msg, "Steps count from 1.")
        if not _CLASS.fullmatch(self.operator_class):
            msg = f"{self.operator_class!r} cannot be the class of an operator."
            raise StoreValueError(msg, "Use the class's name, without its module.")
        numbers = (*self.branch_path, self.source_index, self.fold_id, self.substep_index)
        if any(number is not None and number < 0 for number in numbers):
            msg = f"The operator {self.operator_class!r} of step {self.step_index} is misplaced."
            raise StoreValueError(msg, "Branch, source, fold and substep count from 0.")

    def __hash__(self) -> int:
        return hash((self.to_key(), self.fold_id, self.operator_name))

    def to_key(self) -> str:
        """Key such as ``s3.SNV[br=0.1,src=1,sub=2]``; what is not set is left out."""
        qualifiers = []
        if self.branch_path:
            qualifiers.append(f"br={'.'.join(map(str, self.branch_path))}")
        if self.source_index is not None:
            qualifiers.append(f"src={self.source_index}")
        if self.substep_index is not None:
            qualifiers.append(f"sub={self.substep_index}")
        suffix = f"[{','.join(qualifiers)}]" if qualifiers else ""
        return f"s{self.step_index}.{self.operator_class}{suffix}"

    @classmethod
    def from_key(cls, key: str) -> OperatorNode:
        """Node of a key.

        Raises
        ------
        StoreValueError
            The text is not, from its first to its last character, a key.
        """
        head = _KEY.fullmatch(key)
        qualifiers = head and _QUALIFIERS.fullmatch((head["first"] or "") + (head["rest"] or ""))
        if not head or not qualifiers:
            msg = f"{key!r} is not the key of an operator."
            raise StoreValueError(msg, "A key looks like s3.SNV or s3.SNV[br=0.1,src=1,sub=2].")
        branch, source, substep = qualifiers.group("br", "src", "sub")
        return cls(
            step_index=int(head["step"]),
            operator_class=head["cls"],
            branch_path=[int(part) for part in branch.split(".")] if branch else [],
            source_index=None if source is None else int(source),
            substep_index=None if substep is None else int(substep),
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields, as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OperatorNode:
        """Inverse of :meth:`to_dict`; unknown keys are ignored.

        Raises
        ------
        StoreValueError
            The step or the class is missing, or a value is out of range.
        """
        known = {item.name for item in fields(cls)}
        missing = {"step_index", "operator_class"} - set(data)
        if missing:
            msg = f"An operator lacks {', '.join(sorted(missing))}."
            raise StoreValueError(msg, "Pass what OperatorNode.to_dict gave.")
        return cls(**{name: value for name, value in data.items() if name in known})

    def with_fold(self, fold_id: int | None) -> OperatorNode:
        """Copy with another fold."""
        return replace(self, fold_id=fold_id)

    def with_source(self, source_index: int | None) -> OperatorNode:
        """Copy with another source."""
        return replace(self, source_index=source_index)

    def matches_context(
        self,
        step_index: int | None = None,
        branch_path: Sequence[int] | None = None,
        source_index: int | None = None,
        fold_id: int | None = None,
    ) -> bool:
        """Whether the node lies at exactly this place; None matches anything."""
        return placed_at(self, step_index, branch_path, source_index, fold_id)
