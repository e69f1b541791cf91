"""A first look at any table: a few of its columns over time."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mosaic_dagster.charts.canvas import new_axes, new_figure, palette, to_png

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
        A PNG picture.
    """
    shown = list(columns)[:_MOST_COLUMNS]
    for identity in ("id", "id1", "id2"):
        if identity in table.columns and table.height:
            table = table.filter(pl.col(identity) == table[identity].item(0))
    table = table.head(_MOST_POINTS)
    figure = new_figure(8.0, 0.8 + 1.2 * max(1, len(shown)))
    axes = new_axes(figure, max(1, len(shown)), 1, sharex=True)
    colours = list(palette(range(len(shown) or 1)).values())
    has_time = "time" in table.columns
    places = table["time"].to_numpy() if has_time else range(table.height)
    for axis, column, colour in zip(axes, shown, colours, strict=False):
        axis.plot(places, table[column].to_numpy(), color=colour, linewidth=0.9)
        axis.set_ylabel(column, fontsize=8)
    axes[0].set_title(title)
    axes[-1].set_xlabel("time (s)" if has_time else "row")
    return to_png(figure)
