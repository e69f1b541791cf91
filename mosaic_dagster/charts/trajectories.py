"""Paths of animals in the plane, coloured by what they did or by who they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.charts.canvas import add_key, add_note, new_axes, new_figure, shorten, to_png
from mosaic_dagster.charts.classes import Classes, Names, check_columns, class_column, find_classes
from mosaic_dagster.charts.colours import NO_CLUSTER
from mosaic_dagster.charts.timeline import usual_step

_MOST_COLUMNS = 3
_MANY = 20_000
_STRETCHES = 32
_PATH = ("group", "sequence", "id")

Array = np.ndarray[Any, np.dtype[Any]]


def trajectories(
    panels: Mapping[str, pl.DataFrame],
    unit: str = "",
    column: str = "cluster",
    names: Names | None = None,
) -> bytes:
    """One panel per group of recordings, each path coloured by class, cluster or animal.

    Parameters
    ----------
    panels
        Title to table with ``frame``, ``X``, ``Y``, the column and, where they tell paths apart,
        ``group``, ``sequence`` and ``id``.
    unit
        Unit of the coordinates, for the axes.
    column
        The column that colours: whole numbers or text, ``id`` for a colour per animal. Null and
        NaN are grey, below the others.
    names
        Names of values.

    Returns
    -------
    bytes
        A PNG picture; the y axis points down, as in the video. Paths break where frames are
        missing (where they are farther apart than is usual in the table) and where a coordinate
        is not finite; a lone position is a dot. A stretch has the colour of the frame it begins
        with.

    Raises
    ------
    MissingColumnError
        If a table lacks a column.
    ParamsError
        If the column holds no classes.
    """
    for title, table in panels.items():
        check_columns(table, ("frame", "X", "Y", column), f"The table of panel {title!r}")
    drawn = {title: class_column(table[column], names) for title, table in panels.items()}
    classes = find_classes(drawn.values(), names)
    columns = min(len(panels), _MOST_COLUMNS) or 1
    rows = max(1, math.ceil(len(panels) / columns))
    figure = new_figure(*_size(columns, rows))
    axes = new_axes(figure, rows, columns)
    nothing = lost = 0
    for axis, (title, table) in zip(axes, panels.items(), strict=False):
        codes = classes.codes(drawn[title])
        lost += _draw(axis, table.with_columns(pl.Series("code", codes)), classes)
        nothing += int((codes < 0).sum())
        axis.set(title=shorten(title, 30), xlabel=_label("x", unit), ylabel=_label("y", unit))
        axis.set_aspect("equal")
        axis.invert_yaxis()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    add_key(figure, classes, column, nothing > 0)
    add_note(figure, f"{lost:,} rows without coordinates." if lost else "")
    return to_png(figure)


def _size(columns: int, rows: int) -> tuple[float, float]:
    side = {1: 5.2, 2: 4.0, 3: 2.75}[columns]
    return columns * side + 1.0, rows * side


def _label(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _draw(axis: Any, table: pl.DataFrame, classes: Classes) -> int:
    """Draw the paths of a table that has a ``code``; returns how many rows have no place."""
    if not table.height:
        return 0
    points, codes, joined = _steps(table)
    many = len(points) > _MANY
    # Stretch by stretch, so that the last class does not cover all others.
    for first, last in pairwise(np.linspace(0, len(points), (_STRETCHES if many else 1) + 1)):
        here = slice(int(first), int(last) + 1)
        _draw_stretch(
            axis, points[here], codes[here], joined[int(first) : int(last)], classes, many
        )
    lone = _is_lone(joined)
    for code in np.unique(codes[lone]):
        place = points[lone & (codes == code)]
        axis.plot(*place.T, ".", markersize=2.5, **_line_style(classes, code))
    return int((~np.isfinite(points).all(axis=1)).sum())


def _draw_stretch(
    axis: Any, points: Array, codes: Array, joined: Array, classes: Classes, many: bool
) -> None:
    for code in np.unique(codes[: len(joined)][joined]):
        lines = _polylines(points, joined & (codes[: len(joined)] == code))
        axis.plot(*lines.T, linewidth=0.7 if many else 1.2, **_line_style(classes, code))


def _line_style(classes: Classes, code: int) -> dict[str, Any]:
    if code < 0:
        return {"color": NO_CLUSTER, "zorder": 1, "solid_capstyle": "round"}
    return {"color": classes.colours[code], "zorder": 2, "solid_capstyle": "round"}


def _steps(table: pl.DataFrame) -> tuple[Array, Array, Array]:
    """Points (n, 2) and codes (n,) by path; whether each is joined to the next (n - 1,)."""
    by = [name for name in _PATH if name in table.columns]
    table = table.sort(*by, "frame", maintain_order=True)
    points = table.select(pl.col("X", "Y").cast(pl.Float64)).to_numpy()
    frames = table["frame"].cast(pl.Int64).to_numpy()
    paths = table.select(by).to_struct("path").rle_id().to_numpy() if by else np.zeros(len(frames))
    same = np.diff(paths) == 0
    finite = np.isfinite(points).all(axis=1)
    gaps = np.diff(frames)
    joined = same & (gaps > 0) & (gaps <= usual_step(gaps[same])) & finite[:-1] & finite[1:]
    return points, table["code"].to_numpy(), joined


def _is_lone(joined: Array) -> Array:
    """Which points are joined to no other, shape (n,)."""
    linked = np.concatenate([[False], joined, [False]])
    lone: Array = ~(linked[:-1] | linked[1:])
    return lone


def _polylines(points: Array, chosen: Array) -> Array:
    """The chosen steps as one line with NaN between its pieces, shape (m, 2)."""
    steps = np.flatnonzero(chosen)
    if not len(steps):
        return np.empty((0, 2))
    ends = np.concatenate([np.diff(steps) > 1, [True]])
    places = np.concatenate([steps, steps[ends] + 1])
    # A piece's last point goes behind the step that reaches it, before the next piece.
    keys = np.concatenate([steps * 2, steps[ends] * 2 + 1])
    order = np.argsort(keys)
    last = np.flatnonzero(keys[order] % 2)
    return np.insert(points[places[order]], last + 1, np.nan, axis=0)
