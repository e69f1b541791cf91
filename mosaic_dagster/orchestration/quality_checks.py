"""The rules of a step as Dagster's asset checks: what is declared, and what came of it.

The checks are part of the asset that they are about, so a run that makes the asset judges it.
Dagster's own way of blocking would stop the good entries with the bad ones; what a blocking rule
refuses is a failed entry of the step instead (``mosaic_dagster.pipeline.quality_gate``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from mosaic_dagster.orchestration.asset_keys import model_key, step_key
from mosaic_dagster.orchestration.run_session import RunSession
from mosaic_dagster.pipeline import Pipeline, Study, TrainingStep
from mosaic_dagster.pipeline.quality_gate import verdicts_of
from mosaic_dagster.pipeline.selection import StepStream
from mosaic_dagster.pipeline.steps import Step
from mosaic_dagster.quality import Finding, Rule, Verdict

_MOST_ROWS = 20
_SEVERITY = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


def checked_key(dataset: str, pipeline: str, step: Step) -> dg.AssetKey:
    """The asset of a step that its rules are about: its models, if it trains any."""
    make = model_key if isinstance(step, TrainingStep) else step_key
    return make(dataset, pipeline, step.name)


def check_keys(study: Study, pipeline: Pipeline) -> list[dg.AssetCheckKey]:
    """Keys of all checks of a pipeline on a dataset."""
    return [
        dg.AssetCheckKey(checked_key(study.dataset.name, pipeline.name, step), rule.label)
        for step in pipeline.steps
        for rule in step.rules
    ]


def check_specs(asset: dg.AssetKey, rules: Sequence[Rule]) -> list[dg.AssetCheckSpec]:
    """What an asset says of its checks before anything is judged."""
    return [
        dg.AssetCheckSpec(
            rule.label,
            asset=asset,
            description=rule.asks + (" What does not is refused." if rule.blocking else ""),
            metadata={"severity": rule.level, "blocking": rule.blocking},
        )
        for rule in rules
    ]


def check_results(
    context: dg.AssetExecutionContext, session: RunSession, stream: StepStream, asset: dg.AssetKey
) -> Iterator[dg.AssetCheckResult]:
    """What came of the checks of an asset that were selected, over its whole scope.

    Parameters
    ----------
    context, session
        The running step, and the run that it is part of.
    stream
        What the step made, drawn to its end.
    asset
        The asset, which is the one that the rules of the stream's step are about.
    """
    chosen = {key.name for key in context.op_execution_context.selected_asset_check_keys}
    if not chosen:
        return
    for verdict in verdicts_of(session.run.evaluations[stream.pipeline], stream.step):
        if verdict.rule.label in chosen:
            yield check_result(asset, verdict)


def check_result(asset: dg.AssetKey, verdict: Verdict) -> dg.AssetCheckResult:
    """A verdict as Dagster shows it."""
    metadata: dict[str, Any] = {
        "rule": verdict.rule.asks,
        "judged": verdict.judged,
        "not measured": len(verdict.unmeasured),
        "found": len(verdict.findings),
        "blocking": verdict.rule.blocking,
    }
    if verdict.findings:
        worst = sorted(verdict.findings, key=_distance, reverse=True)[:_MOST_ROWS]
        metadata["worst"] = dg.MetadataValue.table([_record(finding) for finding in worst])
    return dg.AssetCheckResult(
        passed=verdict.passed,
        asset_key=asset,
        check_name=verdict.rule.label,
        severity=_SEVERITY[verdict.rule.level],
        description=verdict.words,
        metadata=metadata,
    )


def _distance(finding: Finding) -> float:
    """How far off something is; what has no number is farthest."""
    away = abs(finding.measured - finding.threshold)
    return math.inf if math.isnan(away) else away


def _record(finding: Finding) -> dg.TableRecord:
    # Numbers as text: NaN and infinity are no JSON.
    return dg.TableRecord(
        {
            "entry": finding.entry,
            "column": finding.column,
            "measured": f"{finding.measured:.6g}",
            "threshold": f"{finding.threshold:.6g}",
            "what": finding.words,
        }
    )
