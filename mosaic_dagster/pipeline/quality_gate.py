"""Blocking checks: a result that one refuses counts as failed, and stays where it is.

The result keeps its key and its object. Nothing is computed again for it, since that would give
the same bytes; when the rule changes, or goes, it is fresh again as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mosaic_dagster.pipeline.entry_states import unfinished
from mosaic_dagster.pipeline.quality_facts import Measured as Measured
from mosaic_dagster.pipeline.quality_facts import facts_about
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus
from mosaic_dagster.quality import Verdict, judge, refusals

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.binding import BoundStep
    from mosaic_dagster.pipeline.run import DatasetRun
    from mosaic_dagster.pipeline.selection import StepStream
    from mosaic_dagster.pipeline.staleness import Evaluation


def refuse(
    evaluation: Evaluation, name: str, units: Mapping[str, EntryStatus]
) -> Mapping[str, EntryStatus]:
    """The states of what a step makes, with what its blocking rules refuse as failed."""
    step = evaluation.bound.steps[name]
    rules = [rule for rule in step.step.rules if rule.blocking]
    if not rules or not any(status.state in DONE for status in units.values()):
        return units
    found = dict(refusals(rules, facts_about(evaluation, step, rules, units, measure=True)))
    if found and MODEL in units and MODEL not in found:
        entry, words = next(iter(found.items()))
        found = {MODEL: f"{words} ({entry})"}
    return {
        key: _refused(status, found[key]) if key in found and status.state in DONE else status
        for key, status in units.items()
    }


def refuse_one(
    evaluation: Evaluation, name: str, evaluate: Callable[[BoundStep], EntryStatus]
) -> EntryStatus:
    """The same for what a callback makes of the whole scope; rules are never about a fit."""
    step = evaluation.bound.steps[name]
    status = evaluate(step)
    return refuse(evaluation, name, {MODEL: status})[MODEL] if step.is_callback else status


def settle(evaluation: Evaluation, stream: StepStream) -> dict[str, str]:
    """Count what of a stream waited for the checks; gives what they found, by refused key."""
    units = evaluation.units(stream.step)
    refused = {key: status.error for key, status in unfinished(units) if status.error}
    for outcomes, adopted in stream.held:
        stream.report.add(outcomes, adopted, refused)
    stream.held.clear()
    evaluation.measured.record()
    return refused


def _refused(status: EntryStatus, words: str) -> EntryStatus:
    label = words.partition(":")[0]
    return replace(status, state="failed", reason=f"refused by check {label}", error=words)


@dataclass(frozen=True)
class StepVerdict:
    """What came of one rule of one step."""

    pipeline: str
    step: str
    verdict: Verdict


def verdicts_of(evaluation: Evaluation, step: str) -> list[Verdict]:
    """What comes of each rule of a step, as far as its results are measured.

    What a blocking rule needs is measured anyway.
    """
    bound = evaluation.bound.steps[step]
    rules = bound.step.rules
    if not rules:
        return []
    return judge(rules, facts_about(evaluation, bound, rules, evaluation.units(step)))


def verdicts_of_run(run: DatasetRun) -> list[StepVerdict]:
    """What comes of each rule of every step of a run."""
    with run.dataset.registry.session():
        return [
            StepVerdict(name, step, verdict)
            for name, evaluation in run.evaluations.items()
            for step in evaluation.bound.steps
            for verdict in verdicts_of(evaluation, step)
        ]
