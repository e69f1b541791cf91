"""Ultralytics tracks as parquet: a row per detection with its box, and maybe keypoints.

Columns are ``frame``, ``track_id``, ``x1``, ``y1``, ``x2``, ``y2``, and maybe ``conf``, ``cls``,
``kpx{k}``, ``kpy{k}``, ``kpp{k}``. Without keypoints the centre is that of the box. The tracker's
number stays in ``source_track_id``; animals are numbered in its order. A keypoint at (0, 0) with
a confidence below 0.5 was not found: that is how the detector writes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import polars as pl

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording, one_sequence
from mosaic_dagster.dataset.readers.parquet_tables import (
    check_numbers,
    parquet_columns,
    read_columns,
    read_parquet,
)
from mosaic_dagster.dataset.readers.pose_arrays import NamedParams, keypoint_names
from mosaic_dagster.errors import ReaderError

_BOX = ("x1", "y1", "x2", "y2")
_NEEDED = ("frame", "track_id", *_BOX)
_POINT = re.compile(r"kp([xyp])([0-9]+)")
_NOT_FOUND = 0.5
_RENAMED = {corner: f"bbox_{corner}" for corner in _BOX} | {"conf": "det_conf", "cls": "det_cls"}


class UltralyticsParams(NamedParams):
    """Parameters of :class:`UltralyticsTracks`.

    Attributes
    ----------
    drop_untracked
        Leave out detections that belong to no track (``track_id`` missing or negative); otherwise
        a file that has some is refused.
    """

    drop_untracked: bool = False


class UltralyticsTracks:
    """Reads tables of tracked detections."""

    name: ClassVar[str] = "ultralytics_tracks"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".parquet",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = UltralyticsParams

    def sniff(self, path: Path) -> bool:
        """Whether the table has tracks and corners of boxes."""
        return is_ultralytics(parquet_columns(path))

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file."""
        return one_sequence(path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Names of the keypoints, in the order of their numbers."""
        return _names(read_columns(path), params, path)

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recording in the file.

        Raises
        ------
        ReaderError
            The file is damaged, a column is missing or holds no numbers, or a detection belongs
            to no track.
        """
        table = read_parquet(path)
        points = [name for name in table.columns if _POINT.fullmatch(name)]
        check_numbers(table, [*_NEEDED, *points], path)
        table = _tracked(table, params, path)
        names = _names(table.columns, params, path)
        renamed = {name: _pose(name) for name in points} | _RENAMED
        table = table.rename(renamed, strict=False).with_columns(
            id=pl.col("track_id").rank("dense").cast(pl.Int64) - 1,
            source_track_id=pl.col("track_id").cast(pl.Int64),
        )
        if names:
            table = table.with_columns(
                _found(table, k, axis) for k in range(len(names)) for axis in "XY"
            )
        else:
            table = table.with_columns(
                X=(pl.col("bbox_x1") + pl.col("bbox_x2")) / 2,
                Y=(pl.col("bbox_y1") + pl.col("bbox_y2")) / 2,
            )
        return [Recording(path.stem, None, table.drop("track_id"), names)]


def is_ultralytics(columns: Sequence[str]) -> bool:
    """Whether these are the columns of tracked detections."""
    return set(_NEEDED) <= set(columns)


def _pose(name: str) -> str:
    return f"pose{name[2].upper()}{int(name[3:])}"


def _names(columns: Sequence[str], params: ReaderParams, path: Path) -> tuple[str, ...]:
    count = sum(name.startswith("kpx") and bool(_POINT.fullmatch(name)) for name in columns)
    for k in range(count):
        for axis in "xy":
            if f"kp{axis}{k}" not in columns:
                msg = f"{path} has {count} keypoints and no column 'kp{axis}{k}'."
                raise ReaderError(msg, "Keypoints are numbered from 0, each with x and y.")
    wanted = params.names if isinstance(params, NamedParams) else ()
    return keypoint_names(count, wanted, str(path)) if count else ()


def _tracked(table: pl.DataFrame, params: ReaderParams, path: Path) -> pl.DataFrame:
    number = pl.col("track_id").cast(pl.Float64).fill_null(-1).fill_nan(-1)
    tracked = table.filter(number >= 0)
    untracked = table.height - tracked.height
    if untracked and not (isinstance(params, UltralyticsParams) and params.drop_untracked):
        msg = f"{path}: {untracked} of {table.height} detections belong to no track."
        raise ReaderError(msg, "Set drop_untracked=true to leave them out.")
    return tracked


def _found(table: pl.DataFrame, k: int, axis: str) -> pl.Expr:
    value = pl.col(f"pose{axis}{k}").cast(pl.Float64)
    if f"poseP{k}" not in table.columns:
        return value
    lost = (pl.col(f"poseX{k}") == 0) & (pl.col(f"poseY{k}") == 0)
    lost &= pl.col(f"poseP{k}") < _NOT_FOUND
    return pl.when(lost).then(float("nan")).otherwise(value).alias(f"pose{axis}{k}")
