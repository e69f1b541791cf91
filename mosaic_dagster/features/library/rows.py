"""What the features of the library read from a table: row order, numbers, keypoints, fps."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.keypoints import keypoint_columns, keypoint_indices
from mosaic_dagster.features.kernels.runs import find_runs, find_tracks
from mosaic_dagster.features.output import IDENTITY_COLUMNS
from mosaic_dagster.features.params import DatasetFacts

S = TypeVar("S", bound=np.generic)

_FEW = 2**16


@dataclass(frozen=True)
class RowOrder:
    """The rows of a table sorted by identity, then frame, and the way back.

    Attributes
    ----------
    order
        Position in the table of each sorted row, shape (n_rows,).
    identity
        Number of the identity of each sorted row, shape (n_rows,).
    frames
        Frame of each sorted row, shape (n_rows,).
    """

    order: IntArray
    identity: IntArray
    frames: IntArray

    @cached_property
    def tracks(self) -> list[slice]:
        """Sorted rows of each identity."""
        return find_tracks(self.identity)

    @cached_property
    def runs(self) -> list[slice]:
        """Sorted rows of each maximal stretch of one identity with frame step 1."""
        return find_runs(self.identity, self.frames)

    def sort(self, table: pl.DataFrame, column: str) -> FloatArray:
        """A column as numbers in sorted order; see :func:`numbers`."""
        return numbers(table, column)[self.order]

    def restore(self, values: npt.NDArray[S]) -> npt.NDArray[S]:
        """Values in sorted order back in the order of the table's rows."""
        restored = np.empty_like(values)
        restored[self.order] = values
        return restored


def identity_of(columns: Iterable[str]) -> list[str]:
    """Those of the columns that say whom a row is about, in their fixed order."""
    present = set(columns)
    return [column for column in IDENTITY_COLUMNS if column in present]


def order_rows(table: pl.DataFrame) -> RowOrder:
    """Sort the rows by identity, then frame.

    Raises
    ------
    MissingColumnError
        There is no column ``frame``.
    FeatureError
        A frame is null, or an identity has two rows in one frame.
    """
    identity = identity_of(table.columns)
    if "frame" not in table.columns:
        msg = f"The table has no column 'frame'; it has {', '.join(table.columns)}."
        raise MissingColumnError(msg, "Read tracks, or a step that keeps their rows.")
    keys = [table[name] for name in (*identity, "frame")]
    if all(key.dtype.is_integer() and not key.null_count() for key in keys):
        rows = _order_whole([key.cast(pl.Int64).to_numpy() for key in keys])
        if rows is not None:
            return rows
    return _order_any(table, identity)


def _order_whole(keys: list[IntArray]) -> RowOrder | None:
    """Order by whole numbers, which numpy sorts fast, the more so where they nearly are in order.

    None where an identity has two rows in one frame.
    """
    order = _sorted_positions(keys)
    *identities, frames = (key[order] for key in keys)
    other = np.zeros(max(len(order) - 1, 0), dtype=np.bool_)
    for column in identities:
        other |= column[1:] != column[:-1]
    if not (other | (frames[1:] != frames[:-1])).all():
        return None
    identity = np.zeros(len(order), dtype=np.int64)
    np.cumsum(other, out=identity[1:])
    return RowOrder(order, identity, frames)


def _sorted_positions(keys: list[IntArray]) -> IntArray:
    """Positions that sort by the first key, then the next; equal rows keep their order.

    Tables are mostly written frame by frame: then a sort by the animal alone is enough, and numpy
    sorts numbers of 16 bits by counting them.
    """
    *identity, frames = keys
    if len(identity) == 1 and len(frames) and (frames[1:] >= frames[:-1]).all():
        lowest = int(identity[0].min())
        if int(identity[0].max()) - lowest < _FEW:
            few = (identity[0] - lowest).astype(np.uint16)
            return np.argsort(few, kind="stable").astype(np.int64, copy=False)
    return np.lexsort(keys[::-1]).astype(np.int64, copy=False)


def _order_any(table: pl.DataFrame, identity: list[str]) -> RowOrder:
    """Order by identities of any type, and say what is wrong with a table."""
    keys = table.select(*identity, pl.col("frame").cast(pl.Int64)).with_row_index("row")
    if keys["frame"].null_count():
        msg = f"Row {keys.filter(pl.col('frame').is_null())['row'][0]} has no frame."
        raise FeatureError(msg, "Give every row its frame number.")
    keys = keys.sort([*identity, "frame"], maintain_order=True)
    groups = pl.struct(identity).rle_id() if identity else pl.lit(0)
    keys = keys.with_columns(groups.cast(pl.Int64).alias("group of rows"))
    frames = keys["frame"].to_numpy()
    numbers_of_identity = keys["group of rows"].to_numpy()
    repeated = (np.diff(frames) == 0) & (np.diff(numbers_of_identity) == 0)
    if repeated.any():
        example = keys.row(int(repeated.argmax()), named=True)
        who = ", ".join(f"{column} {example[column]!r}" for column in identity)
        msg = f"Frame {example['frame']} has more than one row" + (f" for {who}." if who else ".")
        raise FeatureError(msg, "Each individual or pair has at most one row per frame.")
    order = keys["row"].to_numpy().astype(np.int64)
    return RowOrder(order, numbers_of_identity, frames)


def numbers(table: pl.DataFrame, column: str) -> FloatArray:
    """A column as float64 in a new array, shape (n_rows,); null and infinities become NaN.

    Raises
    ------
    MissingColumnError
        The table does not have the column.
    """
    try:
        series = table.get_column(column)
    except pl.exceptions.ColumnNotFoundError as error:
        msg = f"The table has no column {column!r}; it has {', '.join(table.columns)}."
        raise MissingColumnError(msg, "Name another, or read the step that makes it.") from error
    if series.dtype != pl.Float64:
        series = series.cast(pl.Float64)
    # Polars gives nulls of a float column as NaN.
    values = np.array(series.to_numpy(), dtype=np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        values[infinite] = np.nan
    return values


def matrix(table: pl.DataFrame, columns: Sequence[str]) -> FloatArray:
    """Several columns as :func:`numbers`, shape (n_rows, n_columns)."""
    values = np.empty((table.height, len(columns)))
    for position, column in enumerate(columns):
        values[:, position] = numbers(table, column)
    return values


def columns_of(table: pl.DataFrame, columns: Sequence[str]) -> FloatArray:
    """Several columns as :func:`numbers` in the order of memory, shape (n_columns, n_rows)."""
    values = np.empty((len(columns), table.height))
    for position, column in enumerate(columns):
        values[position] = numbers(table, column)
    return values


def keypoints(table: pl.DataFrame, indices: Sequence[int] | None = None) -> FloatArray:
    """Coordinates of keypoints, shape (n_rows, n_keypoints, 2); NaN where missing.

    Parameters
    ----------
    table
        A tracks table.
    indices
        Numbers k of ``poseX{k}``, ``poseY{k}``; None means all, sorted as numbers.
    """
    if indices is None:
        indices = keypoint_indices(table.columns)
    values = matrix(table, keypoint_columns(indices))
    return values.reshape(table.height, len(indices), 2)


def resolve_keypoint(keypoint: int | str, facts: DatasetFacts) -> int:
    """Number of a keypoint that is given by number or by name.

    Raises
    ------
    ParamsError
        The dataset has no keypoint of this name, or does not name its keypoints.
    """
    if isinstance(keypoint, int):
        return keypoint
    if keypoint in facts.keypoints:
        return facts.keypoints.index(keypoint)
    msg = f"The dataset has no keypoint {keypoint!r}."
    if not facts.keypoints:
        raise ParamsError(msg, "It names no keypoints; give their numbers instead.")
    near = difflib.get_close_matches(keypoint, facts.keypoints, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise ParamsError(msg, f"{hint}The keypoints are: {', '.join(facts.keypoints)}.")


def keypoint_numbers(chosen: Iterable[int | str]) -> tuple[int, ...]:
    """Keypoints that are resolved to numbers already.

    Raises
    ------
    ParamsError
        One is still a name.
    """
    resolved = tuple(chosen)
    names = [keypoint for keypoint in resolved if isinstance(keypoint, str)]
    if names:
        msg = f"The keypoint {names[0]!r} is a name that was not looked up."
        raise ParamsError(msg, "Call params.resolve(DatasetFacts(keypoints=…)), or use numbers.")
    return tuple(int(keypoint) for keypoint in resolved)


def find_fps(table: pl.DataFrame, fallback: float | None) -> float | None:
    """Frames per second: the table's own, else the fallback, else None.

    Raises
    ------
    FeatureError
        The column ``fps`` holds several values or one that is not positive.
    """
    if "fps" not in table.columns:
        return fallback
    found = table["fps"].drop_nulls().unique().sort().to_list()
    rates = [float(value) for value in found if np.isfinite(value)]
    if not rates:
        return fallback
    if len(rates) > 1:
        msg = f"The column 'fps' holds several values: {', '.join(map(str, rates[:5]))}."
        raise FeatureError(msg, "One recording has one frame rate; split it or correct the column.")
    if rates[0] <= 0:
        msg = f"The column 'fps' holds {rates[0]}."
        raise FeatureError(msg, "A frame rate is positive.")
    return rates[0]


def need_fps(table: pl.DataFrame, fallback: float | None, feature: str) -> float:
    """Frames per second as :func:`find_fps`, where there is no way without.

    Raises
    ------
    FeatureError
        Neither the table nor the parameters say it.
    """
    fps = find_fps(table, fallback)
    if fps is None:
        msg = f"{feature} needs the frame rate, and neither its input nor its parameters have it."
        raise FeatureError(msg, "Set fps in the parameters, or fps_default in the dataset.")
    return fps
