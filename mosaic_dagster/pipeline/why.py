"""Why one entry of a step is as it is, and what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.errors import ScopeError
from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.overlap import AFTER, BEFORE
from mosaic_dagster.pipeline.run import DatasetRun
from mosaic_dagster.pipeline.staleness import Evaluation
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus
from mosaic_dagster.pipeline.steps import is_ingested
from mosaic_dagster.pipeline.work import error_message
from mosaic_dagster.store import Dependency


@dataclass
class Explanation:
    """State, reason and lineage of one entry of a step.

    Attributes
    ----------
    step, entry, state, reason
        What is explained; ``entry`` is empty for a fitted state.
    run_id, made_by
        Run id of the step now, and the run id that made what is recorded.
    error
        Message of the last failure, if it is the last thing recorded.
    changes
        Role, digest then, digest now, of every input that differs; the role of a neighbour's
        table also names its step and entry.
    inputs
        Step and entries of every table that an up to date fit or callback was made from; the
        entry is empty for a fitted state, or for another callback.
    sources
        Raw files of the entry.
    upstream
        The same for what it is made from.
    """

    step: str
    entry: str
    state: str
    reason: str
    run_id: str = ""
    made_by: str = ""
    output_sha256: str = ""
    error: str = ""
    changes: list[tuple[str, str, str]] = field(default_factory=list)
    inputs: list[tuple[str, list[str]]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    upstream: list[Explanation] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        nested = ("upstream", "changes", "inputs")
        told = {k: v for k, v in self.__dict__.items() if k not in nested}
        told["inputs"] = [{"step": step, "entries": keys} for step, keys in self.inputs]
        told["changes"] = [
            {"input": role, "then": then, "now": now} for role, then, now in self.changes
        ]
        told["upstream"] = [up.to_dict() for up in self.upstream]
        return told


def explain(run: DatasetRun, pipeline: str, step: str, key: str) -> Explanation:
    """Explain one entry of a step, with everything above it.

    Parameters
    ----------
    run
        What is known about the dataset.
    pipeline, step
        The step; ``tracks`` for the tracks themselves.
    key
        Entry key, or empty for the step's fitted state.

    Raises
    ------
    UnknownStepError
        The pipeline has no such step.
    ScopeError
        The entry is not in the scope of the pipeline.
    """
    seen: dict[tuple[str, str], Explanation] = {}
    return _explain(run, pipeline, step, key, seen)


def _explain(
    run: DatasetRun,
    pipeline: str,
    step: str,
    key: str,
    seen: dict[tuple[str, str], Explanation],
) -> Explanation:
    if (step, key) in seen:
        return seen[(step, key)]
    if step in run.ingested:
        state = run.ingested[step]
        told = _told(run.dataset, state.statuses, step, key, state.run_id)
        told.sources = [str(source.path) for source in state.sources.get(key, ())]
        seen[(step, key)] = told
        return told
    evaluation = run.evaluations[pipeline]
    evaluation.bound.graph.require(step)
    bound = evaluation.bound.steps[step]
    told = _told(run.dataset, evaluation.units(step), step, key, bound.run_id)
    seen[(step, key)] = told
    above = [(ref.step, MODEL) for ref in bound.references.values() if ref.artifact is not None]
    if key != MODEL:
        above += [(name, key) for name in bound.inputs]
        beside = evaluation.bound.neighbours(bound, key)
        above += [(name, near) for near in beside.values() for name in bound.inputs]
        told.changes = [(_clear(role, bound, beside), t, n) for role, t, n in told.changes]
        above += [(r.step, key) for r in bound.references.values() if r.artifact is None]
        labels = bound.labels.values()
        above += [(name, key) for name in labels if key in evaluation.entries(name)]
        if bound.is_fitted:
            above.append((step, MODEL))
    else:
        above += _late_inputs(evaluation, bound)
        if told.state in DONE:
            told.inputs = _inputs_of_whole(evaluation, bound)
    told.upstream = [_explain(run, pipeline, name, entry, seen) for name, entry in above]
    return told


def _clear(role: str, step: BoundStep, beside: Mapping[str, str]) -> str:
    """A role, with the step and the entry it stands for where the entry is a neighbour."""
    side, _, position = role.partition(":")
    if side not in (BEFORE, AFTER):
        return role
    name = step.inputs[int(position)]
    return f"{role} ({name} of {beside[side]})" if side in beside else f"{role} ({name})"


def _late_inputs(evaluation: Evaluation, step: BoundStep) -> list[tuple[str, str]]:
    """What a fit on entries, or a callback, reads and is not fresh."""
    if not (step.fits_on_entries or step.is_callback):
        return []
    late = []
    for name in (*step.inputs, *step.labels.values()):
        units = evaluation.entries(name) if is_ingested(name) else evaluation.units(name)
        keys = [key for key in (MODEL, *evaluation.bound.entries) if key in units]
        late += [(name, key) for key in keys if units[key].state != "fresh"]
    return late


def _inputs_of_whole(evaluation: Evaluation, step: BoundStep) -> list[tuple[str, list[str]]]:
    """What a fit on entries, or a callback, was made from, while it is up to date."""
    if step.is_callback:
        return [(name, _usable_of(evaluation, name)) for name in step.inputs]
    if not step.fits_on_entries:
        return []
    used, _ = evaluation.usable(step)
    read = [(name, set(evaluation.entries(name))) for name in (*step.inputs, *step.labels.values())]
    return [(name, [key for key in used if key in there]) for name, there in read]


def _usable_of(evaluation: Evaluation, name: str) -> list[str]:
    """What of a step a callback could reach; tracks and labels only within the scope."""
    units = evaluation.entries(name) if is_ingested(name) else evaluation.units(name)
    keys = (MODEL, *evaluation.bound.entries)
    return [key for key in keys if key in units and units[key].state in DONE]


def _told(dataset: Dataset, statuses: Any, step: str, key: str, run_id: str) -> Explanation:
    status: EntryStatus | None = statuses.get(key)
    if status is None:
        msg = f"Step {step!r} has no entry {key!r}."
        raise ScopeError(msg, "`mosaic status --json` lists the entries of each step.")
    head = status.head
    told = Explanation(step, key, status.state, status.reason, run_id)
    if head is not None:
        told.made_by = head.run_id
        failed = error_message(head.error) if head.state == "failed" else ""
        told.error = status.error or failed
        told.output_sha256 = head.output_sha256 or ""
        if status.inputs and head.action_key != status.action_key:
            then = dataset.registry.dependencies_of([head.action_key]).get(head.action_key, ())
            told.changes = _changes(then, status.inputs)
    if status.result is not None and status.result.output_sha256:
        told.output_sha256 = status.result.output_sha256
        told.made_by = status.result.made_by
    return told


def _changes(
    then: tuple[Dependency, ...], now: tuple[Dependency, ...]
) -> list[tuple[str, str, str]]:
    before = {d.role: d.sha256 for d in then if not d.role.startswith("member:")}
    after = {d.role: d.sha256 for d in now}
    roles = sorted({*before, *after})
    return [
        (role, before.get(role, ""), after.get(role, ""))
        for role in roles
        if before.get(role) != after.get(role)
    ]
