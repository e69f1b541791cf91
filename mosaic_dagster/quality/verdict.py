"""Judging a step by its rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mosaic_dagster.errors import PipelineDefinitionError
from mosaic_dagster.quality.drift import Drift
from mosaic_dagster.quality.facts import Facts
from mosaic_dagster.quality.rule import Finding, Rule
from mosaic_dagster.quality.rules import MissingShare, ScoreDrop, UniqueRows

DEFAULT_CHECKS: tuple[Rule, ...] = (UniqueRows(), MissingShare(0.5), Drift(10.0))
"""What a feature step with rows per frame is checked for unless it says otherwise: warnings."""

DEFAULT_SUMMARY_CHECKS: tuple[Rule, ...] = (UniqueRows(),)
"""The same where rows stand for something else than frames, and gaps may be meant."""

DEFAULT_TRAINING_CHECKS: tuple[Rule, ...] = (ScoreDrop(0.1),)
"""The same for a training step."""


@dataclass(frozen=True)
class Verdict:
    """What came of one rule.

    Parameters
    ----------
    rule
        The rule.
    findings
        What does not keep it.
    judged
        Number of entries that were looked at.
    unmeasured
        Entries about which nothing is known.
    """

    rule: Rule
    findings: Sequence[Finding]
    judged: int
    unmeasured: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing was found; what was not measured does not count."""
        return not self.findings

    @property
    def words(self) -> str:
        """The verdict in a sentence or two."""
        parts = []
        if self.findings:
            first = self.findings[0]
            where = f"{first.entry}: " if first.entry else ""
            more = len(self.findings) - 1
            parts.append(f"{where}{first.words}" + (f"; and {more} more" if more else "") + ".")
        elif self.judged:
            parts.append(f"{self.rule.asks} {self.judged} judged.")
        else:
            parts.append("Nothing to judge.")
        if self.unmeasured:
            parts.append(f"{len(self.unmeasured)} not measured.")
        return " ".join(parts)


def judge(rules: Iterable[Rule], facts: Facts) -> list[Verdict]:
    """One verdict per rule."""
    return [
        Verdict(
            rule,
            tuple(rule.judge(facts)),
            rule.judged(facts),
            tuple(facts.unmeasured) if rule.reads_profiles else (),
        )
        for rule in rules
    ]


def refusals(rules: Iterable[Rule], facts: Facts) -> Mapping[str, str]:
    """Why each entry that a blocking rule refuses is refused; the first rule counts."""
    found: dict[str, str] = {}
    for verdict in judge([rule for rule in rules if rule.blocking], facts):
        for finding in verdict.findings:
            found.setdefault(finding.entry, f"{verdict.rule.label}: {finding.words}.")
    return found


def check_rules(step: str, rules: Sequence[Rule]) -> None:
    """Refuse rules that could not be told apart, or are none.

    Raises
    ------
    PipelineDefinitionError
        Something is no rule, or two rules have one name.
    """
    names: list[str] = []
    for rule in rules:
        if not isinstance(rule, Rule):
            msg = f"A check of step {step!r} is {rule!r}, which is no rule."
            raise PipelineDefinitionError(msg, "Rules are in mosaic_dagster.quality.")
        if rule.label in names:
            msg = f"Step {step!r} has two checks called {rule.label!r}."
            raise PipelineDefinitionError(msg, "Give one of them another name=….")
        names.append(rule.label)
