"""``mosaic models delete``: a run with everything that it made."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any

import polars as pl
import typer

from mosaic_dagster.cli.clean import ApplyOption
from mosaic_dagster.cli.models.identifiers import RUN
from mosaic_dagster.cli.models.leaving import freed_files
from mosaic_dagster.cli.models.lookups import rows_of_run
from mosaic_dagster.cli.models.opening import open_models
from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.tables import print_json, print_lines, print_table, size_text
from mosaic_dagster.store import WorkspaceStore
from mosaic_dagster.store.chains import artifact_ids

_NAMING = ("fold_artifacts", "shared_artifacts", "steps")


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
        rows = rows_of_run(models.dataset.registry.database, run_id)
        artifacts = models.store.list_artifacts()
        leaving = _leaving(models.store, run_id, artifacts)
        size = sum(file.bytes for file in freed_files(models.dataset, artifacts, leaving))
        gone = artifacts.filter(leaving)["artifact_id"].to_list()
        if apply:
            models.store.delete_run(run_id)
    if as_json:
        print_json(
            {
                "dry_run": not apply,
                "run_id": run_id,
                "name": found.get("name"),
                "status": found.get("status"),
                "rows": rows,
                "artifacts": gone,
                "bytes": size,
            }
        )
        return
    print_lines([f"Run {found.get('name')} ({run_id}), {found.get('status')}", ""])
    print_table(pl.DataFrame({"table": list(rows), "rows": list(rows.values())}))
    verb = "were deleted." if apply else "would be deleted; --apply does it."
    told = f"{sum(rows.values())} rows and {len(gone)} artifacts ({size_text(size)}) {verb}"
    print_lines(["", told])
    if gone and size < artifacts.filter(leaving)["size_bytes"].sum():
        print_lines(["Files that results of steps name too stay until these go."])


def _leaving(store: WorkspaceStore, run_id: str, artifacts: pl.DataFrame) -> pl.Series:
    """For each artifact whether nobody refers to it without the chains of a run."""
    named: Counter[str] = Counter()
    for pipeline_id in store.list_pipelines(run_id)["pipeline_id"]:
        for chain in store.get_chains_for_pipeline(pipeline_id).iter_rows(named=True):
            named.update(artifact_ids(*(_decoded(chain[name]) for name in _NAMING)))
    given_back = pl.Series([named[name] for name in artifacts["artifact_id"]], dtype=pl.Int64)
    return (given_back > 0) & (artifacts["ref_count"] <= given_back)


def _decoded(text: str | None) -> Any:
    return {} if text is None else json.loads(text)
