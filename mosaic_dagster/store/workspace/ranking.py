"""Rankings: the best predictions, in all or within each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import polars as pl

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains import ranking_ascending
from mosaic_dagster.store.workspace.frames import frame
from mosaic_dagster.store.workspace.opened import OpenWorkspace

SCORES = ("val_score", "test_score", "train_score")
GROUPS = (
    "dataset_name", "model_name", "model_class", "fold_id", "task_type", "metric",
    "preprocessings", "branch_id", "branch_name", "chain_id", "pipeline_id", "run_id", "partition",
)  # fmt: skip


def top(
    workspace: OpenWorkspace,
    n: int,
    metric: str,
    ascending: bool | None,
    partition: str | None,
    dataset_name: str | None,
    group_by: str | Sequence[str] | None,
) -> pl.DataFrame:
    """Return the best *n* predictions by a score column, per group when one is given.

    Rows without a score come last in both directions; among equals the older ones come first.

    Raises
    ------
    StoreValueError
        The metric is no score column, a group is not one of the columns, *n* is negative, or the
        direction is not known and not given.
    """
    groups = [group_by] if isinstance(group_by, str) else list(group_by or ())
    _check(n, metric, groups)
    candidates = {"partition": partition, "dataset_name": dataset_name}
    given = {name: value for name, value in candidates.items() if value is not None}
    where = " AND ".join(f'p."{name}" = ?' for name in given) or "true"
    params = list(given.values())
    with workspace.reading() as con:
        if ascending is None:
            ascending = _direction(con, where, params)
        return _ranked(con, n, metric, ascending, groups, where, params)


def _ranked(
    con: duckdb.DuckDBPyConnection,
    n: int,
    metric: str,
    ascending: bool,
    groups: list[str],
    where: str,
    params: list[Any],
) -> pl.DataFrame:
    """Rank by row number first, and fetch all columns for the few that are left."""
    direction = "ASC" if ascending else "DESC"
    order = f"p.{metric} {direction} NULLS LAST, p.created_at, p.prediction_id"
    columns = [f'{"r" if name == "run_id" else "p"}."{name}"' for name in groups]
    joined = "LEFT JOIN main.pipelines r USING (pipeline_id)" if "run_id" in groups else ""
    within = f"PARTITION BY {', '.join(columns)} " if groups else ""
    by_group = "".join(f"g{i} NULLS FIRST, " for i in range(len(groups)))
    aliases = "".join(f", {column} AS g{i}" for i, column in enumerate(columns))
    return frame(
        con,
        f"""
        WITH ranked AS (
            SELECT p.rowid AS at, row_number() OVER ({within}ORDER BY {order}) AS place{aliases}
            FROM main.predictions p {joined} WHERE {where}
            QUALIFY place <= {int(n)}
        )
        SELECT p.* FROM main.predictions p JOIN ranked ON p.rowid = ranked.at
        ORDER BY {by_group}place
        """,
        params,
    )


def _direction(con: duckdb.DuckDBPyConnection, where: str, params: list[Any]) -> bool:
    rows = con.execute(
        f"SELECT DISTINCT metric FROM main.predictions p WHERE {where} ORDER BY metric", params
    ).fetchall()
    return ranking_ascending(metric for (metric,) in rows) if rows else True


def _check(n: int, metric: str, groups: list[str]) -> None:
    if n < 0:
        msg = f"n is {n}."
        raise StoreValueError(msg, "It cannot be negative.")
    if metric not in SCORES:
        msg = f"{metric!r} is no score column."
        raise StoreValueError(msg, f"Use one of {', '.join(SCORES)}.")
    for name in groups:
        if name not in GROUPS:
            msg = f"Predictions cannot be grouped by {name!r}."
            raise StoreValueError(msg, f"Use {', '.join(GROUPS)}.")
