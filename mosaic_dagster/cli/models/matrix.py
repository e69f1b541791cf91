"""Samples by features as files give them, and predictions as files take them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import typer

from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.store.content import durable

Array = np.ndarray[Any, Any]

_READ = (".csv", ".parquet", ".npy")
_WRITTEN = (".csv", ".parquet")


def read_matrix(path: Path, columns: Sequence[str] | None) -> tuple[Array, list[str]]:
    """Read the features of some samples.

    Parameters
    ----------
    path
        A csv file with a header, a Parquet file, or an npy file.
    columns
        Names of the features in the order that the chain wants; None for all that are numeric.

    Returns
    -------
    tuple
        Matrix of shape (samples, features) as float64, a missing value being NaN; and the names
        of columns that were left out because they hold no numbers.

    Raises
    ------
    typer.BadParameter
        The ending of the file's name, or a name of a column, is not known.
    ReaderError
        The file is not what its ending says, or has no features.
    """
    suffix = path.suffix.lower()
    if suffix not in _READ:
        msg = f"{path.name} is none of {', '.join(_READ)}; save the table as one of them."
        raise typer.BadParameter(msg, param_hint="INPUT")
    if suffix == ".npy":
        if columns is not None:
            msg = "The columns of an npy file have no names; leave the option out."
            raise typer.BadParameter(msg, param_hint="--columns")
        return _read_npy(path), []
    table = _read_table(path, suffix)
    chosen = _numeric(table) if columns is None else _named(path, table, columns)
    if not chosen and table.is_empty():
        msg = f"{path} has no rows."
        raise ReaderError(msg, "Give a table with a row for each sample.")
    if not chosen:
        msg = f"{path} has no numeric column."
        raise ReaderError(msg, "Give a table of samples by features, with a header line.")
    left_out = [] if columns is not None else [n for n in table.columns if n not in chosen]
    return table.select(pl.col(chosen).cast(pl.Float64)).to_numpy(), left_out


def feature_names(chain: Mapping[str, Any]) -> list[str] | None:
    """Names of the features that a chain takes, where its first step tells them."""
    steps = sorted(chain.get("steps") or [], key=lambda step: int(step["step_idx"]))
    return list(steps[0].get("feature_names") or []) or None if steps else None


def prediction_table(values: Array) -> pl.DataFrame:
    """Predictions as a table: a row for each sample, a column for each output."""
    if values.ndim == 1:
        return pl.DataFrame({"prediction": values})
    return pl.DataFrame({f"prediction_{i}": values[:, i] for i in range(values.shape[1])})


def check_output(path: Path) -> None:
    """Refuse a file that predictions cannot be written to.

    Raises
    ------
    typer.BadParameter
        The ending of its name is not known.
    """
    if path.suffix.lower() not in _WRITTEN:
        msg = f"{path.name} is none of {', '.join(_WRITTEN)}; give the file such an ending."
        raise typer.BadParameter(msg, param_hint="--output")


def write_table(table: pl.DataFrame, path: Path) -> Path:
    """Write a table as csv or Parquet, whole or not at all."""
    buffer = io.BytesIO()
    if path.suffix.lower() == ".csv":
        table.write_csv(buffer)
    else:
        table.write_parquet(buffer)
    return durable.replace_file(path, buffer.getvalue())


def _read_npy(path: Path) -> Array:
    try:
        matrix = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        # numpy would have the reader load it as a pickle.
        msg = f"{path} is no npy file of numbers."
        raise ReaderError(msg, "Save an array of samples by features with numpy.save.") from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        msg = f"{path} holds no matrix of numbers."
        raise ReaderError(msg, "Save an array with two dimensions, samples by features.")
    return matrix.astype(np.float64)


def _read_table(path: Path, suffix: str) -> pl.DataFrame:
    try:
        if suffix == ".csv":
            return pl.read_csv(path, infer_schema_length=None)
        return pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ReaderError:
    msg = f"{path} cannot be read: {error}"
    return ReaderError(msg, "Check that the file is what its ending says, and whole.")


def _numeric(table: pl.DataFrame) -> list[str]:
    return [name for name, dtype in table.schema.items() if dtype.is_numeric()]


def _named(path: Path, table: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    for name in columns:
        if name not in table.columns:
            msg = f"{path.name} has no column {name!r}. {nearest(name, table.columns)}".strip()
            raise typer.BadParameter(msg, param_hint="--columns")
        is_empty = table[name].null_count() == table.height
        if not table.schema[name].is_numeric() and not is_empty:
            msg = f"The column {name!r} of {path} holds no numbers ({table.schema[name]})."
            raise ReaderError(msg, "Name numeric columns, and correct cells that are not numbers.")
    if len(set(columns)) < len(columns):
        msg = "A column is named twice; name each once."
        raise typer.BadParameter(msg, param_hint="--columns")
    return list(columns)
