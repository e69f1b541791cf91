"""Parquet files: their columns, and their rows with errors that name the file."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mosaic_dagster.errors import ReaderError

_DAMAGED = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_MAGIC = b"PAR1"
_AGAIN = "Is it complete? Copy or export it again."


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Names of the columns; empty for a file that is no readable parquet."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return ()
    try:
        return tuple(pl.read_parquet_schema(path))
    except _DAMAGED:
        return ()


def read_columns(path: Path) -> tuple[str, ...]:
    """Names of the columns.

    Raises
    ------
    ReaderError
        The file cannot be opened, or is not readable parquet.
    """
    try:
        columns = parquet_columns(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not columns:
        msg = f"{path} is not a readable parquet file with columns."
        raise ReaderError(msg, _AGAIN)
    return columns


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a whole file.

    Raises
    ------
    ReaderError
        It cannot be opened, or is not readable parquet.
    """
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except OSError as error:
        raise _unreadable(path, error) from error
    except _DAMAGED as error:
        msg = f"{path} is not a readable parquet file: {error}"
        raise ReaderError(msg, _AGAIN) from error


def check_numbers(table: pl.DataFrame, columns: list[str], path: Path) -> None:
    """Refuse columns that hold something else than numbers.

    Raises
    ------
    ReaderError
        A column is missing, or is not of a type of numbers.
    """
    for column in columns:
        if column not in table.columns:
            msg = f"{path} has no column {column!r}; it has {', '.join(table.columns)}."
            raise ReaderError(msg, "Is it the format that was asked for?")
        dtype = table[column].dtype
        if not (dtype.is_numeric() or dtype == pl.Null):
            msg = f"{path}: the column {column!r} holds {dtype}, not numbers."
            raise ReaderError(msg, "Write it as numbers, missing values as null or NaN.")


def _unreadable(path: Path, error: OSError) -> ReaderError:
    msg = f"{path} cannot be read: {error.strerror or error}."
    return ReaderError(msg, "Check that the file is there and that you may read it.")
