"""Why a result is out of date: what differs between then and now, or what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mosaic_dagster.hashing import canonical_json, digest
from mosaic_dagster.pipeline.binding import BoundPipeline, BoundStep
from mosaic_dagster.pipeline.overlap import AFTER, BEFORE
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import DONE, PENDING, STOPPED, EntryStatus
from mosaic_dagster.pipeline.steps import FeatureStep
from mosaic_dagster.store import Dependency, Head

_SIDES = (f"{BEFORE}:", f"{AFTER}:")


def declared_params(step: BoundStep) -> str:
    """Canonical JSON of everything a declaration holds beside the feature's name and version."""
    if step.params is None:
        return canonical_json({})
    options = {
        "params": step.params.identity(),
        "references": {n: [r.step, r.artifact, r.column] for n, r in step.references.items()},
        "frames": list(step.frames.limits),
        "fit_threads": step.options.fit_threads,
        "require_complete": step.options.require_complete,
    }
    if step.options.join_on is not None:
        options["join_on"] = step.options.join_on
    if step.frames.overlap:
        options["overlap_frames"] = step.frames.overlap
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
    bound: BoundPipeline,
    step: BoundStep,
    statuses: Mapping[str, EntryStatus],
    snapshot: Snapshot,
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
            step,
            made_from.get(head.action_key, ()),
            status.inputs,
            bound.neighbours(step, key),
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
    step: BoundStep,
    then: tuple[Dependency, ...],
    now: tuple[Dependency, ...],
    neighbours: Mapping[str, str],
) -> str:
    before = {item.role: item.sha256 for item in then if not item.role.startswith("member:")}
    after = {item.role: item.sha256 for item in now}
    if not before:  # what failed is recorded without its inputs
        return "input"
    changed = [role for role in after if before.get(role) != after[role]]
    differ = set(before) ^ set(after)
    if differ and all(role.startswith(_SIDES) for role in differ):
        return "neighbours"
    if differ and all(role.startswith("labels:") for role in differ):
        return f"input: {step.labels.get(_parameter(min(differ)), 'labels')}"
    if differ:
        return "scope"
    if not changed:
        return "input"
    role = changed[0]
    if role == "state":
        return "model"
    kind, _, rest = role.partition(":")
    if kind == "labels":
        return f"input: {step.labels.get(_parameter(role), 'labels')}"
    if kind in ("param", "lookup"):
        reference = step.references.get(_parameter(role))
        return "params" if reference is None else f"input: {reference.step}"
    name = step.inputs[int(rest.partition("/")[0])]
    return f"input: {name} of {neighbours[kind]}" if kind in neighbours else f"input: {name}"


def _parameter(role: str) -> str:
    """The parameter in a role such as ``lookup:scale`` or ``labels:labels/dish1/a``."""
    return role.partition(":")[2].partition("/")[0]


def waiting_for(
    reads: Iterable[tuple[str, str, EntryStatus]], shared: EntryStatus | None = None
) -> EntryStatus | None:
    """What an entry waits for: something that stopped counts first, then its own inputs."""
    late = [] if shared is None else [shared]
    found = [passed_on(status, name) for _, name, status in reads if status.state not in DONE]
    return next((status for status in (*found, *late) if status.state in STOPPED), None) or next(
        iter((*found, *late)), None
    )


def waiting_for_all(reads: Iterable[tuple[str, str, EntryStatus]]) -> EntryStatus | None:
    """What keeps a callback from running: something not made yet, or nothing there at all."""
    found = list(reads)
    for _, name, status in found:
        if status.state in PENDING:
            return EntryStatus(status.state, name)
    if found and not any(status.state in DONE for _, _, status in found):
        return waiting_for(found)
    return None


def passed_on(status: EntryStatus, name: str) -> EntryStatus:
    """What a status above means below it, named after the step it comes from."""
    if status.state == "blocked":
        return EntryStatus("blocked", status.reason)
    if status.state == "failed":
        return EntryStatus("blocked", f"{name} failed")
    return EntryStatus(status.state, name)


def not_ready(waiting: EntryStatus, head: Head | None) -> EntryStatus:
    """The status of what waits: blocked, or as out of date as its last record makes it."""
    if waiting.state == "blocked":
        return EntryStatus("blocked", waiting.reason, head=head)
    if head is None or head.state == "failed":
        return EntryStatus("missing", f"upstream: {waiting.reason}", head=head)
    return EntryStatus("stale", f"upstream: {waiting.reason}", head=head)
