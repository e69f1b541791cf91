"""Rows without missing values: short holes filled, rows that lack too much dropped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.features.kernels.angles import wrap
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.interpolation import fill_holes
from mosaic_dagster.features.library.rows import RowOrder, order_rows
from mosaic_dagster.features.params import InterpolationConfig


@dataclass(frozen=True)
class CleanRows:
    """The rows that are kept, sorted by identity, then frame.

    Attributes
    ----------
    positions
        Position of each kept row in the table, shape (n_kept,).
    identity, frames
        Number of the identity and frame of each kept row, shape (n_kept,).
    values
        The cleaned columns, shape (n_columns, n_kept); all finite.
    notes
        Counts of rows, see :func:`interpolate_rows`.
    """

    positions: IntArray
    identity: IntArray
    frames: IntArray
    values: FloatArray
    notes: dict[str, Any]


def interpolate_rows(
    table: pl.DataFrame,
    columns: Sequence[str],
    config: InterpolationConfig,
    angles: Collection[str] = ("ANGLE",),
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Fill short holes in some columns and drop the rows that still lack values.

    Parameters
    ----------
    table
        One row per frame and identity, in any order.
    columns
        The columns that are cleaned; they become float64, the others stay.
    config
        Limits in frames, and the share of the columns that a row may lack.
    angles
        Those of the columns that are radians.

    Returns
    -------
    tuple of DataFrame and dict
        The rows that are kept, in their order, and the notes: ``n_filled`` (kept rows in which a
        value was interpolated), ``n_median`` (kept rows in which a value is the median of its
        track) and ``n_dropped``.

    Raises
    ------
    MissingColumnError
        The table lacks ``frame`` or one of the columns.
    FeatureError
        A frame is null, or an identity has two rows in one frame.

    Notes
    -----
    Infinities are missing values. Inside a track, a hole of at most ``linear_interp_limit`` frames
    (frames without a row count) becomes a line over frames; a longer one stays missing whole. The
    nearest value is repeated for ``edge_fill_limit`` frames before the first and after the last
    one. Angles follow the shorter arc, filled ones lie in [-pi, pi). Then rows that lack more than
    ``max_missing_fraction`` of the columns are dropped, and with ``fill_remaining="drop"`` all that
    lack anything; with ``"median"`` the rest becomes the median of the rows kept of the same track
    (of an angle: its mean direction plus the median deviation from it), and a row is dropped where
    its track has no value at all.
    """
    names = list(dict.fromkeys(columns))
    clean = clean_rows(table, names, config, angles)
    order = np.argsort(clean.positions, kind="stable")
    cleaned = [
        pl.Series(name, column[order]) for name, column in zip(names, clean.values, strict=True)
    ]
    kept = table if len(order) == table.height else table[clean.positions[order]]
    return kept.with_columns(cleaned), clean.notes


def clean_rows(
    table: pl.DataFrame,
    columns: Sequence[str],
    config: InterpolationConfig,
    angles: Collection[str] = ("ANGLE",),
) -> CleanRows:
    """Clean as :func:`interpolate_rows`, for those who go on with arrays."""
    rows = order_rows(table)
    values = np.empty((len(columns), table.height))
    filled = np.zeros(table.height, dtype=np.bool_)
    n_missing = np.zeros(table.height, dtype=np.int64)
    for position, name in enumerate(columns):
        column = rows.sort(table, name)
        holes = np.isnan(column)
        if holes.any():
            column = _fill(column, holes, rows, config, is_angle=name in angles)
            left = np.isnan(column)
            filled |= holes & ~left
            n_missing += left
        values[position] = column
    enough: BoolArray = np.asarray(n_missing <= config.max_missing_fraction * len(columns))
    if config.fill_remaining == "median":
        _fill_medians(values, columns, rows, enough, angles)
        kept = enough & ~np.asarray(np.isnan(values).any(axis=0))
    else:
        kept = enough & (n_missing == 0)
    notes = {
        "n_filled": int((filled & kept).sum()),
        "n_median": int((kept & (n_missing > 0)).sum()),
        "n_dropped": int((~kept).sum()),
    }
    if not notes["n_dropped"]:
        return CleanRows(rows.order, rows.identity, rows.frames, values, notes)
    places = np.flatnonzero(kept)
    order, identity, frames = (part[places] for part in (rows.order, rows.identity, rows.frames))
    return CleanRows(order, identity, frames, values.take(places, axis=1), notes)


def _fill(
    values: FloatArray,
    holes: BoolArray,
    rows: RowOrder,
    config: InterpolationConfig,
    *,
    is_angle: bool,
) -> FloatArray:
    """Fill the holes of one column, track by track; sorted rows."""
    filled = values.copy()
    for track in rows.tracks:
        # What fills a hole are the values beside it; all others could only slow this down.
        needed = holes[track].copy()
        needed[1:] |= holes[track][:-1]
        needed[:-1] |= holes[track][1:]
        places = np.flatnonzero(needed) + track.start
        known = values[places]
        finite = ~holes[places]
        if is_angle:
            known[finite] = np.unwrap(known[finite])
        line = fill_holes(
            known,
            rows.frames[places],
            hole_limit=config.linear_interp_limit,
            edge_limit=config.edge_fill_limit,
        )
        filled[places] = np.where(finite, values[places], wrap(line) if is_angle else line)
    return filled


def _fill_medians(
    values: FloatArray,
    names: Sequence[str],
    rows: RowOrder,
    kept: BoolArray,
    angles: Collection[str],
) -> None:
    """Replace what is missing in kept rows by the median of the track, in place."""
    for position, name in enumerate(names):
        for track in rows.tracks:
            column = values[position, track]
            known = column[kept[track] & np.isfinite(column)]
            if len(known) < kept[track].sum() and len(known):
                middle = _middle_angle(known) if name in angles else float(np.median(known))
                column[kept[track] & np.isnan(column)] = middle


def _middle_angle(angles: FloatArray) -> float:
    mean = np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())
    return float(wrap(mean + np.median(wrap(angles - mean))))
