"""Looking up predictions: one with its arrays, or many by exact filters."""

from __future__ import annotations

from typing import Any

import polars as pl

from mosaic_dagster.errors import StoreTypeError
from mosaic_dagster.store.database.journal.kinds import ARRAY_NAMES, COLUMNS, PREDICTION
from mosaic_dagster.store.workspace import arrays
from mosaic_dagster.store.workspace.frames import frame, page, record
from mosaic_dagster.store.workspace.json_columns import known_id, text, whole
from mosaic_dagster.store.workspace.opened import OpenWorkspace

PREDICTION_COLUMNS = tuple(COLUMNS[PREDICTION])
"""Columns of a prediction, in the order of the table."""

FILTERS = (
    "dataset_name", "model_class", "partition", "fold_id", "branch_id", "pipeline_id", "run_id",
)  # fmt: skip

_IDS = ("pipeline_id", "run_id")

_JSON = ("scores", "best_params")


def get(
    workspace: OpenWorkspace, prediction_id: str, load_arrays: bool = False
) -> dict[str, Any] | None:
    """Every column of a prediction, JSON decoded, with its arrays when asked for; or None."""
    query = "SELECT * FROM main.predictions WHERE prediction_id = ?"
    with workspace.reading() as con:
        found = record(con, query, [known_id(prediction_id)], _JSON)
        if found is not None and load_arrays:
            found |= dict.fromkeys(ARRAY_NAMES) | arrays.load(con, prediction_id)
    return found


def query(
    workspace: OpenWorkspace,
    filters: dict[str, Any],
    limit: int | None = None,
    offset: int | None = None,
) -> pl.DataFrame:
    """Predictions that fit every filter that is not None, the newest first.

    An identifier that no row can have fits none.

    Raises
    ------
    StoreTypeError
        A filter has an unknown name, or a value of another type than its column.
    StoreValueError
        A text is not valid unicode, or a number is negative or too large.
    """
    workspace.check()
    unknown = sorted(filters.keys() - {*FILTERS})
    if unknown:
        msg = f"There is no filter {', '.join(unknown)}."
        raise StoreTypeError(msg, f"Use {', '.join(FILTERS)}.")
    given = {name: _checked(name, value) for name, value in filters.items() if value is not None}
    conditions = [_condition(name, value) for name, value in given.items()]
    statement = f"""
        SELECT * FROM main.predictions WHERE {" AND ".join(conditions) or "true"}
        ORDER BY created_at DESC, prediction_id {page(limit, offset)}
    """
    with workspace.reading() as con:
        return frame(con, statement, list(given.values()))


def _checked(name: str, value: Any) -> Any:
    if name in _IDS:
        return known_id(value)
    return whole(value, name) if name == "branch_id" else text(value, name)


def _condition(name: str, value: Any) -> str:
    if name == "run_id":
        return "pipeline_id IN (SELECT pipeline_id FROM main.pipelines WHERE run_id = ?)"
    if name == "model_class" and "%" in value:
        return "model_class LIKE ?"
    return f'"{name}" = ?'
