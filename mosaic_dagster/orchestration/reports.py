"""The last asset of a pipeline: a table of what the run did, with the pictures it made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from mosaic_dagster.hashing import digest
from mosaic_dagster.orchestration.event_types import EntryEvent
from mosaic_dagster.orchestration.events import event_writer
from mosaic_dagster.orchestration.previews import frame_table, result_pictures
from mosaic_dagster.orchestration.run_session import RunSession
from mosaic_dagster.pipeline import Pipeline, RunReport, StepResult
from mosaic_dagster.pipeline.callbacks import export_folder
from mosaic_dagster.pipeline.status import STOPPED
from mosaic_dagster.reporting import write_report

_MOST_FAILURES = 100


def announce_report(
    context: dg.AssetExecutionContext, session: RunSession, pipeline: Pipeline, key: dg.AssetKey
) -> dg.Output[None]:
    """Announce the report of a pipeline; gives the output that the asset yields."""
    report = session.run.report(pipeline.name)
    writer = event_writer()
    event = EntryEvent(None, digest(_content(report)), report_metadata(session, pipeline, report))
    # Without a code version: a report tells of its own run, so it is never out of date.
    writer.materialized(context, key, "", [event])
    context.log.info(f"{key.to_user_string()}: {_last_words(report)}")
    return dg.Output(None, metadata=writer.output_metadata(context))


def report_metadata(session: RunSession, pipeline: Pipeline, report: RunReport) -> dict[str, Any]:
    """The table of steps, what failed, and the pictures of the pipeline's callbacks."""
    evaluation = session.run.evaluations[pipeline.name]
    callbacks = [
        StepResult.of(evaluation, name)
        for name, step in evaluation.bound.steps.items()
        if not step.has_entries
    ]
    metadata: dict[str, Any] = {
        "steps": frame_table(report.table()),
        "recordings": len(evaluation.bound.entries),
        "results_made": report.made,
        "failed": sum(len(step.failures) for step in report),
        "blocked": sum(len(step.blocked) for step in report),
        "exports": dg.MetadataValue.path(str(export_folder(session.dataset, pipeline.name))),
        "page": dg.MetadataValue.path(str(_page(session, pipeline))),
    }
    if not report.is_good:
        metadata["failures"] = frame_table(report.failures().head(_MOST_FAILURES))
    return metadata | result_pictures(callbacks)


def refuse_unfinished(session: RunSession, pipeline: Pipeline) -> None:
    """Fail a report whose session drew none of the pipeline's steps, while some are failed.

    Such a run (the report alone, or again after a failure) made nothing, so it cannot have mended
    what is recorded as failed.

    Raises
    ------
    dagster.Failure
        Names the first of what failed or is blocked.
    """
    run = session.run
    if any(name == pipeline.name for name, _ in run.reports):
        return
    evaluation = run.evaluations[pipeline.name]
    units = {step: evaluation.units(step) for step in evaluation.bound.steps}
    ingested = {
        name: {k: s for k, s in evaluation.entries(name).items() if k in evaluation.bound.entries}
        for name in run.ingested
    }
    stopped = [
        f"{step} {key or '(fit)'}"
        for step, statuses in (ingested | units).items()
        for key, status in statuses.items()
        if status.state in STOPPED
    ]
    if stopped:
        shown = ", ".join(stopped[:5])
        raise dg.Failure(
            f"{len(stopped)} results are failed or blocked: {shown}. `mosaic run` tries again.",
            allow_retries=False,
        )


def _last_words(report: RunReport) -> str:
    found = sum(step.fresh + step.adopted for step in report)
    failed = sum(len(step.failures) for step in report)
    blocked = sum(len(step.blocked) for step in report)
    return f"{report.made} results made, {found} found, {failed} failed, {blocked} blocked."


def _page(session: RunSession, pipeline: Pipeline) -> Path:
    """The page to send around; one that says the same already is left as it is."""
    return write_report(session.dataset, pipeline, redraw=False).path


def _content(report: RunReport) -> dict[str, Any]:
    rows = [{k: v for k, v in step.row().items() if k != "seconds"} for step in report]
    return {"steps": rows, "failures": report.failures().to_dicts()}
