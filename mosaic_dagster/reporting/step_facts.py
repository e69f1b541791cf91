"""How each step of a pipeline stands: what it computes, how far it is, what stands behind it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.plan import reasons_text, status_of_run
from mosaic_dagster.pipeline.status import DONE, EntryStatus, step_state
from mosaic_dagster.pipeline.steps import TRACKS, CallbackStep
from mosaic_dagster.reporting.subject import Subject, Trace

STATES = ("fresh", "empty", "stale", "missing", "failed", "blocked")
"""States of results in the order in which they are told."""


@dataclass(frozen=True)
class StepFacts:
    """How one step stands.

    Attributes
    ----------
    name, kind
        The step, and ``recordings``, ``labels``, ``per recording``, ``fitted``, ``training`` or
        ``callback``.
    feature, version, description
        What it computes.
    inputs
        What it needs.
    params
        Parameters that it was declared with, and ``defaults``, the others.
    state, counts, reason
        One word for all, numbers of results by state, and why not all are up to date. The fit
        counts as one result where there is nothing else.
    model
        State of the fit, if there is one beside the recordings.
    modified
        When a result was last recorded (UTC).
    seconds, bytes, rows
        Of all results that are up to date: computing time over all workers, bytes in the store.
    run_id
        The declaration.
    trace, fit
        What stands behind the numbers.
    """

    name: str
    kind: str
    feature: str
    version: str
    description: str
    inputs: tuple[str, ...]
    params: dict[str, Any]
    defaults: dict[str, Any]
    state: str
    counts: dict[str, int]
    reason: str
    model: str
    modified: datetime | None
    seconds: float
    bytes: int
    rows: int
    run_id: str
    trace: Trace | None
    fit: Trace | None

    @property
    def good(self) -> int:
        """Results that are up to date."""
        return self.counts["fresh"] + self.counts["empty"]


def step_facts(subject: Subject) -> Iterator[StepFacts]:
    """Facts of the tracks, of labels that are read, and of every step, in this order."""
    for name in subject.ingested:
        statuses = list(subject.units(name).values())
        counted = Counter(str(s.state) for s in statuses)
        row: dict[str, Any] = {"reason": reasons_text(statuses), "model": "", "run_id": ""}
        row |= {"state": step_state(s.state for s in statuses)}
        row |= {f"n_{state}": counted[state] for state in STATES}
        yield _ingested_facts(subject, name, row)
    table = status_of_run(subject.run)
    rows = {r["step"]: r for r in table.filter(pl.col("pipeline") != "").iter_rows(named=True)}
    for name, bound in subject.steps.items():
        yield _step_facts(subject, bound, rows[name])


def _ingested_facts(subject: Subject, name: str, row: dict[str, Any]) -> StepFacts:
    kind = "recordings" if name == TRACKS else "labels"
    told = "Recordings as they were read." if name == TRACKS else "Labels as they were read."
    return _facts(
        subject, name, row, kind=kind, feature="", version="", description=told, inputs=(),
        params={}, defaults={}, fit=None,
    )  # fmt: skip


def _step_facts(subject: Subject, bound: BoundStep, row: dict[str, Any]) -> StepFacts:
    given, defaults = _params(bound)
    own = bound.step.version if isinstance(bound.step, CallbackStep) else ""
    version = own or bound.feature_cls.version
    return _facts(
        subject, bound.name, row,
        kind=_kind(bound),
        feature=bound.feature_name,
        version=version[:12],
        description=bound.step.summary.replace("``", ""),
        inputs=tuple(subject.pipeline.graph().upstream[bound.name]),
        params=given,
        defaults=defaults,
        fit=subject.trace_of_fit(bound.name) if bound.is_fitted else None,
    )  # fmt: skip


def _facts(subject: Subject, name: str, row: dict[str, Any], **told: Any) -> StepFacts:
    units = list(subject.units(name).values())
    made = {
        s.result.output_sha256: s.result for s in units if s.state in DONE and s.result is not None
    }
    bound = subject.steps.get(name)
    has_trace = bound is None or bound.has_entries or not bound.is_fitted
    return StepFacts(
        name=name,
        state=row["state"],
        counts={state: int(row[f"n_{state}"]) for state in STATES},
        reason=row["reason"],
        model=row["model"],
        modified=_modified(units),
        seconds=round(sum(s.result.seconds for s in units if s.state in DONE and s.result), 3),
        bytes=sum(result.bytes for result in made.values()),
        rows=subject.rows(name),
        run_id=subject.run_id(name),
        trace=subject.trace(name) if has_trace else None,
        **told,
    )


def _modified(units: Sequence[EntryStatus]) -> datetime | None:
    return max((s.head.updated_at for s in units if s.head is not None), default=None)


def _kind(bound: BoundStep) -> str:
    if bound.trains:
        return "training"
    if bound.is_callback:
        return "callback"
    return "fitted" if bound.is_fitted else "per recording"


def _params(bound: BoundStep) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters that were given, and the others; references as text."""
    step = bound.step
    if isinstance(step, CallbackStep):
        return {name: plain(value) for name, value in step.params.items()}, {}
    assert bound.params is not None
    values = {name: plain(value) for name, value in bound.params.identity().items()}
    for name, ref in bound.references.items():
        values[name] = f"{ref.artifact or ref.column or 'table'} of {ref.step}"
    options = bound.options.model_dump(exclude_defaults=True, exclude={"overwrite"})
    asked = {f"run: {name}": plain(value) for name, value in options.items()}
    named = set(step.checked_params.model_fields_set)
    given = {name: value for name, value in values.items() if name in named}
    return given | asked, {n: v for n, v in values.items() if n not in given}


def plain(value: Any) -> Any:
    """A value in the types that JSON has."""
    return json.loads(json.dumps(value, default=str))
