"""Arrays of a prediction: checked going in, with their shapes coming out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store.database.journal.kinds import ARRAY_NAMES
from mosaic_dagster.store.workspace.json_columns import from_json

Arrays = dict[str, np.ndarray[Any, Any]]

_INTEGERS = "sample_indices"


def checked_arrays(given: Mapping[str, Any]) -> Arrays:
    """Arrays as they are stored: float64, indices int64, without those that are None.

    Raises
    ------
    StoreTypeError
        An array is not numeric, or has a name that is not known.
    StoreValueError
        Their lengths differ, or indices are not whole numbers.
    """
    if not isinstance(given, Mapping):
        msg = f"The arrays of a prediction are a {type(given).__name__}."
        raise StoreTypeError(msg, f"Give a mapping with {', '.join(ARRAY_NAMES)}.")
    arrays = {name: _checked(name, value) for name, value in given.items() if value is not None}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        msg = f"The arrays of a prediction have different lengths: {told}."
        raise StoreValueError(msg, "Give one value, or one row, per sample.")
    return arrays


def load(con: duckdb.DuckDBPyConnection, prediction_id: str) -> dict[str, Any]:
    """Return the arrays of a prediction by name, in their shapes; None where there is none."""
    columns = ", ".join(ARRAY_NAMES)
    found = con.execute(
        f"SELECT {columns}, shapes FROM main.prediction_arrays WHERE prediction_id = ?",
        [prediction_id],
    ).fetchnumpy()
    if not len(found["shapes"]):
        return dict.fromkeys(ARRAY_NAMES)
    shapes = from_json(_cell(found["shapes"])) or {}
    return {name: _restored(name, _cell(found[name]), shapes.get(name)) for name in ARRAY_NAMES}


def _checked(name: str, value: Any) -> np.ndarray[Any, Any]:
    if name not in ARRAY_NAMES:
        msg = f"A prediction has no array {name!r}."
        raise StoreTypeError(msg, f"Use {', '.join(ARRAY_NAMES)}.")
    array = _array(name, value)
    if array.size == 0 and array.dtype.kind == "O":
        array = array.astype(np.float64)
    if array.dtype.kind not in "buif":
        msg = f"The array {name!r} holds {array.dtype}, not numbers."
        raise StoreTypeError(msg, "Encode class labels as numbers first.")
    if array.ndim == 0:
        msg = f"{name!r} is a single number."
        raise StoreValueError(msg, "Give an array with one value per sample.")
    if name != _INTEGERS:
        return array.astype(np.float64, copy=False)
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64, copy=False)
    # Fractions, nan and what is too large become other numbers.
    kept = np.array_equal(whole.astype(array.dtype), array)
    if not kept or (array.dtype.kind == "u" and (whole < 0).any()):
        msg = f"{name!r} holds numbers that are not whole, or too large."
        raise StoreValueError(msg, "Give the indices of the samples.")
    return whole


def _array(name: str, value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.filled(value.astype(np.float64), np.nan)
    try:
        return np.asarray(value)
    except ValueError as error:
        msg = f"The rows of {name!r} have different lengths: {error}."
        raise StoreValueError(msg, "Give as many values in each row.") from error


def _cell(column: Any) -> Any:
    return None if np.ma.is_masked(column) and column.mask[0] else column[0]


def _restored(name: str, values: Any, shape: list[int] | None) -> np.ndarray[Any, Any] | None:
    if values is None:
        return None
    array = np.array(values, dtype=np.int64 if name == _INTEGERS else np.float64)
    return array if shape is None else array.reshape(shape)
