"""Where a pipeline stands, as an asset check of its report: the same as ``mosaic status`` says.

Dagster knows a result as out of date by what it was told of: code versions, and data versions of
what stands above. What files, lost objects, failures and cut-off mean is known to the registry
alone, and said here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.orchestration.asset_keys import report_key
from mosaic_dagster.orchestration.previews import frame_table
from mosaic_dagster.pipeline import DatasetRun, Pipeline, Study
from mosaic_dagster.pipeline.entry_states import unfinished
from mosaic_dagster.pipeline.plan import status_of_run
from mosaic_dagster.pipeline.report import MODEL_LABEL
from mosaic_dagster.pipeline.status import DONE, MODEL
from mosaic_dagster.pipeline.steps import NO_PIPELINE
from mosaic_dagster.pipeline.work import error_message

UP_TO_DATE = "up_to_date"

_COUNTS = ("fresh", "stale", "missing", "failed", "blocked", "empty")
_MOST_ENTRIES = 50
_NAMED_STEPS = 3


def standing_key(study: Study, pipeline: Pipeline) -> dg.AssetCheckKey:
    """Key of the check ``up_to_date`` of a pipeline on a dataset."""
    return dg.AssetCheckKey(report_key(study.dataset.name, pipeline.name), UP_TO_DATE)


def standing_spec(study: Study, pipeline: Pipeline) -> dg.AssetCheckSpec:
    """What the check says of itself."""
    return dg.AssetCheckSpec(
        UP_TO_DATE,
        asset=report_key(study.dataset.name, pipeline.name),
        description="Whether every recording of every step is up to date, and why not; the same "
        f"as `mosaic status {pipeline.name}` said when the report was made. Materialize the report "
        "to look again.",
    )


def standing_results(
    context: dg.AssetExecutionContext, study: Study, dataset: Dataset, pipeline: Pipeline
) -> Iterator[dg.AssetCheckResult]:
    """Where the pipeline stands, if the run was asked for it; also says so in the log."""
    if standing_key(study, pipeline) in context.op_execution_context.selected_asset_check_keys:
        found = standing(dataset, study, pipeline)
        context.log.info(f"{pipeline.name}: {found.description}")
        yield found


def standing(dataset: Dataset, study: Study, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Where the steps of a pipeline, the tracks and the labels stand now; nothing is computed."""
    run = DatasetRun(dataset, study.pipelines)
    rows = status_of_run(run).filter(pl.col("pipeline").is_in([NO_PIPELINE, pipeline.name]))
    done = int((rows["n_fresh"] + rows["n_empty"]).sum())
    waiting = _waiting(run, pipeline.name)
    shown: dict[str, Any] = {
        "steps": frame_table(_told_steps(rows)),
        "up to date": f"{done} of {int(rows['n_target'].sum())}",
    }
    shown |= {name: int(rows[f"n_{name}"].sum()) for name in _COUNTS[1:5]}
    if waiting:
        shown["why"] = frame_table(pl.DataFrame(waiting[:_MOST_ENTRIES], infer_schema_length=None))
        shown["next"] = _advice(waiting[0])
    stopped = bool(shown["failed"] or shown["blocked"])
    return dg.AssetCheckResult(
        passed=not waiting,
        asset_key=report_key(study.dataset.name, pipeline.name),
        check_name=UP_TO_DATE,
        severity=dg.AssetCheckSeverity.ERROR if stopped else dg.AssetCheckSeverity.WARN,
        description=_in_words(rows, shown),
        metadata=shown,
    )


def _told_steps(rows: pl.DataFrame) -> pl.DataFrame:
    counts = [
        ", ".join(f"{row[f'n_{name}']} {name}" for name in _COUNTS if row[f"n_{name}"]) or "none"
        for row in rows.iter_rows(named=True)
    ]
    return rows.select(
        "step", "state", "model", pl.Series("entries", counts, dtype=pl.String), "reason", "run_id"
    )


def _waiting(run: DatasetRun, pipeline: str) -> list[dict[str, str]]:
    """Every entry, fit and callback that is not done."""
    units = [(name, "", state.statuses) for name, state in run.ingested.items()]
    evaluation = run.evaluations[pipeline]
    for name, bound in evaluation.bound.steps.items():
        units.append((name, MODEL_LABEL if bound.is_fitted else "", evaluation.units(name)))
    found = []
    for step, whole, statuses in units:
        for key, status in unfinished(statuses):
            if status.state in DONE:
                continue
            head = status.head
            error = status.error or (
                error_message(head.error) if head is not None and status.state == "failed" else ""
            )
            found.append(
                {"step": step, "recording": whole if key == MODEL else key,
                 "state": status.state, "why": error or status.reason}
            )  # fmt: skip
    return found


def _in_words(rows: pl.DataFrame, shown: dict[str, Any]) -> str:
    told = f"Up to date: {shown['up to date']}"
    others = [f"{shown[name]} {name}" for name in _COUNTS[1:5] if shown[name]]
    if others:
        told += f"; {', '.join(others)}"
    late = rows.filter(~pl.col("state").is_in(["fresh", "empty"]))
    named = late.head(_NAMED_STEPS).iter_rows(named=True)
    reasons = [f"{row['step']}: {row['reason']}" if row["reason"] else row["step"] for row in named]
    more = f" and {late.height - _NAMED_STEPS} more steps" if late.height > _NAMED_STEPS else ""
    return f"{told}. {'; '.join(reasons)}{more}".rstrip(" .") + "."


def _advice(first: dict[str, str]) -> str:
    entry = f" --entry {first['recording']}" if "/" in first["recording"] else ""
    return f"mosaic why {first['step']}{entry} tells more; the job refresh makes what can be made."
