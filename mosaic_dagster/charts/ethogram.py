"""Who did what when: one row per recording, time from left to right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.patches import Patch

from mosaic_dagster.charts.canvas import colour_map, new_axes, new_figure, palette, to_png


def ethogram(rows: Mapping[str, pl.DataFrame], title: str = "", column: str = "cluster") -> bytes:
    """Draw a whole-number column over time.

    Parameters
    ----------
    rows
        Name of each row to a table with ``time`` (s), ``frame`` and the column, one animal each.
        Frames that are missing or null stay grey.
    title
        Title of the picture.
    column
        The column that is drawn.

    Returns
    -------
    bytes
        A PNG picture.
    """
    figure = new_figure(9.0, 1.2 + 0.32 * max(1, len(rows)))
    axis = new_axes(figure)[0]
    values = [v for t in rows.values() for v in t[column].drop_nulls().unique().to_list()]
    colours = palette(values)
    order = {value: i for i, value in enumerate(colours)}
    shades = colour_map(list(colours.values()) or ["#FFFFFF"])
    for position, table in enumerate(rows.values()):
        if table.height == 0:
            continue
        first, seconds = table["time"].item(0), _seconds_per_frame(table)
        marks = _on_frames(table, column, order)
        extent = (first, first + len(marks) * seconds, position + 0.42, position - 0.42)
        axis.imshow(
            marks[None, :], aspect="auto", interpolation="nearest", cmap=shades,
            vmin=-0.5, vmax=max(len(order), 1) - 0.5, extent=extent,
        )  # fmt: skip
    axis.set(title=title, xlabel="time (s)", ylim=(max(len(rows), 1) - 0.5, -0.5), xlim=_span(rows))
    axis.set_yticks(range(len(rows)), list(rows))
    if colours:
        handles = [Patch(color=colour, label=str(value)) for value, colour in colours.items()]
        figure.legend(handles=handles, title=column, loc="outside right upper", frameon=False)
    return to_png(figure)


def _seconds_per_frame(table: pl.DataFrame) -> float:
    frames = table["frame"].item(-1) - table["frame"].item(0)
    return (table["time"].item(-1) - table["time"].item(0)) / frames if frames else 1.0


def _on_frames(
    table: pl.DataFrame, column: str, order: Mapping[int, int]
) -> np.ma.MaskedArray[tuple[int], np.dtype[np.float64]]:
    frames = table["frame"].to_numpy()
    marks = np.full(int(frames[-1] - frames[0]) + 1, np.nan)
    marks[frames - frames[0]] = [np.nan if v is None else order[v] for v in table[column].to_list()]
    return np.ma.masked_invalid(marks)


def _span(rows: Mapping[str, pl.DataFrame]) -> tuple[float, float]:
    filled = [table for table in rows.values() if table.height]
    if not filled:
        return (0.0, 1.0)
    first = min(table["time"].item(0) for table in filled)
    # The last frame lasts as long as any other.
    return (first, max(table["time"].item(-1) + _seconds_per_frame(table) for table in filled))
