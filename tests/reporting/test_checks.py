"""Rules of steps in the report."""

from __future__ import annotations

from collections.abc import Callable

from mosaic_dagster import Dataset, FeatureStep, Pipeline
from mosaic_dagster.quality import ValueRange
from mosaic_dagster.reporting import Subject, gather
from mosaic_dagster.reporting.words import checks_sentence


def test_what_does_not_keep_a_rule_is_listed(lab: Dataset, run: Callable[..., None]) -> None:
    """All go 1 mm in 0.1 s, twice the 5 mm/s allowed: four findings, each with its digest."""
    pipeline = Pipeline(name="walks").add(
        FeatureStep("speed", "speed-angvel", checks=[ValueRange("speed", high=5.0)])
    )
    run(pipeline, lab)
    facts = gather(Subject(lab, pipeline))
    (check,) = facts.checks
    assert (check.step, check.passed, check.found, facts.n_findings) == ("speed", False, 4, 4)
    digests = {h.key: h.output_sha256 for h in lab.registry.heads("walks")}
    assert {f.entry: f.digest for f in facts.findings} == digests
    assert "1 found something" in checks_sentence(facts)
