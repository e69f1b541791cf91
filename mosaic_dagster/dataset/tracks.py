"""Any table of tracks into the one form that features read, and the check of that form.

Missing is NaN, never null and never infinite. Rows are sorted by ``id`` and ``frame``; ids are
whole numbers from 0 without gaps; a frame in which an animal was not found has no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mosaic_dagster.dataset.tracks_schema import (
    CLOSING,
    LEADING,
    TYPES,
    check_columns,
    column_order,
    is_number_column,
    pose_indices,
)
from mosaic_dagster.errors import TracksError
from mosaic_dagster.keys import EntryKey

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Repairs:
    """What was counted while a file became tracks.

    Attributes
    ----------
    rows_read, rows_kept
        Rows (one animal in one frame) before and after.
    empty_rows_dropped
        Rows without a single finite point.
    missing_points
        Keypoints without coordinates in the rows that were kept.
    incomplete_points
        Keypoints with one finite coordinate only; both are missing now.
    zero_points
        Keypoints at (0, 0) with confidence 0; missing now.
    infinite_values
        Infinite numbers; missing now.
    unparsable_values
        Cells that a reader could not read as numbers; missing now.
    individuals
        Number of ids in the rows that were kept.
    notes
        What a reader tells about a file, such as what it left out on request.
    """

    rows_read: int = 0
    rows_kept: int = 0
    empty_rows_dropped: int = 0
    missing_points: int = 0
    incomplete_points: int = 0
    zero_points: int = 0
    infinite_values: int = 0
    unparsable_values: int = 0
    individuals: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name, and the notes where there are any, for metadata."""
        counts = asdict(self)
        return counts if self.notes else {n: v for n, v in counts.items() if n != "notes"}

    def describe(self) -> str:
        """One line for people; counts of zero are left out.

        Examples
        --------
        >>> Repairs(rows_read=3, rows_kept=2, empty_rows_dropped=1, individuals=1).describe()
        '2 of 3 rows kept, 1 individuals, 1 empty rows dropped'
        """
        told = {"rows_read", "rows_kept", "individuals", "notes"}
        parts = [
            f"{self.rows_kept} of {self.rows_read} rows kept",
            f"{self.individuals} individuals",
        ]
        counts = self.as_dict().items()
        parts += [f"{n} {name.replace('_', ' ')}" for name, n in counts if n and name not in told]
        parts += [f"{name.replace('_', ' ')}: {note}" for name, note in self.notes.items()]
        return ", ".join(parts)


def normalize_tracks(
    table: pl.DataFrame, key: EntryKey, fps: float | None
) -> tuple[pl.DataFrame, Repairs]:
    """Bring a table of tracks into the form that features read.

    Parameters
    ----------
    table
        ``frame``, ``id``, and ``X``, ``Y`` or keypoints ``poseX{k}``, ``poseY{k}``; see
        :mod:`mosaic_dagster.dataset.tracks_schema`.
    key
        The entry; becomes the columns ``group`` and ``sequence``.
    fps
        Frames per second where the table has no column ``fps``.

    Returns
    -------
    tuple
        The table and what was repaired. ``X``, ``Y`` are the mean of the finite keypoints where
        the table has none; ``time`` is ``frame / fps`` (s) where the table has none. Ids that
        had gaps are numbered anew in their order and kept as ``source_track_id``.

    Raises
    ------
    TracksError
        The columns do not make tracks, a value is of the wrong kind, a frame is negative or not
        whole, an animal is twice in one frame, or fps is not known.
    """
    where = f"Tracks of {key}"
    check_columns(table.columns, where)
    _check_text(key, where)
    rate = _frame_rate(table, fps, where)
    _check_origin(table, key, where)
    table = table.with_columns(
        _whole_numbers(table, "frame", where), _whole_numbers(table, "id", where)
    )
    _check_unique(table, where)
    table, infinite = _finite_numbers(table, where)
    table, repairs = _repair_points(table)
    table = table.pipe(_with_centre).filter(pl.col("X").is_not_nan() & pl.col("Y").is_not_nan())
    table = _dense_ids(table)
    table = _with_time(table, rate, where).with_columns(
        fps=pl.lit(rate, pl.Float64), group=pl.lit(key.group), sequence=pl.lit(key.sequence)
    )
    table = table.select(column_order(table.columns)).sort("id", "frame").rechunk()
    return table, replace(
        repairs,
        rows_kept=table.height,
        empty_rows_dropped=repairs.rows_read - table.height,
        missing_points=_missing_points(table),
        infinite_values=infinite,
        individuals=table["id"].n_unique(),
    )


def validate_tracks(table: pl.DataFrame, key: EntryKey | None = None) -> None:
    """Check that a table has the form that :func:`normalize_tracks` gives.

    Raises
    ------
    TracksError
        It has not; the first difference is named.
    """
    where = "The tracks table" if key is None else f"Tracks of {key}"
    check_columns(table.columns, where)
    for column in (*LEADING, *CLOSING):
        if column not in table.columns:
            msg = f"{where}: the column {column!r} is missing."
            raise TracksError(msg, "Use normalize_tracks first.")
    for problem in (_wrong_type(table), _wrong_order(table), _wrong_values(table)):
        if problem:
            msg = f"{where}: {problem}"
            raise TracksError(msg, "Use normalize_tracks first.")
    _check_unique(table, where)
    if key is not None:
        _check_origin(table, key, where)


def _wrong_type(table: pl.DataFrame) -> str:
    for column, dtype in table.schema.items():
        wanted = TYPES.get(column, pl.Float64 if is_number_column(column) else dtype)
        if dtype != wanted:
            return f"the column {column!r} is {dtype}, not {wanted}."
    return ""


def _wrong_order(table: pl.DataFrame) -> str:
    if table.columns != column_order(table.columns):
        return f"the columns are not in the order {', '.join(column_order(table.columns))}."
    rows = table.select("id", "frame")
    return "" if rows.equals(rows.sort("id", "frame")) else "rows are not sorted by id and frame."


def _wrong_values(table: pl.DataFrame) -> str:
    if not table.height:
        return ""
    for column in (*LEADING, *CLOSING, *filter(is_number_column, table.columns)):
        if table[column].null_count():
            return f"the column {column!r} has null values; missing is NaN."
    for column in filter(is_number_column, table.columns):
        if table[column].is_infinite().any():
            return f"the column {column!r} has infinite values."
    for column in CLOSING:
        if table[column].n_unique() > 1:
            return f"the column {column!r} is not constant."
    ids = table["id"].unique().sort()
    if ids.to_list() != list(range(len(ids))):
        return f"the ids are {ids.to_list()[:5]}…, not 0, 1, … without gaps."
    return "a frame is negative." if int(table.select(pl.col("frame").min()).item()) < 0 else ""


def _frame_rate(table: pl.DataFrame, fps: float | None, where: str) -> float:
    rate: Any = fps
    if "fps" in table.columns and table.height:
        rates = table["fps"].drop_nulls().unique().to_list()
        if len(rates) > 1:
            msg = (
                f"{where}: the column 'fps' has several values, such as {rates[0]} and {rates[1]}."
            )
            raise TracksError(msg, "An entry is recorded at one rate; split it.")
        rate = rates[0] if rates else fps
    if rate is None:
        msg = f"{where}: the frames per second are not known."
        raise TracksError(msg, "Give fps in the manifest or as a parameter of the reader.")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < np.inf:
        msg = f"{where}: fps is {rate!r}, not a positive number."
        raise TracksError(msg, "Correct it in the file, the reader's parameters or the manifest.")
    return float(rate)


def _check_text(key: EntryKey, where: str) -> None:
    try:
        f"{key.group}{key.sequence}".encode()
    except UnicodeEncodeError as error:
        msg = f"{where}: the name of the entry is not valid text, so no table can hold it."
        raise TracksError(msg, "Rename the recording.") from error


def _check_origin(table: pl.DataFrame, key: EntryKey, where: str) -> None:
    for column, wanted in (("group", key.group), ("sequence", key.sequence)):
        if column in table.columns:
            others = table.filter(pl.col(column).cast(pl.String).ne_missing(wanted))
            if others.height:
                msg = f"{where}: the column {column!r} says {others[column][0]!r}."
                raise TracksError(msg, "One table holds one entry; drop the column or split it.")


def _whole_numbers(table: pl.DataFrame, column: str, where: str) -> pl.Series:
    """Convert the column to Int64; frames and ids count from 0 upwards."""
    values = table[column]
    if not (values.dtype.is_numeric() or values.dtype == pl.Null):
        msg = f"{where}: the column {column!r} holds {values.dtype}, not whole numbers."
        raise TracksError(msg, "Number frames and animals from 0 upwards.")
    whole = values.cast(pl.Int64, strict=False)
    bad = whole.is_null() | (whole < 0) | whole.cast(pl.Float64).ne_missing(values.cast(pl.Float64))
    if bad.any():
        row = int(bad.arg_true()[0])
        msg = f"{where}: {column} is {values[row]!r} in row {row} (rows count from 0)."
        raise TracksError(msg, f"Every {column} is a whole number from 0.")
    return whole


def _check_unique(table: pl.DataFrame, where: str) -> None:
    repeated = table.select("frame", "id").is_duplicated()
    if repeated.any():
        frame, animal = table.select("frame", "id").row(int(repeated.arg_true()[0]))
        msg = f"{where}: id {animal} has more than one row in frame {frame}."
        raise TracksError(msg, "Keep one of them; an animal is in one place at a time.")


def _finite_numbers(table: pl.DataFrame, where: str) -> tuple[pl.DataFrame, int]:
    """Float columns without null and infinity; how many infinite values there were."""
    columns, infinite = [], 0
    for name, dtype in table.schema.items():
        known = is_number_column(name) and name != "fps"
        if known and not (dtype.is_numeric() or dtype == pl.Null):
            msg = f"{where}: the column {name!r} holds {dtype}, not numbers."
            raise TracksError(msg, "Write numbers, missing values as null or NaN.")
        if known or dtype.is_float():
            values = table[name].cast(pl.Float64).fill_null(np.nan)
            infinite += int(values.is_infinite().sum())
            columns.append(values.replace([np.inf, -np.inf], [np.nan, np.nan]).alias(name))
    return table.with_columns(columns), infinite


def _repair_points(table: pl.DataFrame) -> tuple[pl.DataFrame, Repairs]:
    """Both coordinates of a keypoint, or neither; (0, 0) with confidence 0 is neither."""
    incomplete = zero = 0
    columns: dict[str, Floats] = {}
    for k in pose_indices(table.columns):
        x, y = (table[f"pose{part}{k}"].to_numpy().copy() for part in "XY")
        half = np.isnan(x) != np.isnan(y)
        lost = np.zeros(len(x), dtype=bool)
        if f"poseP{k}" in table.columns:
            lost = (x == 0) & (y == 0) & (table[f"poseP{k}"].to_numpy() == 0)
        incomplete, zero = incomplete + int(half.sum()), zero + int(lost.sum())
        x[half | lost] = y[half | lost] = np.nan
        columns |= {f"poseX{k}": x, f"poseY{k}": y}
    repairs = Repairs(rows_read=table.height, incomplete_points=incomplete, zero_points=zero)
    return table.with_columns(pl.Series(name, values) for name, values in columns.items()), repairs


def _with_centre(table: pl.DataFrame) -> pl.DataFrame:
    """X, Y as given, else the mean of the finite keypoints; NaN where there is none.

    A centre that the file gives is a point of its own: its row stays even when no keypoint
    was found.
    """
    if "X" in table.columns:
        return table
    return table.with_columns(
        pl.Series(axis, _mean_of_finite(table, axis), pl.Float64) for axis in "XY"
    )


def _mean_of_finite(table: pl.DataFrame, axis: str) -> Floats:
    names = [f"pose{axis}{k}" for k in pose_indices(table.columns)]
    total, count = np.zeros(table.height), np.zeros(table.height)
    for name in names:
        values = table[name].to_numpy()
        finite = np.isfinite(values)
        total += np.where(finite, values, 0.0)
        count += finite
    mean: Floats = np.divide(total, count, out=np.full(table.height, np.nan), where=count > 0)
    return mean


def _dense_ids(table: pl.DataFrame) -> pl.DataFrame:
    ids = table["id"].unique().sort()
    if ids.equals(pl.Series("id", range(len(ids)), pl.Int64)):
        return table
    if "source_track_id" not in table.columns:
        table = table.with_columns(source_track_id=pl.col("id"))
    return table.with_columns(id=pl.col("id").rank("dense").cast(pl.Int64) - 1)


def _with_time(table: pl.DataFrame, rate: float, where: str) -> pl.DataFrame:
    if "time" not in table.columns:
        return table.with_columns(time=pl.col("frame") / rate)
    missing = table.filter(pl.col("time").is_nan())
    if missing.height:
        msg = f"{where}: frame {missing['frame'][0]} has a position but no time."
        raise TracksError(msg, "Give a time (s) in every row, or drop the column 'time'.")
    return table


def _missing_points(table: pl.DataFrame) -> int:
    return sum(int(table[f"poseX{k}"].is_nan().sum()) for k in pose_indices(table.columns))
