"""Paths of animals in the plane, coloured by what they did."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from mosaic_dagster.charts.canvas import NO_CLUSTER, new_axes, new_figure, palette, to_png

_MOST_COLUMNS = 3


def trajectories(
    panels: Mapping[str, pl.DataFrame], unit: str = "", column: str = "cluster"
) -> bytes:
    """One panel per group of recordings, each path coloured by a whole-number column.

    Parameters
    ----------
    panels
        Title to table with ``sequence``, ``id``, ``frame``, ``X``, ``Y`` and the column; a null
        there is drawn in grey. Paths break where frames are missing.
    unit
        Unit of the coordinates, for the axes.
    column
        The column that colours.

    Returns
    -------
    bytes
        A PNG picture; the y axis points down, as in the video.
    """
    columns = min(len(panels), _MOST_COLUMNS) or 1
    rows = max(1, math.ceil(len(panels) / columns))
    figure = new_figure(5.2 * columns, 5.0 * rows)
    values = [v for t in panels.values() for v in t[column].drop_nulls().unique().to_list()]
    colours = palette(values)
    axes = new_axes(figure, rows, columns)
    for axis, (title, table) in zip(axes, panels.items(), strict=False):
        segments, shades = _segments(table, column, colours)
        axis.add_collection(LineCollection(segments, colors=shades, linewidths=1.2))
        axis.set(title=title, xlabel=_label("x", unit), ylabel=_label("y", unit))
        axis.set_aspect("equal")
        axis.autoscale_view()
        axis.invert_yaxis()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    if colours:
        handles = [Line2D([], [], color=c, lw=3, label=str(v)) for v, c in colours.items()]
        figure.legend(handles=handles, title=column, loc="outside right upper", frameon=False)
    return to_png(figure)


def _label(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _segments(
    table: pl.DataFrame, column: str, colours: Mapping[int, str]
) -> tuple[list[np.ndarray], list[str]]:
    segments: list[np.ndarray] = []
    shades: list[str] = []
    by = [name for name in ("group", "sequence", "id") if name in table.columns]
    for path in table.sort(*by, "frame").partition_by(*by, maintain_order=True):
        points = path.select("X", "Y").to_numpy()
        frames = path["frame"].to_numpy()
        marks = path[column].to_list()
        for i in range(len(frames) - 1):
            if frames[i + 1] - frames[i] == 1:
                segments.append(points[i : i + 2])
                shades.append(NO_CLUSTER if marks[i] is None else colours[marks[i]])
    return segments, shades
