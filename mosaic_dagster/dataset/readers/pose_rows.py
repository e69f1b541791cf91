"""From rows of points to the table of a recording, and the choice of the longest tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray


def pose_table(
    frames: NDArray[Any],
    ids: NDArray[Any],
    points: NDArray[Any],
    confidence: NDArray[Any] | None = None,
    individuals: Sequence[str] = (),
) -> pl.DataFrame:
    """Make the table of a recording.

    Parameters
    ----------
    frames, ids
        Frame and number of the animal of each row, shape (rows,).
    points
        Coordinates, shape (rows, keypoints, 2), x before y; NaN where missing.
    confidence
        Shape (rows, keypoints); None where the file has none, then the table has none either.
    individuals
        Name of each animal, by its number; the column ``individual`` is there when there are
        several.

    Returns
    -------
    polars.DataFrame
        ``frame``, ``id``, ``poseX0``, ``poseY0``, maybe ``poseP0``, … and maybe ``individual``.
    """
    numbers = np.asarray(ids).astype(np.int64)
    columns = {"frame": pl.Series(np.asarray(frames).astype(np.int64)), "id": pl.Series(numbers)}
    for k in range(points.shape[1]):
        columns[f"poseX{k}"] = _floats(points[:, k, 0])
        columns[f"poseY{k}"] = _floats(points[:, k, 1])
        if confidence is not None:
            columns[f"poseP{k}"] = _floats(confidence[:, k])
    if len(individuals) > 1:
        named = pl.Series([individuals[number] for number in numbers.tolist()], dtype=pl.String)
        columns["individual"] = named
    return pl.DataFrame(columns)


def found_rows(points: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows of (rows, keypoints, 2) have any coordinate that is not NaN."""
    found: NDArray[np.bool_] = ~np.isnan(points).all(axis=(1, 2))
    return found


def keep_longest(table: pl.DataFrame, n_longest: int | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Keep the tracks with the most rows; of equally long ones those with the lower ids.

    Parameters
    ----------
    table
        A table of :func:`pose_table`.
    n_longest
        How many tracks to keep; None keeps all.

    Returns
    -------
    tuple
        The rows of the tracks that were kept, ids as they were; and ``tracks_in_file``,
        ``tracks_left_out`` and, when there are any, ``rows_left_out`` and ``longest_left_out``
        (rows).
    """
    lengths = table["id"].value_counts().sort(["count", "id"], descending=[True, False])
    n_kept = lengths.height if n_longest is None else min(n_longest, lengths.height)
    left_out = lengths["count"].slice(n_kept)
    notes: dict[str, Any] = {"tracks_in_file": lengths.height, "tracks_left_out": len(left_out)}
    if len(left_out):
        table = table.filter(pl.col("id").is_in(lengths["id"].head(n_kept).to_list()))
        notes["rows_left_out"] = int(left_out.sum())
        notes["longest_left_out"] = int(left_out[0])
    return table, notes


def _floats(values: NDArray[Any]) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values, dtype=np.float64))
