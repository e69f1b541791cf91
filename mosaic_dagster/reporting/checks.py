"""What the rules of the steps say about their results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mosaic_dagster.pipeline.quality_gate import verdicts_of
from mosaic_dagster.pipeline.status import MODEL
from mosaic_dagster.quality import Verdict
from mosaic_dagster.reporting.subject import Subject, digest_of


@dataclass(frozen=True)
class CheckFinding:
    """What a check found out about one result.

    Attributes
    ----------
    check, severity
        Name of the check, and how bad it is: ``warn`` or ``error``.
    message
        What it found.
    step, entry
        Where; the entry is empty when it is about all of them.
    run_id, digest
        What it looked at.
    """

    check: str
    severity: str
    message: str
    step: str = ""
    entry: str = ""
    run_id: str = ""
    digest: str = ""


@dataclass(frozen=True)
class CheckFacts:
    """What came of one rule of one step.

    Attributes
    ----------
    step, check, asks, severity
        The rule.
    passed, judged, unmeasured, found
        Whether it holds; how many results it was asked about, how many it could not be asked
        about, and how many do not keep it.
    run_id, digest
        What it looked at.
    """

    step: str
    check: str
    asks: str
    severity: str
    passed: bool
    judged: int
    unmeasured: int
    found: int
    run_id: str
    digest: str


def checks(subject: Subject) -> tuple[list[CheckFacts], list[CheckFinding]]:
    """What came of every rule, and what does not keep one."""
    told: list[CheckFacts] = []
    found: list[CheckFinding] = []
    for step in subject.steps:
        for verdict in verdicts_of(subject.evaluation, step):
            if verdict.judged or verdict.findings or verdict.unmeasured:
                told.append(_facts(subject, step, verdict))
                found += _findings(subject, step, verdict)
    return told, sorted(found, key=lambda finding: finding.severity != "error")


def _facts(subject: Subject, step: str, verdict: Verdict) -> CheckFacts:
    trace = subject.trace(step)
    return CheckFacts(
        step=step,
        check=verdict.rule.label,
        asks=verdict.rule.asks,
        severity=verdict.rule.level,
        passed=verdict.passed,
        judged=verdict.judged,
        unmeasured=len(verdict.unmeasured),
        found=len(verdict.findings),
        run_id=trace.run_id,
        digest=trace.digest,
    )


def _findings(subject: Subject, step: str, verdict: Verdict) -> Iterator[CheckFinding]:
    units = subject.units(step)
    for finding in verdict.findings:
        status = units.get(finding.entry or MODEL)
        yield CheckFinding(
            check=verdict.rule.label,
            severity=verdict.rule.level,
            message=finding.words,
            step=step,
            entry=finding.entry,
            run_id=subject.run_id(step),
            digest="" if status is None else digest_of(status),
        )
