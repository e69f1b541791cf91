"""A first look at any table: a few of its columns over time."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mosaic_dagster.charts.canvas import new_axes, new_figure, to_png
from mosaic_dagster.charts.classes import check_columns
from mosaic_dagster.charts.colours import palette

_MOST_COLUMNS = 4
_MOST_POINTS = 2000


def quick_lines(table: pl.DataFrame, columns: Sequence[str], title: str = "") -> bytes:
    """Draw up to four columns over time (or over rows when there is no time).

    Parameters
    ----------
    table
        A feature's table; only the first individual or pair is drawn.
    columns
        Numeric columns, of which the first four are drawn.
    title
        Title of the picture.

    Returns
    -------
    bytes
        A PNG picture of the first 2,000 rows; lines break where a value is null or NaN.

    Raises
    ------
    MissingColumnError
        If the table lacks a column.
    """
    shown = list(columns)[:_MOST_COLUMNS]
    check_columns(table, shown, "The table")
    for identity in ("id", "id1", "id2"):
        if identity in table.columns and table.height:
            table = table.filter(pl.col(identity) == table[identity].item(0))
    table = table.head(_MOST_POINTS)
    figure = new_figure(8.0, 0.9 + 1.2 * max(1, len(shown)))
    axes = new_axes(figure, max(1, len(shown)), 1, sharex=True)
    colours = list(palette(range(len(shown) or 1)).values())
    has_time = "time" in table.columns
    places = table["time"].to_numpy() if has_time else range(table.height)
    for axis, column, colour in zip(axes, shown, colours, strict=False):
        axis.plot(places, table[column].to_numpy(), color=colour, linewidth=0.9)
        # Beside the axis a long name would be cut off.
        axis.set_title(column, loc="left", fontsize=8, pad=2)
    figure.suptitle(title, fontsize=11)
    axes[-1].set_xlabel("time (s)" if has_time else "row")
    return to_png(figure)
