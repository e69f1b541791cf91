"""``mosaic clean``: forget results that no declared step wants any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import polars as pl
import typer

from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.project import open_project
from mosaic_dagster.cli.tables import print_lines, print_table, size_text
from mosaic_dagster.pipeline.clean import KEPT, RECORDING, clean_table
from mosaic_dagster.pipeline.steps import TRACKS, is_ingested

ApplyOption = Annotated[
    bool, typer.Option("--apply", help="Do it; without this it is only said what would be done.")
]


def clean(
    apply: ApplyOption = False,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Forget results that no declared step wants any more, and recordings whose files are gone.

    Without --apply it is only said what would go, by kind and with sizes. Only the records go;
    `mosaic store gc --apply` removes the files that nothing names then. Without --dataset all
    datasets of the project are looked at.

    Example: mosaic clean --apply
    """
    with open_project(project) as found:
        tables = [
            clean_table(
                found.open(study), study.pipelines, dry_run=not apply, all_declared=True
            ).select(pl.lit(study.dataset.name).alias("dataset"), pl.all())
            for study in found.chosen(dataset)
        ]
    if as_json:
        print_table(pl.concat(tables), as_json=True)
        return
    for number, table in enumerate(tables):
        print_lines([""] * bool(number))
        _tell(table, apply, with_name=len(tables) > 1)


def _tell(table: pl.DataFrame, applied: bool, with_name: bool) -> None:
    if with_name and table.height:
        print_lines([f"Dataset {table['dataset'][0]}"])
    table = table.drop("dataset")
    away = table.filter(pl.col("status") == KEPT)
    print_lines([f"Kept: {told}" for told in away["remark"]] + [""] * bool(away.height))
    gone = table.filter(~pl.col("status").is_in(["current", KEPT]))
    kept = table.filter(pl.col("status") == "current")
    if gone.is_empty():
        print_lines([f"Nothing to clean: all {kept['n_results'].sum()} results are wanted."])
        return
    sizes = [size_text(size) if count else "" for size, count in gone["bytes", "n_results"].rows()]
    shown = gone.with_columns(pl.Series("bytes", sizes)).rename({"bytes": "size"})
    print_table(shown if gone["remark"].count() else shown.drop("remark"))
    verb = "were forgotten" if applied else "would be forgotten; --apply does it"
    lines = [
        "",
        f"{gone['n_results'].sum()} results ({size_text(int(gone['bytes'].sum()))}) {verb}; "
        f"{kept['n_results'].sum()} are wanted.",
        *_by_kind(gone),
        "",
        *_next_lines(gone, applied),
    ]
    print_lines(lines)


def _by_kind(gone: pl.DataFrame) -> list[str]:
    """How much of what goes, a line for each kind."""
    kinds = [_kind(feature) for feature in gone["feature"]]
    counts = (
        gone.with_columns(pl.Series("kind", kinds, dtype=pl.String))
        .group_by("kind", maintain_order=True)
        .agg(pl.len(), pl.col("n_results").sum(), pl.col("bytes").sum())
    )
    return [
        f"  {kind}: {rows}" if kind == _RECORDINGS else f"  {kind}: {results} ({size_text(size)})"
        for kind, rows, results, size in counts.rows()
    ]


_RECORDINGS = "recordings whose files are gone"


def _kind(feature: str) -> str:
    if feature == RECORDING:
        return _RECORDINGS
    if feature == TRACKS:
        return "tables of tracks"
    return "labels" if is_ingested(feature) else "results of steps"


def _next_lines(gone: pl.DataFrame, applied: bool) -> Sequence[str]:
    """What becomes of files, and how what goes can come back."""
    back = "A step that is declared again has its results made again."
    if RECORDING in gone["feature"].to_list():
        back += " A recording whose files come back is new."
    if applied:
        return [f"Their files go with `mosaic store gc --apply`. {back}"]
    return [f"Next: `mosaic clean --apply`; their files go with `mosaic store gc --apply`. {back}"]
