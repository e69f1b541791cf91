"""What is the matter with each step, and what a run would do about it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.pipeline.entry_states import Tally, seconds_taken, tally, unfinished
from mosaic_dagster.pipeline.ingested import Ingested
from mosaic_dagster.pipeline.run import DatasetRun
from mosaic_dagster.pipeline.selection import Selection
from mosaic_dagster.pipeline.staleness import Evaluation
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus, step_state
from mosaic_dagster.pipeline.steps import NO_PIPELINE

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.pipeline import Pipeline

STATUS_SCHEMA: dict[str, Any] = {
    "pipeline": pl.String, "step": pl.String, "kind": pl.String, "feature": pl.String,
    "run_id": pl.String, "state": pl.String, "model": pl.String, "n_fresh": pl.Int64,
    "n_stale": pl.Int64, "n_missing": pl.Int64, "n_failed": pl.Int64, "n_blocked": pl.Int64,
    "n_empty": pl.Int64, "n_target": pl.Int64, "reason": pl.String, "modified": pl.Datetime("us"),
    "bytes": pl.Int64,
}  # fmt: skip

PLAN_SCHEMA: dict[str, Any] = {
    "pipeline": pl.String, "step": pl.String, "n_target": pl.Int64, "n_fresh": pl.Int64,
    "n_to_compute": pl.Int64, "fit": pl.Boolean, "upper_bound": pl.Boolean, "reasons": pl.String,
    "estimated_seconds": pl.Float64,
}  # fmt: skip


def status_table(dataset: Dataset, pipeline: Pipeline) -> pl.DataFrame:
    """One row per step of a pipeline, tracks and labels first."""
    looking = Selection(overwrite=False)
    return status_of_run(DatasetRun(dataset, [pipeline], selection=looking))


def status_of_run(run: DatasetRun) -> pl.DataFrame:
    """One row per step of every pipeline of a run, the tracks first."""
    rows = [_ingested_row(state) for state in run.ingested.values()]
    for name, evaluation in run.evaluations.items():
        rows += [_status_row(evaluation, name, step) for step in evaluation.bound.steps]
    return pl.DataFrame(rows, schema=STATUS_SCHEMA)


def plan_table(dataset: Dataset, pipeline: Pipeline) -> pl.DataFrame:
    """What a run of the pipeline would compute."""
    return plan_of_run(DatasetRun(dataset, [pipeline]))


def plan_of_run(run: DatasetRun) -> pl.DataFrame:
    """What a run would compute, per step, the tracks first."""
    rows = [
        _plan_row(NO_PIPELINE, asset, run.ingested_keys(asset), state.statuses, None)
        for asset, state in run.ingested.items()
    ]
    for name, evaluation in run.evaluations.items():
        for step in run.steps_of(evaluation.bound):
            bound = evaluation.bound.steps[step]
            model = evaluation.model(step) if bound.has_whole else None
            keys = run.keys_of(name, step) if bound.has_entries else []
            rows.append(_plan_row(name, step, keys, evaluation.entries(step), model))
    return pl.DataFrame(rows, schema=PLAN_SCHEMA)


def reasons_text(statuses: Iterable[EntryStatus]) -> str:
    """Reasons of what is not done, the most frequent first: ``input: tracks (3), new (1)``."""
    counted = Counter(s.reason for s in statuses if s.state not in DONE and s.reason)
    return ", ".join(f"{reason} ({count})" for reason, count in counted.most_common())


def _ingested_row(ingested: Ingested) -> dict[str, Any]:
    counted = tally(ingested.statuses)
    row = _counts(counted) | _latest(counted)
    reasons = [reasons_text(status for _, status in unfinished(ingested.statuses))]
    if ingested.vanished:
        reasons.append(f"source vanished ({len(ingested.vanished)})")
    if ingested.scan.absent:
        away = sum(root.recordings for root in ingested.scan.absent)
        reasons.append(f"source folder not there ({away})")
    reason = ", ".join(filter(None, reasons))
    return row | {
        "pipeline": NO_PIPELINE, "step": ingested.asset, "kind": ingested.asset.partition("/")[0],
        "feature": ingested.run_id, "run_id": ingested.run_id, "model": "", "reason": reason,
        "state": step_state(counted.states),
    }  # fmt: skip


def _status_row(evaluation: Evaluation, pipeline: str, step: str) -> dict[str, Any]:
    bound = evaluation.bound.steps[step]
    entries = tally(evaluation.entries(step)) if bound.has_entries else Tally()
    model = evaluation.model(step) if bound.has_whole else None
    whole = tally({} if model is None else {MODEL: model})
    units = entries | whole
    states = set(units.states)
    if bound.is_fitted and entries.states:
        # A fit never is "empty", and its state is told apart in its own column.
        states = set(entries.states)
        if model is not None and model.state not in DONE:
            states.add(model.state)
    kind = "callback" if bound.is_callback else ("fitted" if bound.is_fitted else "per entry")
    return (
        _counts(entries if bound.has_entries else whole)
        | _latest(units)
        | {
            "pipeline": pipeline, "step": step, "kind": kind, "feature": bound.feature_name,
            "run_id": bound.run_id, "state": step_state(states),
            "model": model.state if model is not None and bound.is_fitted else "",
            "reason": reasons_text(status for _, status in unfinished(evaluation.units(step))),
        }
    )  # fmt: skip


def _counts(counted: Tally) -> dict[str, int]:
    names = ("fresh", "stale", "missing", "failed", "blocked", "empty")
    return {f"n_{name}": counted.states[name] for name in names} | {  # type: ignore[index]
        "n_target": counted.states.total()
    }


def _latest(counted: Tally) -> dict[str, Any]:
    return {"modified": counted.modified, "bytes": sum(counted.stored.values())}


def _plan_row(
    pipeline: str,
    step: str,
    keys: Sequence[str],
    statuses: Mapping[str, EntryStatus],
    model: EntryStatus | None,
) -> dict[str, Any]:
    if len(keys) < len(statuses):
        statuses = {key: statuses[key] for key in keys}
    late = [status for _, status in unfinished(statuses) if status.state not in DONE]
    todo = [s for s in late if s.state != "blocked"]
    fits = model is not None and model.state not in DONE and model.state != "blocked"
    told = [*todo, model] if fits and model is not None else todo
    return {
        "pipeline": pipeline,
        "step": step,
        "n_target": len(keys),
        "n_fresh": len(keys) - len(late),
        "n_to_compute": len(todo),
        "fit": fits,
        "upper_bound": any(s.reason.startswith("upstream") for s in told),
        "reasons": reasons_text(told),
        "estimated_seconds": _estimate(statuses, len(todo)),
    }


def _estimate(statuses: Mapping[str, EntryStatus], count: int) -> float | None:
    """Median of the recorded seconds per entry, times the number of entries; None when unknown."""
    past = [seconds for seconds in seconds_taken(statuses) if seconds]
    return round(statistics.median(past) * count, 3) if past else None
