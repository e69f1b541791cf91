"""What ``mosaic status`` says of checks that do not hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.quality_gate import verdicts_of_run
from mosaic_dagster.quality import Finding

TITLE = "Checks that do not hold:"


def failed_checks(run: DatasetRun) -> list[dict[str, Any]]:
    """One row for each check of each step that does not hold, with what was found."""
    return [
        {
            "dataset": run.dataset.name,
            "pipeline": judged.pipeline,
            "step": judged.step,
            "check": judged.verdict.rule.label,
            "severity": judged.verdict.rule.level,
            "blocking": judged.verdict.rule.blocking,
            "rule": judged.verdict.rule.asks,
            "told": judged.verdict.words,
            "judged": judged.verdict.judged,
            "not_measured": len(judged.verdict.unmeasured),
            "findings": [_row(finding) for finding in judged.verdict.findings],
        }
        for judged in verdicts_of_run(run)
        if not judged.verdict.passed
    ]


def check_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line about each of these checks, the errors first."""
    ordered = sorted(rows, key=lambda row: row["severity"] != "error")
    return [
        f"{row['pipeline']}/{row['step']} {row['check']} "
        f"({'blocking' if row['blocking'] else row['severity']}): {row['told']}"
        for row in ordered
    ]


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "entry": finding.entry,
        "column": finding.column,
        "measured": _number(finding.measured),
        "threshold": _number(finding.threshold),
        "told": finding.words,
    }


def _number(value: float) -> float | str | None:
    """A number that JSON can hold; None for none."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)
