"""What a chain is made of, in one form: step descriptors, fold artifacts, shared artifacts."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mosaic_dagster.errors import StoreValueError

#: What a step does. Only 'transform', 'y_transform' and 'model' matter when a chain is replayed.
ROLES = ("transform", "y_transform", "model", "split", "filter", "augment", "output")

#: Reserved key of the shared artifacts: ``{step: {source: [ids]}}``.
SOURCE_MAP = "_source_map"

_COMBINED = "Give a list of {'operator_class': name, 'branch_path': indices}."


@dataclass(frozen=True, slots=True)
class CheckedChain:
    """The parts of a chain that were checked, in the form that is stored.

    Parameters
    ----------
    steps
        Descriptors in step order, plain dicts.
    model_step_idx
        ``step_idx`` of the model's descriptor; 0 for a chain without a model.
    fold_strategy
        'per_fold', 'shared' or free text.
    fold_artifacts
        Fold key -> artifact id; None where the artifact was not kept.
    shared_artifacts
        Step index as text -> artifact ids, and :data:`SOURCE_MAP`.
    branch_path
        Branch indices from the outside in, or None.
    source_index
        The only source of the chain, or None.
    fold_weights
        Fold key -> weight, or None.
    """

    steps: list[dict[str, Any]]
    model_step_idx: int
    fold_strategy: str
    fold_artifacts: dict[str, str | None]
    shared_artifacts: dict[str, Any]
    branch_path: list[int] | None
    source_index: int | None
    fold_weights: dict[str, float] | None


def checked_chain(
    steps: Iterable[Mapping[str, Any]],
    model_step_idx: int,
    fold_strategy: str,
    fold_artifacts: Mapping[Any, str | None] | None,
    shared_artifacts: Mapping[Any, Any] | None,
    branch_path: Sequence[int] | None = None,
    source_index: int | None = None,
    fold_weights: Mapping[Any, float] | None = None,
) -> CheckedChain:
    """Check what is to be saved as a chain and bring it into one form.

    A chain without a model has ``model_step_idx`` 0, no fold artifacts and no descriptor with the
    role 'model'; its steps need none with the index 0. Shared artifacts may be a bare id instead
    of a list; whole-number keys become text.

    Raises
    ------
    StoreValueError
        No descriptor has the index of the model, an index comes twice or out of order, a role is
        unknown, weights do not fit the folds, are negative or all zero, or a part has the wrong
        type, such as parameters that are no mapping.
    """
    descriptors = [_descriptor(step, place) for place, step in enumerate(steps)]
    _check_order([step["step_idx"] for step in descriptors])
    model = _whole(model_step_idx, "model_step_idx")
    folds = _fold_artifacts(fold_artifacts)
    _check_model(descriptors, model, folds)
    if not isinstance(fold_strategy, str):
        msg = f"fold_strategy is {fold_strategy!r}."
        raise StoreValueError(msg, "Use 'per_fold' or 'shared'.")
    return CheckedChain(
        steps=descriptors,
        model_step_idx=model,
        fold_strategy=fold_strategy,
        fold_artifacts=folds,
        shared_artifacts=_shared_artifacts(shared_artifacts),
        branch_path=_branch_path(branch_path),
        source_index=None if source_index is None else _whole(source_index, "source_index"),
        fold_weights=_fold_weights(fold_weights, folds),
    )


def artifact_ids(
    fold_artifacts: Mapping[Any, str | None] | None,
    shared_artifacts: Mapping[Any, Any] | None,
    steps: Iterable[Mapping[str, Any]],
) -> set[str]:
    """Return every distinct artifact id that a chain names, in whichever part."""
    found = {found for found in (fold_artifacts or {}).values() if found}
    for key, value in (shared_artifacts or {}).items():
        if key == SOURCE_MAP:
            found.update(
                i for by_source in value.values() for v in by_source.values() for i in listed_ids(v)
            )
        else:
            found.update(listed_ids(value))
    for step in steps:
        found.update(descriptor_ids(step))
    return found


def descriptor_ids(step: Mapping[str, Any]) -> list[str]:
    """Artifact ids that a descriptor itself names, in order."""
    return listed_ids(step.get("artifact_ids")) or listed_ids(step.get("artifact_id"))


def listed_ids(value: Any) -> list[str]:
    """Artifact ids as a list, from one id, several or None.

    Raises
    ------
    StoreValueError
        Something in it is not text.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, Sequence | set | frozenset) and all(isinstance(v, str) for v in value):
        return list(value)
    msg = f"{value!r} is neither an artifact id nor a list of them."
    raise StoreValueError(msg, "Give the ids that save_artifact returned.")


def _descriptor(step: Any, place: int) -> dict[str, Any]:
    if not isinstance(step, Mapping) or "step_idx" not in step:
        msg = f"Step {place} of the chain (counted from 0) is {step!r}, which has no step_idx."
        raise StoreValueError(msg, "Give each step as a mapping with a step_idx.")
    descriptor = {str(key): value for key, value in step.items()}
    index = descriptor["step_idx"] = _whole(descriptor["step_idx"], "step_idx")
    role = descriptor.get("role")
    if role is not None and role not in ROLES:
        msg = f"Step {index} has the role {role!r}."
        raise StoreValueError(msg, f"Use one of {', '.join(ROLES)}.")
    descriptor_ids(descriptor)
    params = descriptor.get("params")
    if params is not None and not isinstance(params, Mapping):
        msg = f"Step {index} has the params {params!r}, which are no mapping."
        raise StoreValueError(msg, "Give a dict of keyword arguments, or None.")
    _check_combined(descriptor.get("combined"), index)
    return descriptor


def _check_combined(value: Any, index: int) -> None:
    """Refuse what is no list of operators that ran side by side."""
    if value is None:
        return
    if isinstance(value, str) or not isinstance(value, Sequence):
        msg = f"Step {index} has {value!r} under combined, which is no list."
        raise StoreValueError(msg, _COMBINED)
    for part in value:
        if not isinstance(part, Mapping) or not isinstance(part.get("operator_class"), str):
            msg = f"Step {index} has {part!r} under combined, which names no operator_class."
            raise StoreValueError(msg, _COMBINED)
        if part.get("branch_path") is None:
            msg = f"Step {index} has {part!r} under combined, which names no branch_path."
            raise StoreValueError(msg, _COMBINED)
        _branch_path(part["branch_path"])


def _check_order(indices: list[int]) -> None:
    for before, after in pairwise(indices):
        if before == after:
            msg = f"Two steps of the chain have the index {after}."
            raise StoreValueError(msg, "Give each step its own step_idx.")
        if before > after:
            msg = f"Step {after} of the chain comes after step {before}."
            raise StoreValueError(msg, "Sort the steps by step_idx.")


def _check_model(steps: list[dict[str, Any]], model: int, folds: Mapping[str, Any]) -> None:
    if any(step["step_idx"] == model for step in steps):
        return
    if model == 0 and not folds and all(step.get("role") != "model" for step in steps):
        return
    known = ", ".join(str(step["step_idx"]) for step in steps) or "none"
    msg = f"No step of the chain has the index {model} that model_step_idx names."
    raise StoreValueError(msg, f"The steps have these indices: {known}.")


def _fold_artifacts(value: Mapping[Any, str | None] | None) -> dict[str, str | None]:
    folds: dict[str, str | None] = {}
    for key, artifact in _mapping(value, "fold_artifacts").items():
        if artifact is not None and not isinstance(artifact, str):
            msg = f"fold_artifacts has {artifact!r} for {key!r}, which is no artifact id."
            raise StoreValueError(msg, "Give one id per fold, as save_artifact returned it.")
        folds[str(key)] = artifact or None
    return folds


def _shared_artifacts(value: Mapping[Any, Any] | None) -> dict[str, Any]:
    shared: dict[str, Any] = {}
    for key, part in _mapping(value, "shared_artifacts").items():
        if key == SOURCE_MAP:
            shared[SOURCE_MAP] = {
                _index_text(step): {
                    _index_text(source): listed_ids(ids)
                    for source, ids in _mapping(by_source, SOURCE_MAP).items()
                }
                for step, by_source in _mapping(part, SOURCE_MAP).items()
            }
        else:
            shared[_index_text(key)] = listed_ids(part)
    return shared


def _fold_weights(
    value: Mapping[Any, float] | None, folds: Mapping[str, Any]
) -> dict[str, float] | None:
    if value is None or not (value or folds):
        return None
    given = {str(key): weight for key, weight in _mapping(value, "fold_weights").items()}
    if given.keys() != folds.keys():
        msg = f"fold_weights names {sorted(given)}, fold_artifacts names {sorted(folds)}."
        raise StoreValueError(msg, "Give one weight for each fold and no other.")
    try:
        weights = {key: float(given[key]) for key in folds}
    except (TypeError, ValueError) as error:
        msg = f"fold_weights holds something that is no number: {given}."
        raise StoreValueError(msg, "Give one number per fold.") from error
    if not all(math.isfinite(w) and w >= 0 for w in weights.values()) or not any(weights.values()):
        msg = f"fold_weights is {weights}."
        raise StoreValueError(msg, "Weights are finite, none is negative, one is positive.")
    return weights


def _branch_path(value: Any) -> list[int] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        msg = f"branch_path is {value!r}."
        raise StoreValueError(msg, "Give a list of branch indices, such as [1, 0].")
    return [_whole(index, "branch_path") for index in value]


def _mapping(value: Any, name: str) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    msg = f"{name} is {value!r}, which is no mapping."
    raise StoreValueError(msg, "Give a dict.")


def _index_text(key: Any) -> str:
    try:
        return str(int(key))
    except (TypeError, ValueError) as error:
        msg = f"shared_artifacts has the key {key!r}, which is no index of a step or source."
        raise StoreValueError(msg, "Use keys such as '0' or 0.") from error


def _whole(value: Any, name: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError as error:
        msg = f"{name} is {value!r}, which is no whole number."
        raise StoreValueError(msg, "Give an int.") from error
