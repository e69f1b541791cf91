"""Why a result is out of date: what differs between then and now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mosaic_dagster.hashing import canonical_json, digest
from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import EntryStatus
from mosaic_dagster.pipeline.steps import FeatureStep
from mosaic_dagster.store import Dependency


def declared_params(step: BoundStep) -> str:
    """Canonical JSON of everything a declaration holds beside the feature's name and version."""
    if step.params is None:
        return canonical_json({})
    options = {
        "params": step.params.identity(),
        "references": {n: [r.step, r.artifact, r.column] for n, r in step.references.items()},
        "frames": list(step.frames),
        "fit_threads": step.options.fit_threads,
        "require_complete": step.options.require_complete,
    }
    return canonical_json(options)


def declared_version(step: FeatureStep) -> str:
    """``{feature version}+{8 hex of the declared parameters}``, known without a dataset."""
    asked = {
        "params": step.checked_params.identity(),
        "references": {n: [r.step, r.artifact, r.column] for n, r in step.references().items()},
        "run_kwargs": dict(step.run_kwargs),
    }
    return f"{step.feature_cls.version}+{digest(asked)[:8]}"


def explain_stale(
    step: BoundStep, statuses: Mapping[str, EntryStatus], snapshot: Snapshot
) -> dict[str, EntryStatus]:
    """Replace the reason *input* by the nearest true one: version, params, model, which input."""
    unexplained = {
        key: status
        for key, status in statuses.items()
        if status.state == "stale" and status.reason == "input" and status.head is not None
    }
    if not unexplained:
        return dict(statuses)
    heads = {key: status.head for key, status in unexplained.items() if status.head is not None}
    made_from = snapshot.find_inputs([head.action_key for head in heads.values()])
    explained = dict(statuses)
    for key, status in unexplained.items():
        head = heads[key]
        then = snapshot.declarations.get(head.run_id)
        now = (step.feature_name, step.version, declared_params(step))
        reason = _declaration_change(then, now) or _input_change(
            step, made_from.get(head.action_key, ()), status.inputs
        )
        explained[key] = replace(status, reason=reason)
    return explained


def _declaration_change(
    then: tuple[str, str, str | None] | None, now: tuple[str, str, str | None]
) -> str:
    if then is None or then == now:
        return ""
    if then[0] != now[0]:
        return "feature"
    return "version" if then[1] != now[1] else "params"


def _input_change(
    step: BoundStep, then: tuple[Dependency, ...], now: tuple[Dependency, ...]
) -> str:
    before = {item.role: item.sha256 for item in then if not item.role.startswith("member:")}
    after = {item.role: item.sha256 for item in now}
    changed = [role for role in after if before.get(role) != after[role]]
    if set(before) - set(after) or (set(after) - set(before) and before):
        return "scope"
    if not changed:
        return "input"
    role = changed[0]
    if role == "state":
        return "model"
    kind, _, rest = role.partition(":")
    if kind in ("param", "lookup"):
        parameter = rest.partition("/")[0]
        reference = step.references.get(parameter)
        return "params" if reference is None else f"input: {reference.step}"
    position = int(rest.partition("/")[0])
    return f"input: {step.inputs[position]}"
