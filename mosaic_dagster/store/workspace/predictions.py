"""Predictions: the rows, one by one through the journal or many in one transaction."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import numpy as np

from mosaic_dagster.errors import StoreTypeError, StoreValueError, UnknownIdError
from mosaic_dagster.store.database.bulk import first_row, texts_as
from mosaic_dagster.store.database.journal.kinds import (
    ARRAYS,
    PREDICTION,
    insert_arrays,
    insert_predictions,
)
from mosaic_dagster.store.database.journal.records import LARGEST
from mosaic_dagster.store.workspace import chains, pipelines
from mosaic_dagster.store.workspace.arrays import Arrays, checked_arrays
from mosaic_dagster.store.workspace.json_columns import (
    check_row,
    finite,
    required_id,
    text,
    to_json,
    told,
)
from mosaic_dagster.store.workspace.opened import OpenWorkspace

PARTITIONS = ("train", "val", "test")
TASK_TYPES = (
    "regression",
    "classification",
    "binary_classification",
    "multiclass_classification",
)
_REQUIRED = (
    "pipeline_id", "dataset_name", "model_name", "model_class", "fold_id", "partition", "metric",
    "task_type",
)  # fmt: skip
_OPTIONAL = (
    "chain_id", "val_score", "test_score", "train_score", "n_samples", "n_features", "scores",
    "best_params", "branch_id", "branch_name", "exclusion_count", "exclusion_rate",
    "preprocessings", "prediction_id", "arrays",
)  # fmt: skip
_KNOWN = {*_REQUIRED, *_OPTIONAL}
_PARENTS = ("pipeline_id", "chain_id")


def save(workspace: OpenWorkspace, given: Mapping[str, Any]) -> str:
    """Save one prediction, with its arrays when it brings some, and return its identifier.

    Raises
    ------
    UnknownIdError
        The pipeline or the chain is not there.
    StateError
        The pipeline failed.
    StoreValueError
        A value is not one that the column takes, or the identifier exists.
    StoreTypeError
        Something is not JSON, or an array is not numeric.
    """
    workspace.check_writable()
    values, arrays = checked_row(given)
    if given.get("prediction_id") is not None or _size(arrays) > LARGEST:
        return _save_together(workspace, [(values, arrays)])[0]
    pipelines.ensure_open(workspace, values[1])
    if values[2] is not None:
        chains.ensure_known(workspace, values[2])
    workspace.append(PREDICTION, values, arrays, checked=True)
    if not arrays:
        workspace.alive.put(_without_arrays(values[0]), True)
    return str(values[0])


def save_many(workspace: OpenWorkspace, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Save many predictions in one transaction: all or none; their identifiers in order.

    Raises
    ------
    StoreTypeError
        The rows are no list, or one of them is no mapping.
    UnknownIdError, StateError, StoreValueError
        As :func:`save`.
    """
    workspace.check_writable()
    if not isinstance(rows, Iterable):
        msg = f"The predictions are {told(rows)}, which is no list."
        raise StoreTypeError(msg, "Give one mapping per prediction.")
    checked = [checked_row(_mapping(row, place)) for place, row in enumerate(rows)]
    return _save_together(workspace, checked)


def save_arrays(workspace: OpenWorkspace, prediction_id: str, arrays: Arrays) -> None:
    """Save the arrays of a prediction that has none.

    Raises
    ------
    UnknownIdError
        There is no such prediction.
    StoreValueError
        It has arrays already, or their lengths differ.
    StoreTypeError
        An array is not numeric.
    """
    workspace.check_writable()
    prediction_id = required_id(prediction_id, "prediction")
    checked = checked_arrays(arrays)
    if not checked:
        msg = f"No array is given for prediction {prediction_id!r}."
        raise StoreValueError(msg, "Give y_true and y_pred.")
    if workspace.alive.pop(_without_arrays(prediction_id)) and _size(checked) <= LARGEST:
        workspace.append(ARRAYS, [prediction_id], checked)
        return
    with workspace.writing() as con:
        if not _exists(con, "predictions", prediction_id):
            msg = f"There is no prediction {prediction_id!r}."
            raise UnknownIdError(msg, "query_predictions() names what there is.")
        if _exists(con, "prediction_arrays", prediction_id):
            msg = f"Prediction {prediction_id!r} has arrays already."
            raise StoreValueError(msg, "Save another prediction.")
        insert_arrays(con, [(prediction_id, checked)])


def checked_row(given: Mapping[str, Any]) -> tuple[list[Any], Arrays]:
    """Values of a prediction in the order of its columns, and its arrays.

    Raises
    ------
    UnknownIdError
        No pipeline or no chain can have the identifier that is given for it.
    StoreValueError, StoreTypeError
        A value is not one that its column takes.
    """
    _check_names(given)
    arrays = given.get("arrays")
    prediction_id = given.get("prediction_id")
    values = [
        str(uuid.uuid4()) if prediction_id is None else text(prediction_id, "prediction_id"),
        given["pipeline_id"],
        given.get("chain_id"),
        given["dataset_name"],
        given["model_name"],
        given["model_class"],
        given["fold_id"],
        given["partition"],
        finite(given.get("val_score")),
        finite(given.get("test_score")),
        finite(given.get("train_score")),
        given["metric"],
        given["task_type"],
        _whole(given, "n_samples"),
        _whole(given, "n_features"),
        to_json(given.get("scores"), "scores"),
        to_json(given.get("best_params"), "best_params"),
        "" if given.get("preprocessings") is None else given["preprocessings"],
        _whole(given, "branch_id"),
        given.get("branch_name"),
        _whole(given, "exclusion_count") or 0,
        finite(given.get("exclusion_rate")) or 0.0,
        time.time_ns() // 1000,
    ]
    check_row(PREDICTION, values)
    return values, {} if arrays is None else checked_arrays(arrays)


def _mapping(row: Any, place: int) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        msg = f"Prediction {place} (counted from 0) is {told(row)}, which is no mapping."
        raise StoreTypeError(msg, f"Give mappings with {', '.join(_REQUIRED)}.")
    return row


def _check_names(given: Mapping[str, Any]) -> None:
    """Refuse unknown columns, and texts that are not what their columns take."""
    if not given.keys() <= _KNOWN:
        unknown = sorted(given.keys() - _KNOWN, key=str)
        msg = f"A prediction has no {', '.join(map(str, unknown))}."
        raise StoreTypeError(msg, f"Use {', '.join(_REQUIRED + _OPTIONAL)}.")
    for name in _PARENTS:
        if given.get(name) is not None:
            required_id(given[name], name.removesuffix("_id"))
    for name in _REQUIRED:
        if not isinstance(given.get(name), str):
            msg = f"The {name} of a prediction is {told(given.get(name))}."
            raise StoreValueError(msg, "It must be text.")
    _one_of("partition", given["partition"], PARTITIONS)
    _one_of("task_type", given["task_type"], TASK_TYPES)


def _save_together(workspace: OpenWorkspace, rows: list[tuple[list[Any], Arrays]]) -> list[str]:
    ids = [str(values[0]) for values, _ in rows]
    if len(set(ids)) < len(ids):
        repeated = next(name for name in ids if ids.count(name) > 1)
        msg = f"The prediction_id {repeated!r} is given twice."
        raise StoreValueError(msg, "Give each prediction an identifier of its own, or none.")
    with workspace.writing() as con:
        for pipeline_id in dict.fromkeys(values[1] for values, _ in rows):
            pipelines.check_open(con, pipeline_id)
        _check_chains(con, [values[2] for values, _ in rows if values[2] is not None])
        _check_new(con, ids)
        if rows:
            insert_predictions(con, [values for values, _ in rows])
        with_arrays = [(str(values[0]), arrays) for values, arrays in rows if arrays]
        if with_arrays:
            insert_arrays(con, with_arrays)
    return ids


def _check_chains(con: duckdb.DuckDBPyConnection, chain_ids: list[str]) -> None:
    with texts_as(con, "named", chain_ids):
        query = "SELECT value FROM named ANTI JOIN main.chains ON chain_id = value LIMIT 1"
        missing = first_row(con, query)
    if missing is not None:
        msg = f"There is no chain {missing[0]!r}."
        raise UnknownIdError(msg, "Save the chain before its predictions.")


def _check_new(con: duckdb.DuckDBPyConnection, ids: list[str]) -> None:
    with texts_as(con, "given", ids):
        query = (
            "SELECT value FROM given SEMI JOIN main.predictions ON prediction_id = value LIMIT 1"
        )
        taken = first_row(con, query)
    if taken is not None:
        msg = f"There is a prediction {taken[0]!r} already."
        raise StoreValueError(msg, "Leave the identifier out, or delete that prediction.")


def _exists(con: duckdb.DuckDBPyConnection, table: str, prediction_id: str) -> bool:
    query = f"SELECT 1 FROM main.{table} WHERE prediction_id = ?"
    return first_row(con, query, [prediction_id]) is not None


def _whole(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        msg = f"The {name} of a prediction is {told(value)}."
        raise StoreTypeError(msg, "It must be a whole number.")
    return int(value)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        msg = f"The {name} of a prediction is {value!r}."
        raise StoreValueError(msg, f"Use one of {', '.join(allowed)}.")


def _without_arrays(prediction_id: str) -> tuple[str, str]:
    """What a prediction without arrays is remembered as; no parent has such a name."""
    return PREDICTION, prediction_id


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())
