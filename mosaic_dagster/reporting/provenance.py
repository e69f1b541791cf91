"""The sections for those who check: graph, states, parameters, versions and digests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mosaic_dagster.reporting.checks import CheckFacts
from mosaic_dagster.reporting.content import Content
from mosaic_dagster.reporting.facts import ReportFacts
from mosaic_dagster.reporting.markup import TRACED, Markup, behind, figure, joined, table, tag
from mosaic_dagster.reporting.step_facts import STATES, StepFacts
from mosaic_dagster.reporting.words import seconds_text, size_text, time_text

_HOW = (
    "The digest of one result is the sha256 of its stored bytes. The digest of a step with a "
    "result for each recording is the sha256 of the lines “recording digest”, one for each result "
    "that is up to date, sorted and joined by line feeds; a fit does not count and has a digest of "
    "its own. A picture or a table names the digest over the recordings that it was made from. The "
    "run id names the declaration of a step: its feature, version and parameters, and those of the "
    "steps above it."
)


def steps(content: Content) -> Markup:
    """The graph, how each step stands, and what it was asked to do."""
    facts = content.facts
    shown = [state for state in STATES if state == "fresh" or facts.counts[state]]
    headers = ("step", *shown, "fit", "last made (UTC)", "computing", "stored", *TRACED)
    n = len(shown)
    states = table(
        "Results by state",
        headers,
        (_state_row(step, shown) for step in facts.steps),
        numbers=(*range(1, n + 1), n + 3, n + 4),
    )
    asked = [step for step in facts.steps if step.feature]
    parameters = table(
        "What each step does",
        ("step", "feature", "version", "reads", "parameters"),
        map(_asked_row, asked),
        class_="asked",
    )
    why = [(step.name, step.reason) for step in facts.steps if step.reason]
    reasons = table("Why results are not up to date", ("step", "reasons"), why) if why else ""
    return joined([*map(figure, content.graph), states, reasons, parameters, _rules(facts)])


def provenance(facts: ReportFacts) -> Markup:
    """Run ids, digests and versions."""
    rows = [row for step in facts.steps for row in _digest_rows(step)]
    headers = ("step", "feature", "version", "results", "run id", "digest")
    installed = [(name, version) for name, version in facts.versions.items()]
    return joined(
        [
            tag("p", _HOW),
            table("Digests", headers, rows, numbers=(3,), class_="full"),
            table(
                "Versions where this page was written", ("package", "version"), installed
            ),
        ]
    )  # fmt: skip


def _rules(facts: ReportFacts) -> Markup:
    rows = [
        (c.step, c.check, c.asks, _held(c), f"{c.judged:,}", *behind(c.run_id, c.digest))
        for c in facts.checks
    ]
    headers = ("step", "check", "what it asks", "result", "judged", *TRACED)
    told = "Rules about the results of steps"
    return table(told, headers, rows, numbers=(4,)) if rows else Markup("")


def _held(check: CheckFacts) -> Markup:
    left = f"; {check.unmeasured:,} not measured" if check.unmeasured else ""
    if check.passed:
        return state_cell("passed" if check.judged else "not judged", left)
    return state_cell(check.severity, f": {check.found:,} found{left}")


def state_cell(state: str, more: str = "") -> Markup:
    """A state, or what came of a check, in its colour."""
    return tag("span", state, more, class_=_KINDS.get(state, "late"))


_KINDS = {
    "fresh": "good", "empty": "good", "passed": "good", "failed": "bad", "blocked": "bad",
    "error": "bad",
}  # fmt: skip


def _state_row(step: StepFacts, shown: Sequence[str]) -> tuple[object, ...]:
    counts = (f"{step.counts[state]:,}" if step.counts[state] else "" for state in shown)
    trace = step.trace or step.fit
    return (
        step.name, *counts, step.model, time_text(step.modified), seconds_text(step.seconds),
        size_text(step.bytes), *behind(step.run_id, "" if trace is None else trace.digest),
    )  # fmt: skip


def _asked_row(step: StepFacts) -> tuple[object, ...]:
    given, rest = _listed(step.params), _listed(step.defaults)
    told = [tag("span", given)] if given else []
    if rest:
        told.append(tag("span", f"(defaults: {rest})", class_="aside"))
    name = joined([step.feature, tag("br"), tag("span", step.description, class_="aside")])
    return step.name, name, step.version, ", ".join(step.inputs), joined(told, " ")


def _listed(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in params.items())


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _digest_rows(step: StepFacts) -> Iterator[tuple[object, ...]]:
    for trace in (step.fit, step.trace):
        if trace is not None:
            yield (
                trace.step, step.feature or "reading", step.version, f"{trace.results:,}",
                tag("code", trace.run_id), tag("code", trace.digest or "–"),
            )  # fmt: skip
