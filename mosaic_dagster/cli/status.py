"""``mosaic status`` and ``mosaic why``: what is up to date, and why something is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import typer

from mosaic_dagster.cli.checks import TITLE, check_lines, failed_checks
from mosaic_dagster.cli.choices import find_entry, find_step, units_of
from mosaic_dagster.cli.options import (
    DatasetOption,
    EntryOption,
    JsonOption,
    PipelineArgument,
    ProjectOption,
    StepArgument,
)
from mosaic_dagster.cli.project import Project, open_project
from mosaic_dagster.cli.tables import one_line, print_json, print_lines, print_table
from mosaic_dagster.pipeline import DatasetRun, Study
from mosaic_dagster.pipeline.entry_states import unfinished
from mosaic_dagster.pipeline.label_ids import unknown_individuals
from mosaic_dagster.pipeline.plan import STATUS_SCHEMA, status_of_run
from mosaic_dagster.pipeline.report import MODEL_LABEL
from mosaic_dagster.pipeline.staleness import MODEL
from mosaic_dagster.pipeline.status import EntryStatus
from mosaic_dagster.pipeline.steps import NO_PIPELINE
from mosaic_dagster.pipeline.why import Explanation, explain
from mosaic_dagster.pipeline.work import error_message

_MOST = 8
_NAMED = 3
_DIGITS = 12
_COUNTS = ("fresh", "stale", "missing", "failed", "blocked", "empty")


def status(
    pipeline: PipelineArgument = None,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Say for each step what is up to date, and why something is not.

    Below the table stand the first entries that failed, checks that do not hold, source files
    that are gone, and files that cannot be used. Nothing is computed.

    Example: mosaic status crawling
    """
    with open_project(project) as found:
        told = [_told(found, study) for study in found.chosen(dataset, pipeline)]
    if as_json:
        print_json(joined(told))
        return
    for part in told:
        _print_status(part, with_name=len(told) > 1)


def told_status(project: Project, studies: Sequence[Study]) -> dict[str, Any]:
    """Status of some studies, as ``mosaic status --json`` prints it."""
    return joined([_told(project, study) for study in studies])


def joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several datasets' status as one; each row says which dataset it is of."""
    return {
        "steps": [row for part in parts for row in part["steps"]],
        "entries": [row for part in parts for row in part["entries"]],
        "checks": [row for part in parts for row in part["checks"]],
        "sources": {
            "vanished": [path for part in parts for path in part["sources"]["vanished"]],
            "gone": [told for part in parts for told in part["sources"]["gone"]],
            "renamed": {p: new for part in parts for p, new in part["sources"]["renamed"].items()},
            "absent": [root for part in parts for root in part["sources"]["absent"]],
            "refused": {p: why for part in parts for p, why in part["sources"]["refused"].items()},
            "notes": [note for part in parts for note in part["sources"]["notes"]],
            "unknown_individuals": [
                told for part in parts for told in part["sources"]["unknown_individuals"]
            ],
        },
    }


def _told(project: Project, study: Study) -> dict[str, Any]:
    name = study.dataset.name
    run = DatasetRun(project.open(study), study.pipelines)
    return {
        "dataset": name,
        "steps": [{"dataset": name} | row for row in status_of_run(run).iter_rows(named=True)],
        "entries": [{"dataset": name} | row for row in _unfinished(run)],
        "checks": failed_checks(run),
        "sources": {
            "vanished": [path for state in run.ingested.values() for path in state.vanished],
            "gone": [told for state in run.ingested.values() for told in state.told_vanished],
            "renamed": {p: new for s in run.ingested.values() for p, new in s.renamed.items()},
            "absent": [root.to_dict() for s in run.ingested.values() for root in s.scan.absent],
            "refused": {p: why for s in run.ingested.values() for p, why in s.refused.items()},
            "notes": [note for state in run.ingested.values() for note in state.notes],
            "unknown_individuals": unknown_individuals(run),
        },
    }


def _unfinished(run: DatasetRun) -> Iterator[dict[str, Any]]:
    """Every entry, fit and callback that is not fresh."""
    for asset, state in run.ingested.items():
        for key, status in unfinished(state.statuses):
            yield from _entry_row(NO_PIPELINE, asset, key, status)
    for name, evaluation in run.evaluations.items():
        for step, bound in evaluation.bound.steps.items():
            whole = MODEL_LABEL if bound.is_fitted else ""
            for key, status in unfinished(evaluation.units(step)):
                yield from _entry_row(name, step, whole if key == MODEL else key, status)


def _entry_row(
    pipeline: str, step: str, entry: str, status: EntryStatus
) -> Iterator[dict[str, Any]]:
    if status.state != "fresh":
        head = status.head
        was_error = status.state == "failed" and head is not None and head.state == "failed"
        yield {
            "pipeline": pipeline,
            "step": step,
            "entry": entry,
            "state": status.state,
            "reason": status.reason,
            "error": status.error
            or (error_message(head.error) if was_error and head is not None else ""),
        }


def _print_status(told: dict[str, Any], with_name: bool) -> None:
    if with_name:
        print_lines([f"Dataset {told['dataset']}"])
    steps = pl.DataFrame(told["steps"], schema={"dataset": pl.String} | STATUS_SCHEMA)
    print_table(
        steps.select(
            "pipeline", "step", "state", "model",
            pl.Series("entries", [_counts(row) for row in told["steps"]], dtype=pl.String),
            "reason", "run_id", pl.col("modified").alias("last made (UTC)"),
        )
    )  # fmt: skip
    print_lines(_remarks(told))


def _counts(row: dict[str, Any]) -> str:
    return ", ".join(f"{row[f'n_{name}']} {name}" for name in _COUNTS if row[f"n_{name}"]) or "none"


def _remarks(told: dict[str, Any]) -> list[str]:
    failed: dict[str, list[str]] = {}
    for row in told["entries"]:
        if row["state"] == "failed":
            failed.setdefault(row["error"], []).append(f"{row['step']} {row['entry']}")
    sources = told["sources"]
    refused = [why for why in dict.fromkeys(sources["refused"].values()) if why not in failed]
    return [
        *_section("Failed:", [f"{_listed(who)}: {error}" for error, who in failed.items()]),
        *_section(TITLE, check_lines(told.get("checks", ()))),
        *_section(
            "Folders of sources that are not there:", [r["told"] for r in sources.get("absent", ())]
        ),
        *_section(
            "Source files that are gone (what was made of them stays):", sources.get("gone", ())
        ),
        *_section("Files that cannot be used:", refused),
        *_section("Files that are not used:", list(dict.fromkeys(sources["notes"]))),
        *_section("Labels that fit nobody:", sources.get("unknown_individuals", ())),
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _section(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"  … and {len(items) - _MOST} more (--json has all)"] if len(items) > _MOST else []
    return ["", title, *(f"  {one_line(item)}" for item in items[:_MOST]), *more]


def why(
    step: StepArgument,
    entry: EntryOption = None,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Explain why an entry of a step is as it is, and what it was made from.

    Without --entry a fitted step's fit, or a callback, is explained.

    Example: mosaic why clusters --entry dish01/larva_007
    """
    with open_project(project) as found:
        study = found.study_with(dataset, step, entry)
        pipeline, name = find_step(study.pipelines, step)
        run = DatasetRun(found.open(study), study.pipelines)
        told = explain(run, pipeline, name, unit_of(run, pipeline, name, entry))
    if as_json:
        print_json(told.to_dict())
    else:
        print_lines(_tree(told, 0, set()))


def unit_of(run: DatasetRun, pipeline: str, step: str, entry: str | None) -> str:
    """Key of the entry that is asked for; empty for a step's fit, or for a callback.

    Raises
    ------
    typer.BadParameter
        The step needs an entry, or has none.
    EntryNotFoundError
        There is no such entry.
    """
    units_of(run, pipeline, step)
    bound = run.evaluations[pipeline].bound.steps[step] if pipeline else None
    if entry is not None:
        if bound is not None and not bound.has_entries:
            msg = f"{step!r} is about all entries together; leave out --entry."
            raise typer.BadParameter(msg)
        return find_entry(entry, run.tracks.keys)
    if bound is None or not bound.has_whole:
        msg = f"{step!r} has a result for each recording; name one with --entry KEY."
        raise typer.BadParameter(msg)
    return MODEL


def _tree(told: Explanation, depth: int, seen: set[tuple[str, str]]) -> list[str]:
    """Lines about one entry, then the same, indented, about what it is made from."""
    indent = "  " * depth
    at = (told.step, told.entry)
    title = f"{indent}{told.step} {told.entry or '(as a whole)'}: {told.state}"
    if told.reason:
        title += f" ({one_line(told.reason)})"
    if at in seen:
        return [f"{title}, see above"]
    seen.add(at)
    lines = [title, *(f"{indent}  · {detail}" for detail in _details(told))]
    for up in told.upstream[:_MOST]:
        lines += _tree(up, depth + 1, seen)
    if len(told.upstream) > _MOST:
        lines.append(f"{indent}  … and {len(told.upstream) - _MOST} more")
    return lines


def _entries_text(keys: Sequence[str]) -> str:
    """Of how many entries a fit or a callback read a step, with the first of them."""
    named = [key for key in keys if key]
    more = ", …" if len(named) > _NAMED else ""
    shown = f", {len(named)} entries: {', '.join(named[:_NAMED])}{more}" if named else ""
    return f" (as a whole){shown}" if MODEL in keys else shown or " (none)"


def _details(told: Explanation) -> Iterator[str]:
    if told.error:
        yield f"error: {one_line(told.error)}"
    for role, then, now in told.changes:
        yield f"changed: {role}: {then[:_DIGITS] or 'not there'} → {now[:_DIGITS] or 'gone'}"
    if told.run_id and told.run_id != told.made_by and told.made_by:
        yield f"declared now: {told.run_id}"
    if told.made_by:
        yield f"made by: {told.made_by}"
    if told.output_sha256:
        yield f"result: {told.output_sha256[:_DIGITS]}"
    for step, keys in told.inputs:
        yield f"made from: {step}{_entries_text(keys)}"
    for source in told.sources:
        yield f"source: {one_line(source)}"
