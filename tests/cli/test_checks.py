"""Checks that do not hold, as `mosaic status` tells them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mosaic_dagster.cli.checks import check_lines, failed_checks
from mosaic_dagster.quality import Finding, ValueRange, Verdict


def with_limit(project: Path, limit: str) -> None:
    """Give kinematics of the declared pipeline a limit of its speed."""
    file = project / "assets" / "larvae.py"
    old = '"speed-angvel", {}, ["smooth", "heading"])'
    text = file.read_text()
    assert old in text
    new = f'{old[:-1]}, checks=[ValueRange("speed", {limit})])'
    text = text.replace(old, new)
    file.write_text(
        text.replace(
            "\n\nN_CLUSTERS", "\nfrom mosaic_dagster.quality import ValueRange\n\nN_CLUSTERS", 1
        )
    )


@pytest.mark.slow
def test_status_lists_what_does_not_hold(made: Path, project: Path, mosaic: Any) -> None:
    """A speed is never negative, and never below a millionth for long."""
    assert mosaic.json(made, "status")["checks"] == []
    assert "Checks that" not in mosaic(made, "status").stdout
    with_limit(project, "high=1e-6")
    (row,) = mosaic.json(project, "status")["checks"]
    assert (row["step"], row["check"], row["severity"]) == ("kinematics", "value_range", "warn")
    assert len(row["findings"]) == row["judged"] == 4
    text = mosaic(project, "status").stdout
    assert "Checks that do not hold:" in text
    assert "crawling/kinematics value_range (warn): " in text
    assert "failed" not in text


@pytest.mark.slow
def test_what_a_blocking_check_refuses_is_told_as_failed(project: Path, mosaic: Any) -> None:
    """Nothing was computed yet by the new rule, and still nothing below may count as good."""
    with_limit(project, "high=1e-6, blocking=True")
    told = mosaic.json(project, "status")
    states = {(row["step"], row["state"]) for row in told["entries"]}
    assert ("kinematics", "failed") in states
    assert ("clusters", "blocked") in states
    assert all("above 1e-06" in r["error"] for r in told["entries"] if r["step"] == "kinematics")


def test_errors_come_first_and_blocking_is_named() -> None:
    rows = [
        {"pipeline": "p", "step": "a", "check": "drift", "severity": "warn", "blocking": False,
         "told": "far."},
        {"pipeline": "p", "step": "b", "check": "range", "severity": "error", "blocking": True,
         "told": "high."},
    ]  # fmt: skip
    assert check_lines(rows) == ["p/b range (blocking): high.", "p/a drift (warn): far."]


def test_findings_without_a_number_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN in JSON breaks whoever reads it with another tool."""

    findings = [
        Finding("a", "v", float("nan"), 0.0, "gone"),
        Finding("b", "v", -float("inf"), 0.0, ""),
    ]
    judged = SimpleNamespace(
        pipeline="p", step="s", verdict=Verdict(ValueRange("v", 0), findings, 2)
    )
    run: Any = SimpleNamespace(dataset=SimpleNamespace(name="d"))
    monkeypatch.setattr("mosaic_dagster.cli.checks.verdicts_of_run", lambda _: [judged])
    (row,) = failed_checks(run)
    assert [found["measured"] for found in row["findings"]] == [None, "-inf"]
    json.dumps(row, allow_nan=False)
