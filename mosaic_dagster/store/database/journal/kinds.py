"""The kinds of rows that are journalled, and how many of them get into their tables at once.

A row whose parent was deleted or failed since it was acknowledged counts as deleted with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.store.database.bulk import INTEGER, REAL, TEXT, TIME, rows_as
from mosaic_dagster.store.database.journal.records import Record

PREDICTION, ARRAYS, LOG, CLAIM, PROGRESS = "prediction", "arrays", "log", "claim", "progress"

COLUMNS: dict[str, dict[str, Any]] = {
    PREDICTION: {
        "prediction_id": TEXT,
        "pipeline_id": TEXT,
        "chain_id": TEXT,
        "dataset_name": TEXT,
        "model_name": TEXT,
        "model_class": TEXT,
        "fold_id": TEXT,
        "partition": TEXT,
        "val_score": REAL,
        "test_score": REAL,
        "train_score": REAL,
        "metric": TEXT,
        "task_type": TEXT,
        "n_samples": INTEGER,
        "n_features": INTEGER,
        "scores": TEXT,
        "best_params": TEXT,
        "preprocessings": TEXT,
        "branch_id": INTEGER,
        "branch_name": TEXT,
        "exclusion_count": INTEGER,
        "exclusion_rate": REAL,
        "created_at": TIME,
    },
    LOG: {
        "log_id": TEXT,
        "pipeline_id": TEXT,
        "step_idx": INTEGER,
        "operator_class": TEXT,
        "event": TEXT,
        "duration_ms": INTEGER,
        "message": TEXT,
        "details": TEXT,
        "level": TEXT,
        "created_at": TIME,
    },
    CLAIM: {
        "artifact_id": TEXT,
        "artifact_path": TEXT,
        "content_hash": TEXT,
        "operator_class": TEXT,
        "artifact_type": TEXT,
        "format": TEXT,
        "size_bytes": INTEGER,
        "created_at": TIME,
    },
    PROGRESS: {
        "job_id": TEXT,
        "seq": INTEGER,
        "step_type": TEXT,
        "step_index": INTEGER,
        "step_total": INTEGER,
        "metrics": TEXT,
        "message": TEXT,
        "at": TIME,
    },
}
"""The values of each kind, in order, with their Arrow types; times are microseconds since 1970."""

ARRAY_NAMES = ("y_true", "y_pred", "y_proba", "sample_indices", "weights")
_INTEGERS = {"sample_indices"}

ArraysOf = tuple[str, dict[str, np.ndarray[Any, Any]]]
"""A prediction's identifier and its arrays."""


def understood(record: Record) -> bool:
    """Whether this version knows what a record is; another may have written it."""
    if record.kind == ARRAYS:
        return len(record.values) == 1
    return record.kind in COLUMNS and len(record.values) == len(COLUMNS[record.kind])


def insert(con: duckdb.DuckDBPyConnection, records: Iterable[Record]) -> None:
    """Write records to their tables, inside the caller's transaction."""
    by_kind: dict[str, list[Record]] = {}
    for record in records:
        by_kind.setdefault(record.kind, []).append(record)
    for kind, write in _WRITERS.items():
        if kind in by_kind:
            write(con, [record.values for record in by_kind[kind]])
    saved = [*by_kind.get(PREDICTION, ()), *by_kind.get(ARRAYS, ())]
    arrays = [(record.values[0], dict(record.arrays)) for record in saved if record.arrays]
    if arrays:
        insert_arrays(con, arrays)


def insert_predictions(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[Any]]) -> None:
    """Write predictions whose pipeline is there and has not failed, and whose chain is there."""
    with rows_as(con, "incoming", COLUMNS[PREDICTION], rows):
        con.execute(
            """
            INSERT INTO main.predictions BY NAME
            SELECT incoming.* FROM incoming
            SEMI JOIN (FROM main.pipelines WHERE status <> 'failed') USING (pipeline_id)
            WHERE chain_id IS NULL OR chain_id IN (SELECT chain_id FROM main.chains)
            ON CONFLICT DO NOTHING
            """
        )


def insert_arrays(con: duckdb.DuckDBPyConnection, rows: Sequence[ArraysOf]) -> None:
    """Write the arrays of predictions that are there and have none."""
    columns = {"prediction_id": pa.array([identifier for identifier, _ in rows], TEXT)}
    for name in ARRAY_NAMES:
        columns[name] = _lists([arrays.get(name) for _, arrays in rows], name in _INTEGERS)
    columns["shapes"] = pa.array([_shapes(arrays) for _, arrays in rows], TEXT)
    con.register("incoming_arrays", pa.table(columns))
    try:
        con.execute(
            """
            INSERT INTO main.prediction_arrays BY NAME
            SELECT incoming_arrays.* FROM incoming_arrays
            SEMI JOIN main.predictions USING (prediction_id)
            ON CONFLICT DO NOTHING
            """
        )
    finally:
        con.unregister("incoming_arrays")


def _insert_logs(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[Any]]) -> None:
    # Readers list entries of one time in order of writing, which a join or a clause for conflicts
    # would not keep. There are no conflicts: each record is folded once.
    columns = COLUMNS[LOG] | {"position": INTEGER}
    placed = [[*row, position] for position, row in enumerate(rows)]
    with rows_as(con, "incoming", columns, placed):
        con.execute(
            """
            INSERT INTO main.logs BY NAME
            SELECT incoming.* EXCLUDE position FROM incoming
            SEMI JOIN (FROM main.pipelines WHERE status <> 'failed') USING (pipeline_id)
            ORDER BY position
            """
        )


def _insert_claims(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[Any]]) -> None:
    with rows_as(con, "incoming", COLUMNS[CLAIM], rows):
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE claims AS
            SELECT artifact_id, min_by(COLUMNS(* EXCLUDE artifact_id), created_at), count(*) AS n
            FROM incoming GROUP BY artifact_id
            """
        )
    con.execute(
        """
        UPDATE main.artifacts AS a
        SET ref_count = a.ref_count + c.n, open_claims = a.open_claims + c.n
        FROM claims c WHERE a.artifact_id = c.artifact_id
        """
    )
    con.execute(
        """
        INSERT INTO main.artifacts BY NAME
        SELECT c.* EXCLUDE n, n AS ref_count, n AS open_claims
        FROM claims c ANTI JOIN main.artifacts USING (artifact_id)
        """
    )


def _insert_progress(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[Any]]) -> None:
    with rows_as(con, "incoming", COLUMNS[PROGRESS], rows):
        con.execute("INSERT INTO features.training_progress BY NAME FROM incoming")


_WRITERS: dict[str, Callable[[duckdb.DuckDBPyConnection, Sequence[Sequence[Any]]], None]] = {
    PREDICTION: insert_predictions,
    LOG: _insert_logs,
    CLAIM: _insert_claims,
    PROGRESS: _insert_progress,
}


def _lists(arrays: Sequence[np.ndarray[Any, Any] | None], integers: bool) -> Any:
    """Arrow list column of arrays, flattened row by row; None becomes null."""
    dtype = np.int64 if integers else np.float64
    sizes = [0 if array is None else array.size for array in arrays]
    offsets = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    given = [np.asarray(array, dtype).reshape(-1) for array in arrays if array is not None]
    values = np.concatenate(given) if given else np.empty(0, dtype)
    missing = pa.array([array is None for array in arrays])
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values), mask=missing)


def _shapes(arrays: dict[str, np.ndarray[Any, Any]]) -> str | None:
    shapes = {name: list(array.shape) for name, array in arrays.items() if array.ndim != 1}
    return canonical_json(shapes) if shapes else None
