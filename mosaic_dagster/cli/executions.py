"""``mosaic executions``: what ran when, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from mosaic_dagster.cli.dagster_home import dagster_home
from mosaic_dagster.cli.options import JsonOption, ProjectOption
from mosaic_dagster.cli.project import find_project
from mosaic_dagster.cli.tables import one_line, print_json, print_lines, print_table

_DIGITS = 8
_LIST_SCHEMA: dict[str, Any] = {
    "run": pl.String, "job": pl.String, "started_by": pl.String, "status": pl.String,
    "started": pl.Datetime("us"), "seconds": pl.Float64,
}  # fmt: skip

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="What ran when, and how it ended."
)


class RunStatus(StrEnum):
    """How a run stands."""

    succeeded = "succeeded"
    failed = "failed"
    canceled = "canceled"
    queued = "queued"
    running = "running"
    interrupted = "interrupted"


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 20,
    status: Annotated[
        RunStatus | None, typer.Option("--status", help="Only runs that stand so.")
    ] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """List the latest runs: what started them, how they ended, and how long they took.

    A refresh starts a run for each dataset that needs something; these are listed too. A run is
    interrupted when it has not ended and its process is gone.

    Example: mosaic executions list --status failed
    """
    with _history(project) as history:
        runs = [_facts(run) for run in history.list_runs(limit, status and str(status))]
    if as_json:
        print_json(runs)
        return
    if not runs:
        print_lines(["No run is recorded; `mosaic run` makes one."])
        return
    rows = [{**run, "run": run["run_id"][:_DIGITS]} for run in runs]
    table = pl.DataFrame([{n: row[n] for n in _LIST_SCHEMA} for row in rows], schema=_LIST_SCHEMA)
    print_table(table.rename({"started": "started (UTC)"}))


@app.command("show")
def show(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN_ID", help="Beginning of its identifier.", show_default=False),
    ],
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Show what a run did in each step, what failed and why, and the runs that it started.

    Example: mosaic executions show 85de8627
    """
    with _history(project) as history:
        found = history.find_run(run)
    if as_json:
        print_json(_all_facts(found))
    else:
        _print(found)


@contextmanager
def _history(folder: Path | None) -> Iterator[Any]:
    """The module that reads the instance of the project, imported only when it is asked for."""
    with dagster_home(find_project(Path.cwd(), folder)):
        yield import_module("mosaic_dagster.orchestration.run_history")


def _facts(run: Any) -> dict[str, Any]:
    return asdict(run) | {"seconds": run.seconds}


def _all_facts(found: Any) -> dict[str, Any]:
    return _facts(found.run) | {
        "tags": dict(found.tags),
        "steps": [asdict(step) for step in found.steps],
        "failures": [{"asset": a, "entry": key, "error": why} for a, key, why in found.failures],
        "runs": [_all_facts(child) for child in found.children],
    }


def _print(found: Any) -> None:
    run = found.run
    started = "not yet" if run.started is None else f"{run.started:%Y-%m-%d %H:%M:%S} UTC"
    took = "" if run.seconds is None else f", {run.seconds:g} s"
    print_lines(
        [
            f"{run.job} {run.run_id}: {run.status}",
            f"started {started} by {run.started_by}{took}",
        ]
    )
    if found.steps:
        print_lines([""])
        rows = [asdict(step) for step in found.steps]
        print_table(pl.DataFrame(rows).rename({"computing_seconds": "computing (s)"}))
    if found.failures:
        print_lines(["", "Failed:", *(f"  {line}" for line in _failure_lines(found))])
    for child in found.children:
        print_lines([""])
        _print(child)
    if not run.parent and run.status in ("failed", "interrupted"):
        print_lines(["", "`mosaic run` goes on with what is left; `mosaic status` lists it."])


def _failure_lines(found: Any) -> Iterator[str]:
    """What failed, an entry a line; what only sums up other lines is left out."""
    entries = any(key for _, key, _ in found.failures)
    for asset, key, why in found.failures:
        if entries and not key and asset.endswith("/report"):
            continue
        text = why.partition("\n")[0] if found.children else why
        yield f"{asset} {key}".strip() + f": {one_line(text)}"
