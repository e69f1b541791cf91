"""``mosaic models top``: the best predictions, and the chains that made them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import polars as pl
import typer

from mosaic_dagster.cli.models.identifiers import RUN, Identifiers
from mosaic_dagster.cli.models.opening import Models, open_models
from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.tables import print_lines, print_table
from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store import WorkspaceStore
from mosaic_dagster.store.chains import ranking_ascending
from mosaic_dagster.store.workspace.ranking import GROUPS


class Score(StrEnum):
    """Columns to rank by."""

    val_score = "val_score"
    test_score = "test_score"
    train_score = "train_score"


class Partition(StrEnum):
    """Predictions that take part."""

    val = "val"
    test = "test"
    train = "train"
    all = "all"


_SHOWN = ("model", "preprocessings", "fold", "partition", "val_score", "test_score",
          "train_score", "metric", "chain", "pipeline", "created")  # fmt: skip
_RENAMED = {"model_name": "model", "fold_id": "fold", "created_at": "created"}
_IDENTIFIERS = ("prediction_id", "chain_id", "pipeline_id", "run_id")


NumberOption = Annotated[
    int, typer.Option("-n", "--number", min=1, help="How many, of each group.")
]
DirectionOption = Annotated[
    bool | None,
    typer.Option(
        "--ascending/--descending",
        help="Smallest or largest first; by default as the metric's name says.",
        show_default=False,
    ),
]
GroupOption = Annotated[
    list[str] | None,
    typer.Option("--group-by", metavar="COLUMN", help="Rank within groups; repeatable."),
]
RunOption = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Only what this run made.")
]


def top(
    n: NumberOption = 10,
    metric: Annotated[Score, typer.Option("--metric", help="Score to rank by.")] = Score.val_score,
    ascending: DirectionOption = None,
    partition: Annotated[
        Partition, typer.Option("--partition", help="Predictions that take part.")
    ] = Partition.val,
    group_by: GroupOption = None,
    run: RunOption = None,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Rank predictions by a score, with the chain that made each.

    The other commands take a chain by any beginning of its identifier that is unique, such as
    the one shown here.

    Example: mosaic models top -n 5 --group-by model_class
    """
    groups = _checked_groups(group_by or [])
    wanted = None if partition is Partition.all else str(partition)
    with open_models(project, dataset) as models:
        run_id = None if run is None else models.identifiers.find(run, RUN)
        try:
            ranked = _ranked(models.store, n, str(metric), ascending, wanted, groups, run_id)
        except StoreValueError as error:
            # What is left to be wrong is a direction that no metric tells.
            msg = f"{error.what} Give --ascending (lower is better) or --descending."
            raise typer.BadParameter(msg) from error
        told = _described(models, ranked, models.identifiers)
    _print(told, groups, wanted, as_json)


def _print(told: pl.DataFrame, groups: Sequence[str], partition: str | None, as_json: bool) -> None:
    if as_json:
        print_table(told, as_json=True)
    elif told.is_empty():
        where = "" if partition is None else f" of the partition {partition!r}"
        print_lines([f"There are no predictions{where}."])
    else:
        known = {*_IDENTIFIERS, *_SHOWN}
        first = [name for name in groups if name in told.columns and name not in known]
        shown = [name for name in _SHOWN if name != "partition" or partition is None]
        print_table(told.select(*first, *shown).rename({"created": "created (UTC)"}))


def _checked_groups(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in GROUPS:
            msg = f"There is no column {name!r} to group by. Use {', '.join(GROUPS)}."
            raise typer.BadParameter(msg, param_hint="--group-by")
    return list(names)


def _ranked(
    store: WorkspaceStore,
    n: int,
    metric: str,
    ascending: bool | None,
    partition: str | None,
    groups: Sequence[str],
    run_id: str | None,
) -> pl.DataFrame:
    if run_id is None:
        return store.top_predictions(n, metric, ascending, partition, group_by=groups)
    if ascending is None:
        taking_part = store.query_predictions(run_id=run_id, partition=partition)
        ascending = ranking_ascending(taking_part["metric"].unique())
    # The best of each run, of which one is kept, are the best of this run.
    within = [*(name for name in groups if name != "run_id"), "run_id"]
    best = store.top_predictions(n, metric, ascending, partition, group_by=within)
    theirs = store.list_pipelines(run_id)["pipeline_id"]
    return best.filter(pl.col("pipeline_id").is_in(theirs.to_list()))


def _described(models: Models, ranked: pl.DataFrame, identifiers: Identifiers) -> pl.DataFrame:
    """Predictions with the names of their pipelines and with short names of their chains."""
    pipelines = models.store.list_pipelines().select(
        "pipeline_id", "run_id", pl.col("name").alias("pipeline")
    )
    short = [None if name is None else identifiers.short(name) for name in ranked["chain_id"]]
    return (
        ranked.with_columns(pl.Series("chain", short, dtype=pl.String))
        .join(pipelines, on="pipeline_id", how="left", maintain_order="left")
        .rename(_RENAMED)
        .select(
            *_SHOWN, "model_class", "dataset_name", "task_type", "branch_id", "branch_name",
            "n_samples", "n_features", *_IDENTIFIERS,
        )
    )  # fmt: skip
