"""Rankings: the best predictions, in all or within each group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import polars as pl

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store.chains import ranking_ascending
from mosaic_dagster.store.workspace.frames import count, frame
from mosaic_dagster.store.workspace.json_columns import text, told
from mosaic_dagster.store.workspace.opened import OpenWorkspace

SCORES = ("val_score", "test_score", "train_score")
GROUPS = (
    "dataset_name", "model_name", "model_class", "fold_id", "task_type", "metric",
    "preprocessings", "branch_id", "branch_name", "chain_id", "pipeline_id", "run_id", "partition",
)  # fmt: skip

_BOUNDED = 1000
# Above it, bounds cost more than sorting.


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
    StoreTypeError
        *n* is no number, a name is no text, or the groups are no list.
    """
    workspace.check()
    groups = _groups(group_by)
    n = count(n, "n")
    _check(metric, groups)
    candidates = {"partition": partition, "dataset_name": dataset_name}
    given = {k: text(v, k) for k, v in candidates.items() if v is not None}
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
    keys = "".join(f"g{i}, " for i in range(len(groups)))
    bounded = 0 < n <= _BOUNDED
    candidates = _bounded(n, ascending, len(groups)) if bounded else "SELECT * FROM entered"
    within = f"PARTITION BY {keys[:-2]} " if groups else ""
    order = f"score {direction} NULLS LAST, p.created_at, p.prediction_id"
    by_group = "".join(f"g{i} NULLS FIRST, " for i in range(len(groups)))
    return frame(
        con,
        f"""
        WITH entered AS NOT MATERIALIZED ({_entered(metric, groups, where)}),
        candidate AS ({candidates}),
        ranked AS (
            SELECT spot, {keys}row_number() OVER ({within}ORDER BY {order}) AS place
            FROM candidate JOIN main.predictions p ON p.rowid = spot
            QUALIFY place <= {n}
        )
        SELECT p.* FROM main.predictions p JOIN ranked ON p.rowid = ranked.spot
        ORDER BY {by_group}place
        """,
        params,
    )


def _entered(metric: str, groups: list[str], where: str) -> str:
    """SQL of the rows that take part, with what ranks and groups them."""
    columns = [f'{"r" if name == "run_id" else "p"}."{name}"' for name in groups]
    aliases = "".join(f", {column} AS g{i}" for i, column in enumerate(columns))
    joined = "LEFT JOIN main.pipelines r USING (pipeline_id)" if "run_id" in groups else ""
    return f"""
        SELECT p.rowid AS spot, p.{metric} AS score{aliases}
        FROM main.predictions p {joined} WHERE {where}
    """


def _bounded(n: int, ascending: bool, groups: int) -> str:
    """SQL of the rows that are no worse than the *n*-th best score of their group.

    Sorting them is cheap, sorting all is not. A group with fewer scores than *n* has no bound.
    """
    best, no_worse = ("min", "<=") if ascending else ("max", ">=")
    keys = "".join(f"g{i}, " for i in range(groups))
    same = " AND ".join(f"e.g{i} IS NOT DISTINCT FROM b.g{i}" for i in range(groups)) or "true"
    return f"""
        SELECT e.* FROM entered e JOIN (
            SELECT {keys}CASE WHEN count(score) >= {n} THEN {best}(score, {n})[{n}] END AS worst
            FROM entered GROUP BY ALL
        ) b ON {same} WHERE b.worst IS NULL OR e.score {no_worse} b.worst
    """


def _direction(con: duckdb.DuckDBPyConnection, where: str, params: list[Any]) -> bool:
    rows = con.execute(
        f"SELECT DISTINCT metric FROM main.predictions p WHERE {where} ORDER BY metric", params
    ).fetchall()
    return ranking_ascending(metric for (metric,) in rows) if rows else True


def _groups(given: Any) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable):
        msg = f"group_by is {told(given)}, which is neither a column nor a list of them."
        raise StoreTypeError(msg, f"Use {', '.join(GROUPS)}.")
    return list(given)


def _check(metric: Any, groups: Sequence[Any]) -> None:
    if not isinstance(metric, str) or metric not in SCORES:
        msg = f"{told(metric)} is no score column."
        raise StoreValueError(msg, f"Use one of {', '.join(SCORES)}.")
    for name in groups:
        if not isinstance(name, str) or name not in GROUPS:
            msg = f"Predictions cannot be grouped by {told(name)}."
            raise StoreValueError(msg, f"Use {', '.join(GROUPS)}.")
