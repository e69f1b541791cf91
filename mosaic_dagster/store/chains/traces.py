"""From the steps that a run executed to the chains that its models came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains.descriptors import SOURCE_MAP, listed_ids


@dataclass(frozen=True, slots=True)
class _Step:
    """One executed step, whichever way it was given."""

    index: int
    operator_class: str
    params: dict[str, Any]
    branch: tuple[int, ...]
    role: str
    ids: list[str]
    folds: dict[str, str | None]
    by_source: dict[str, list[str]]
    source_index: int | None = field(default=None)


def branch_compatible(
    artifact_path: Sequence[int] | None, model_path: Sequence[int] | None
) -> bool:
    """Whether a model on one branch builds on what was fitted on another.

    True when either path is None or empty (before the branches, or after they were merged), or
    when the artifact's path is how the model's begins.
    """
    if not artifact_path or not model_path:
        return True
    return list(artifact_path) == list(model_path[: len(artifact_path)])


def chains_from_trace(trace: Iterable[Any]) -> list[dict[str, Any]]:
    """Turn executed steps into keyword arguments for ``save_chain``, without its pipeline.

    Parameters
    ----------
    trace
        Executed steps in order, mappings or objects with ``step_index``, ``operator_class``,
        ``params``, ``branch_path``, ``artifact_ids``, ``fold_artifact_ids`` (fold -> id, or a list
        in fold order), ``by_source`` (source -> ids), ``skipped``, and perhaps ``role`` and
        ``source_index``. What is missing counts as empty.

    Returns
    -------
    list of dict
        One chain per step with fold artifacts, which is its model, with the steps of its branch up
        to it; a single chain without a model (index 0, class '') when there is no such step.

    Raises
    ------
    StoreValueError
        A step has no index, or a model and another step of its branch have the same one.

    Notes
    -----
    Operators with one step index become one descriptor. Those of different branches, which a model
    after a merge has before it, cannot be applied one after the other: their descriptor lists them
    under ``combined``, and replay refuses it.
    """
    steps = [_read(item) for item in trace if not _get(item, "skipped")]
    chains = [
        _chain(_before(steps[:place], model), model)
        for place, model in enumerate(steps)
        if model.folds
    ]
    return chains or [_chain(steps, None)]


def _get(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def _read(item: Any) -> _Step:
    index = _get(item, "step_index")
    if index is None:
        msg = f"A step of the trace has no step_index: {item!r}."
        raise StoreValueError(msg, "Give each executed step its index.")
    by_source = {str(s): listed_ids(ids) for s, ids in (_get(item, "by_source") or {}).items()}
    ids = listed_ids(_get(item, "artifact_ids"))
    ids += [i for part in by_source.values() for i in part if i not in ids]
    folds = _folds(_get(item, "fold_artifact_ids"))
    return _Step(
        index=int(index),
        operator_class=str(_get(item, "operator_class") or ""),
        params=dict(_get(item, "params") or {}),
        branch=tuple(_get(item, "branch_path") or ()),
        role=_get(item, "role") or ("model" if folds else "transform"),
        ids=ids,
        folds=folds,
        by_source=by_source,
        source_index=_get(item, "source_index"),
    )


def _folds(value: Any) -> dict[str, str | None]:
    if not value:
        return {}
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {f"fold_{key}" if str(key).isdigit() else str(key): found for key, found in pairs}


def _before(steps: Sequence[_Step], model: _Step) -> list[_Step]:
    """Steps that the model builds on; another model at its index is an alternative to it."""
    kept = []
    for step in steps:
        if not branch_compatible(step.branch, model.branch):
            continue
        if step.index == model.index:
            if step.folds:
                continue
            msg = (
                f"Step {step.index} of the trace is the model {model.operator_class} and also "
                f"{step.operator_class}, which is none."
            )
            raise StoreValueError(msg, "Give the steps different indices.")
        kept.append(step)
    return kept


def _chain(before: Sequence[_Step], model: _Step | None) -> dict[str, Any]:
    grouped: dict[int, list[_Step]] = {}
    for step in sorted(before, key=lambda step: step.index):
        grouped.setdefault(step.index, []).append(step)
    descriptors = [_descriptor(group) for group in grouped.values()]
    used = [step for step in before if step.role == "transform"]
    chain: dict[str, Any] = {
        "steps": descriptors,
        "model_step_idx": 0,
        "model_class": "",
        "preprocessings": ">".join(step.operator_class.rpartition(".")[2] for step in used),
        "fold_strategy": "shared",
        "fold_artifacts": {},
        "shared_artifacts": _shared(grouped),
        "branch_path": None,
        "source_index": None,
    }
    if model is not None:
        chain["steps"] = [*descriptors, _descriptor([model])]
        chain["model_step_idx"] = model.index
        chain["model_class"] = model.operator_class
        chain["fold_strategy"] = "per_fold"
        chain["fold_artifacts"] = dict(model.folds)
        chain["branch_path"] = list(model.branch) or None
        chain["source_index"] = model.source_index
    return chain


def _descriptor(group: Sequence[_Step]) -> dict[str, Any]:
    """One descriptor for the operators with one step index."""
    first = group[0]
    ids = [i for step in group for i in step.ids]
    roles = {step.role for step in group}
    descriptor: dict[str, Any] = {
        "step_idx": first.index,
        "operator_class": first.operator_class,
        "params": dict(first.params),
        "artifact_id": ids[0] if len(ids) == 1 else None,
        "stateless": not ids and not first.folds,
        "role": first.role if len(roles) == 1 else "transform",
    }
    if len(ids) > 1:
        descriptor["artifact_ids"] = ids
    if len(group) > 1 and not _one_after_the_other(group):
        descriptor["combined"] = [
            {"operator_class": step.operator_class, "branch_path": list(step.branch)}
            for step in group
        ]
    return descriptor


def _one_after_the_other(group: Sequence[_Step]) -> bool:
    return len({(step.branch, step.role) for step in group}) == 1 and all(s.ids for s in group)


def _shared(grouped: Mapping[int, Sequence[_Step]]) -> dict[str, Any]:
    shared: dict[str, Any] = {}
    sources: dict[str, dict[str, list[str]]] = {}
    for index, group in grouped.items():
        if ids := [i for step in group for i in step.ids]:
            shared[str(index)] = ids
        for step in group:
            for source, ids in step.by_source.items():
                sources.setdefault(str(index), {}).setdefault(source, []).extend(ids)
    if sources:
        shared[SOURCE_MAP] = sources
    return shared
