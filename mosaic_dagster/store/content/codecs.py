"""Values to bytes and back; the same value always gives the same bytes.

Tables are Parquet (polars writer, zstd, no statistics), arrays are npz with fixed dates, small
facts are canonical JSON. Nothing here runs code that a file contains.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.errors import ObjectDamagedError
from mosaic_dagster.hashing import canonical_json

_NOTES_KEY = "mosaic.notes"


def encode_table(table: pl.DataFrame, notes: Mapping[str, Any] | None = None) -> bytes:
    """Parquet bytes of a table, with notes (any canonical JSON) kept in the file's metadata."""
    buffer = io.BytesIO()
    metadata = {_NOTES_KEY: canonical_json(notes)} if notes else None
    table.write_parquet(buffer, compression="zstd", statistics=False, metadata=metadata)
    return buffer.getvalue()


def read_table(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a Parquet file, or some of its columns.

    Raises
    ------
    ObjectDamagedError
        The file is not readable Parquet.
    """
    try:
        return pl.read_parquet(path, columns=None if columns is None else list(columns))
    except (pl.exceptions.ComputeError, pl.exceptions.PanicException) as error:
        msg = f"{path} is not a readable Parquet file: {error}"
        raise ObjectDamagedError(msg, "Run `mosaic store verify`.") from error


def read_schema(path: Path) -> pl.Schema:
    """Columns and types of a Parquet file, without its rows."""
    return pl.Schema(pl.read_parquet_schema(path))


def count_rows(path: Path) -> int:
    """Count the rows of a Parquet file, without reading them."""
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def read_notes(path: Path) -> dict[str, Any]:
    """Return the notes that :func:`encode_table` was given; empty when there were none."""
    text = pl.read_parquet_metadata(path).get(_NOTES_KEY)
    return json.loads(text) if text else {}


def encode_arrays(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Npz bytes of named arrays of numbers, booleans or text, in the order of their names.

    Raises
    ------
    TypeError
        An array holds Python objects.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            msg = f"The array {name!r} holds Python objects, which are never stored."
            raise TypeError(msg)
    buffer = io.BytesIO()
    np.savez(buffer, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    return buffer.getvalue()


def save_arrays(path: Path, **arrays: np.ndarray[Any, Any]) -> None:
    """Write :func:`encode_arrays` to a file."""
    path.write_bytes(encode_arrays(arrays))


def load_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read named arrays back; pickled content is refused by numpy."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
