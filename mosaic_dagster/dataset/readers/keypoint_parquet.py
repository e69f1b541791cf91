"""Parquet tables: one row per animal and frame, keypoints by name or by number.

Like the csv of named keypoints: ``frame``, maybe ``id`` (or ``track``), ``time``, ``X`` and ``Y``,
and ``<keypoint>_x``, ``<keypoint>_y``, maybe ``<keypoint>_p``. Or like an exported table of tracks:
``poseX0``, ``poseY0``, …. Every other column is kept as it is. A table with columns ``group`` and
``sequence`` holds as many recordings as it names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import polars as pl

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording, one_sequence
from mosaic_dagster.dataset.readers.keypoint_csv import split_keypoint
from mosaic_dagster.dataset.readers.parquet_tables import (
    check_numbers,
    parquet_columns,
    read_columns,
    read_parquet,
)
from mosaic_dagster.dataset.readers.parsed_file import PARSED
from mosaic_dagster.dataset.readers.pose_arrays import NamedParams, keypoint_names
from mosaic_dagster.dataset.readers.ultralytics_tracks import is_ultralytics
from mosaic_dagster.errors import ReaderError

_POSE = re.compile(r"pose[XYP](0|[1-9][0-9]*)")


class KeypointParquetParams(NamedParams):
    """Parameters of :class:`KeypointParquet`.

    Attributes
    ----------
    names
        Names of the keypoints 0, 1, … of a table that numbers them.
    ignore
        Columns that are left out.
    """

    ignore: tuple[str, ...] = ()


class KeypointParquet:
    """Reads tables with a ``frame`` column and coordinates."""

    name: ClassVar[str] = "keypoint_parquet"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".parquet",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = KeypointParquetParams

    def sniff(self, path: Path) -> bool:
        """Whether the columns are a frame and coordinates of individuals."""
        columns = parquet_columns(path)
        if "frame" not in columns or "id1" in columns or is_ultralytics(columns):
            return False
        has_keypoints = {"poseX0", "poseY0"} <= set(columns) or bool(_named_points(columns))
        return has_keypoints or {"X", "Y"} <= set(columns)

    def sequences(self, path: Path) -> list[Names]:
        """List the recordings that the table names, else one, called as the file."""
        return self.listed(path, self.params())

    def listed(self, path: Path, params: ReaderParams) -> list[Names]:
        """List the recordings that the table names, else one, called as the file.

        Raises
        ------
        ReaderError
            The file is damaged, or a row names no sequence.
        """
        columns = _kept(read_columns(path), params)
        if "sequence" not in columns:
            return one_sequence(path)
        origin = [name for name in ("group", "sequence") if name in columns]
        return _origins(_remembered(path).select(origin), path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Keypoints of the columns in the order in which they appear."""
        return _layout(_kept(read_columns(path), params), params, path)[1]

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read all recordings of the table.

        Raises
        ------
        ReaderError
            The file is damaged, has no frames or no coordinates, or coordinates are no numbers.
        """
        return [self.read_one(path, params, names) for names in self.listed(path, params)]

    def read_one(self, path: Path, params: ReaderParams, names: Names) -> Recording:
        """Read one recording of the table; raises what :meth:`read` raises."""
        table = _remembered(path)
        table = table.select(_kept(table.columns, params))
        group, sequence = names
        if "sequence" in table.columns:
            table = table.filter(pl.col("sequence").cast(pl.String) == sequence)
            if group is not None:
                table = table.filter(pl.col("group").cast(pl.String) == group)
        columns, keypoints = _layout(table.columns, params, path)
        coordinates = [name for name, target in columns.items() if _is_coordinate(target)]
        check_numbers(table, ["frame", *coordinates], path)
        table = _with_identity(table.rename(columns), path)
        rate = _rate(table, path)
        return Recording(
            sequence,
            group,
            table.drop("fps", "group", "sequence", strict=False),
            keypoints,
            fps=rate,
        )


def _remembered(path: Path) -> pl.DataFrame:
    if "sequence" not in read_columns(path):
        return read_parquet(path)
    return PARSED.get(path, "parquet", lambda: read_parquet(path))


def _kept(columns: Sequence[str], params: ReaderParams) -> list[str]:
    ignore = params.ignore if isinstance(params, KeypointParquetParams) else ()
    return [name for name in columns if name not in ignore]


def _is_coordinate(name: str) -> bool:
    return name in ("X", "Y") or _POSE.fullmatch(name) is not None


def _named_points(columns: Sequence[str]) -> list[str]:
    """Keypoints that have a column for x and one for y, in order of appearance."""
    parts = [split_keypoint(name) for name in columns]
    points = dict.fromkeys(point for point, part in parts if part in ("X", "Y"))
    return [point for point in points if {(point, "X"), (point, "Y")} <= set(parts)]


def _layout(
    columns: Sequence[str], params: ReaderParams, path: Path
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Columns with their names in a table of tracks, and the keypoints."""
    if "frame" not in columns:
        msg = f"{path} has no column 'frame'; it has {', '.join(columns)}."
        raise ReaderError(msg, "One row is one animal in one frame; number the frames.")
    wanted = params.names if isinstance(params, NamedParams) else ()
    count = sum(1 for name in columns if name.startswith("poseX") and _POSE.fullmatch(name))
    targets = {name: name for name in columns}
    keypoints = keypoint_names(count, wanted, str(path)) if count else ()
    if not count:
        keypoints = tuple(_named_points(columns))
        for name in columns:
            point, part = split_keypoint(name)
            if part and point in keypoints:
                targets[name] = f"pose{part}{keypoints.index(point)}"
            elif part in ("X", "Y"):
                msg = f"{path}: the column {name!r} is there without its partner."
                raise ReaderError(msg, f"Give x and y, or leave it out with ignore=[{name!r}].")
    if "track" in targets and "id" not in targets:
        targets["track"] = "id"
    if len(set(targets.values())) < len(targets):
        twice = next(name for name, to in targets.items() if list(targets.values()).count(to) > 1)
        msg = f"{path}: the column {twice!r} and another one say the same."
        raise ReaderError(msg, f"Leave one out with ignore=[{twice!r}].")
    return targets, keypoints


def _with_identity(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Give ``id`` as numbers; names are numbered as they first appear, and kept."""
    if "id" not in table.columns:
        return table.with_columns(id=pl.lit(0, pl.Int64))
    if table["id"].dtype.is_numeric():
        return table
    names = table["id"].cast(pl.String)
    if names.null_count():
        msg = f"{path}: the column 'id' is empty in row {int(names.is_null().arg_true()[0])}."
        raise ReaderError(msg, "Every row must say which animal it is (rows count from 0).")
    order = names.unique(maintain_order=True)
    ids = names.replace_strict(order, pl.Series(range(len(order)), dtype=pl.Int64))
    return table.with_columns(ids.alias("id"), names.alias("individual"))


def _rate(table: pl.DataFrame, path: Path) -> float | None:
    rates = table["fps"].drop_nulls().unique() if "fps" in table.columns else pl.Series([])
    if len(rates) > 1:
        msg = f"{path}: the column 'fps' has several values, such as {rates[0]} and {rates[1]}."
        raise ReaderError(msg, "A recording has one frame rate.")
    return float(rates[0]) if len(rates) else None


def _origins(table: pl.DataFrame, path: Path) -> list[Names]:
    found = table.cast(pl.String).unique(maintain_order=True)
    if found["sequence"].null_count() or (found["sequence"] == "").any():
        msg = f"{path} has rows without a sequence."
        raise ReaderError(msg, "Name the recording of every row, or drop the column 'sequence'.")
    groups = found["group"] if "group" in found.columns else [None] * found.height
    return list(zip(groups, found["sequence"], strict=True))
