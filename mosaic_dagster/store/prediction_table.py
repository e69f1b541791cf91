"""Prediction rows with their arrays as one table, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.store.database.journal.kinds import ARRAY_NAMES
from mosaic_dagster.store.workspace.arrays import checked_arrays
from mosaic_dagster.store.workspace.json_columns import finite, from_json, to_json

_JSON = ("scores", "best_params")
_SCORES = ("val_score", "test_score", "train_score")
_SCHEMA: dict[str, Any] = {
    "chain": pl.Int64,
    "dataset_name": pl.String,
    "model_name": pl.String,
    "model_class": pl.String,
    "fold_id": pl.String,
    "partition": pl.String,
    **dict.fromkeys(_SCORES, pl.Float64),
    "metric": pl.String,
    "task_type": pl.String,
    "n_samples": pl.Int64,
    "n_features": pl.Int64,
    **dict.fromkeys(_JSON, pl.String),
    "preprocessings": pl.String,
    "branch_id": pl.Int64,
    "branch_name": pl.String,
    "exclusion_count": pl.Int64,
    "exclusion_rate": pl.Float64,
    **{name: pl.List(pl.Int64 if name == "sample_indices" else pl.Float64) for name in ARRAY_NAMES},
    "shapes": pl.String,
}


def prediction_table(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as for ``save_prediction`` as a table, with a list column for each array.

    Equal rows give an equal table. What a row leaves out is null.

    Raises
    ------
    StoreTypeError
        An array is not numeric, or a value is not JSON.
    StoreValueError
        The arrays of a row have different lengths.
    """
    return pl.DataFrame([_flat(row) for row in rows], schema=_SCHEMA)


def prediction_rows(table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows that :func:`prediction_table` was given; nulls are left out."""
    for row in table.iter_rows(named=True):
        shapes = from_json(row.pop("shapes")) or {}
        arrays = {
            name: np.array(values).reshape(shapes.get(name, -1))
            for name in ARRAY_NAMES
            if (values := row.pop(name)) is not None
        }
        found = {name: value for name, value in row.items() if value is not None}
        found |= {name: from_json(found[name]) for name in _JSON if name in found}
        yield found | ({"arrays": arrays} if arrays else {})


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    arrays = checked_arrays(row.get("arrays") or {})
    shapes = {name: list(array.shape) for name, array in arrays.items() if array.ndim != 1}
    flat: dict[str, Any] = {name: row.get(name) for name in _SCHEMA}
    flat |= {name: to_json(row.get(name), name) for name in _JSON}
    flat |= {name: finite(row.get(name)) for name in _SCORES}
    flat |= {name: array.reshape(-1).tolist() for name, array in arrays.items()}
    return flat | {"shapes": to_json(shapes or None, "shapes")}
