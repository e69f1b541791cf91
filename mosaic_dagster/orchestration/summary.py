"""The last words of a refresh: what was made, what failed, where to look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from mosaic_dagster.orchestration.previews import frame_table
from mosaic_dagster.orchestration.refresh import RefreshResult
from mosaic_dagster.pipeline import RunReport

_MOST_NAMES = 8
_MOST_FAILURES = 50
_KINDS = ("made", "fresh", "adopted", "failed", "blocked")
_MOST_FILES = 20


def refresh_summary(results: Sequence[tuple[RefreshResult, RunReport | None]]) -> str:
    """A few lines for people, at the end of a refresh."""
    lines: list[str] = [""]
    for result, report in results:
        lines += _dataset_lines(result, report)
    lines += [
        "",
        "Next:  mosaic status     what is up to date, and why not",
        "       dagster dev       the same in the browser: http://localhost:3000",
        "",
    ]
    return "\n".join(lines)


def refresh_metadata(
    results: Sequence[tuple[RefreshResult, RunReport | None]],
) -> dict[str, Any]:
    """What a refresh did, for its page: a row per dataset and step, and the runs that did it."""
    schema: dict[str, Any] = {"dataset": pl.String, "step": pl.String}
    schema |= dict.fromkeys(_KINDS, pl.Int64)
    rows = [
        {"dataset": result.dataset.name} | {name: row[name] for name in ("step", *_KINDS)}
        for result, report in results
        if report is not None
        for row in report.table().iter_rows(named=True)
    ]
    table = pl.DataFrame(rows, schema=schema)
    metadata: dict[str, Any] = {name: int(table[name].sum()) for name in _KINDS}
    metadata["new recordings"] = sum(len(result.new_entries) for result, _ in results)
    if rows:
        metadata["steps"] = frame_table(table)
    for result, _ in results:
        if result.run_id is not None:
            metadata[f"run of {result.dataset.name}"] = dg.MetadataValue.dagster_run(result.run_id)
    failed = [
        {"dataset": result.dataset.name, **row}
        for result, report in results
        if report is not None
        for row in report.failures().iter_rows(named=True)
    ]
    if failed:
        metadata["failures"] = frame_table(pl.DataFrame(failed[:_MOST_FAILURES]))
    return metadata


def outcome_lines(results: Sequence[tuple[RefreshResult, RunReport | None]]) -> list[str]:
    """One line per dataset: what was made of it, for the log of the run."""
    return [
        _outcome_lines(result.dataset.name, result, report)[0]
        + (f" (run {result.run_id})" if result.run_id else "")
        for result, report in results
    ]


def failure_lines(result: RefreshResult, report: RunReport | None) -> list[str]:
    """What failed in a dataset, a line each; the rest is counted."""
    failed = report.failures().filter(state="failed") if report is not None else None
    lines = [f"  STOPPED {error}" for error in result.errors]
    lines += [
        f"  FAILED {row['step']} {row['entry']}: {row['message']}"
        for row in ([] if failed is None else failed.iter_rows(named=True))
    ]
    lines += [
        f"  PROBLEM {why if where in why else f'{where}: {why}'}"
        for where, why in result.problems.items()
    ]
    more = len(lines) - _MOST_NAMES
    told = lines[:_MOST_NAMES]
    return [*told, f"  and {more} more; see `mosaic status`"] if more > 0 else told


def _dataset_lines(result: RefreshResult, report: RunReport | None) -> list[str]:
    name = result.dataset.name
    lines = [f"{name}: {len(result.new_entries)} new recordings"] if result.new_entries else []
    lines += _outcome_lines(name, result, report)
    lines += failure_lines(result, report)
    lines += [f"  AWAY {told}" for told in result.absent]
    if result.vanished:
        gone = f"  {len(result.vanished)} source files are gone; what was made of them stays:"
        lines += [gone, *(f"    {path}" for path in result.vanished[:_MOST_NAMES])]
    if result.pictures:
        lines.append(f"{name}: pictures and tables for you:")
        lines += [f"  {_short(path)}" for path in result.pictures[:_MOST_FILES]]
        if len(result.pictures) > _MOST_FILES:
            lines.append(f"  and {len(result.pictures) - _MOST_FILES} more")
    return lines


def _outcome_lines(name: str, result: RefreshResult, report: RunReport | None) -> list[str]:
    if report is None and result.run_id is not None:
        return [f"{name}: see Dagster run {result.run_id}"]
    if report is None and not result.recordings:
        return [f"{name}: there are no recordings yet; `mosaic ingest PATH` adds some."]
    if report is None:
        nothing = "nothing was computed."
        return [
            f"{name}: {nothing}"
            if result.problems
            else f"{name}: everything is up to date, {nothing}"
        ]
    failed = sum(len(step.failures) for step in report)
    blocked = sum(len(step.blocked) for step in report)
    found = sum(step.fresh + step.adopted for step in report)
    made = f"{report.made} results made" if report.made else "nothing was computed"
    lines = [f"{name}: {made}, {found} found in the store, {failed} failed, {blocked} blocked"]
    for row in report.table().iter_rows(named=True):
        told = ", ".join(f"{row[kind]} {kind}" for kind in _KINDS if row[kind])
        lines.append(f"  {row['step']:<28} {told or 'nothing to do'}")
    return lines


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(Path(path))
