"""``mosaic clean``: forget results that no declared step wants any more."""

from __future__ import annotations

from typing import Annotated

import polars as pl
import typer

from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.project import open_project
from mosaic_dagster.cli.tables import print_lines, print_table, size_text
from mosaic_dagster.pipeline.clean import clean_table

ApplyOption = Annotated[
    bool, typer.Option("--apply", help="Do it; without this it is only said what would be done.")
]


def clean(
    apply: ApplyOption = False,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Forget results that no declared step wants any more.

    Only the records go; `mosaic store gc --apply` removes the files that nothing names then.

    Example: mosaic clean --apply
    """
    with open_project(project) as found:
        study = found.study(dataset)
        table = clean_table(
            found.open(study), study.pipelines, dry_run=not apply, all_declared=True
        )
    if as_json:
        print_table(table, as_json=True)
        return
    gone = table.filter(pl.col("status") != "current")
    kept = table.filter(pl.col("status") == "current")
    if gone.is_empty():
        print_lines([f"Nothing to clean: all {kept['n_results'].sum()} results are wanted."])
        return
    print_table(gone)
    verb = "were forgotten" if apply else "would be forgotten; --apply does it"
    print_lines(
        [
            "",
            f"{gone['n_results'].sum()} results ({size_text(int(gone['bytes'].sum()))}) {verb}; "
            f"{kept['n_results'].sum()} are wanted.",
            "Their files go with `mosaic store gc --apply`.",
        ]
    )
