"""``mosaic models delete``: a run with everything that it made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import polars as pl
import typer

from mosaic_dagster.cli.clean import ApplyOption
from mosaic_dagster.cli.models.identifiers import RUN
from mosaic_dagster.cli.models.opening import open_models
from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.tables import print_json, print_lines, print_table, size_text
from mosaic_dagster.store import Leaving


def delete(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Beginning of a run's identifier.", show_default=False),
    ],
    apply: ApplyOption = False,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Delete a run with its pipelines, chains, predictions and logs.

    Artifacts that no other chain names go with it. Without --apply it is only said what would go.

    Example: mosaic models delete 7c90b2e4
    """
    with open_models(project, dataset) as models:
        run_id = models.identifiers.find(run, RUN)
        found = models.store.get_run(run_id) or {}
        leaving = models.store.preview.delete_run(run_id)
        steps = sorted(set(models.store.list_pipelines(run_id)["name"]))
        artifacts = models.store.list_artifacts()
        if apply:
            models.store.delete_run(run_id)
    if as_json:
        print_json(
            {
                "dry_run": not apply,
                "run_id": run_id,
                "name": found.get("name"),
                "status": found.get("status"),
                "rows": leaving.rows,
                "artifacts": leaving.artifacts,
                "bytes": leaving.bytes,
            }
        )
        return
    print_lines([f"Run {found.get('name')} ({run_id}), {found.get('status')}", ""])
    theirs = artifacts.filter(pl.col("artifact_id").is_in(leaving.artifacts))
    stay = leaving.bytes < theirs["size_bytes"].sum()
    _tell(leaving, apply, steps if stay else [])


def _tell(leaving: Leaving, applied: bool, steps: Sequence[str]) -> None:
    """Say what goes, and how models come back whose files results of steps still name."""
    counts = list(leaving.rows.values())
    print_table(pl.DataFrame({"table": list(leaving.rows), "rows": counts}))
    verb = "were deleted." if applied else "would be deleted; --apply does it."
    what = f"{sum(counts)} rows and {len(leaving.artifacts)} artifacts"
    lines = ["", f"{what} ({size_text(leaving.bytes)}) {verb}"]
    if steps:
        lines.append("Files that results of steps name too stay with these results.")
    for name in steps:
        _, _, step = name.partition("/")
        if step:
            lines.append(f"`mosaic run --force-from {step}` trains {name} again.")
    print_lines(lines)
