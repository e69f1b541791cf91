"""Sizes of clusters: bars, or a grid of shares when there are many groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mosaic_dagster.charts.canvas import (
    PAGE_WIDTH,
    add_note,
    new_axes,
    new_figure,
    shorten,
    to_png,
)
from mosaic_dagster.charts.classes import (
    NOTHING,
    Classes,
    Names,
    check_columns,
    class_column,
    find_classes,
)
from mosaic_dagster.charts.colours import NO_CLUSTER

_MOST_BARS = 3
_HATCHES = ("", "////", "....")
_MOST_ROWS = 60
_LEAST_BAR_WITH_FIGURE = 0.16
_LEAST_CELL_WITH_FIGURE = 0.24

Array = np.ndarray[Any, np.dtype[Any]]


def cluster_sizes(
    counts: pl.DataFrame, title: str = "", by: str = "group", names: Names | None = None
) -> bytes:
    """Share of frames in each cluster or class, by group of recordings.

    Parameters
    ----------
    counts
        Columns ``cluster`` (whole numbers or text), the column ``by``, and ``count`` (frames; null
        counts nothing). Frames of no cluster (null, NaN) are the last bar. Rows of one group and
        cluster are added up.
    title
        Title of the picture.
    by
        The column that tells the bars of one cluster apart.
    names
        Names of clusters; a named cluster has its place even without frames.

    Returns
    -------
    bytes
        A PNG picture: bars for up to three groups; for more, a grid with a row per group, of
        which the first 60 are drawn and the picture says so.

    Raises
    ------
    MissingColumnError
        If the table lacks a column.
    ParamsError
        If ``cluster`` holds no classes.
    """
    check_columns(counts, ("cluster", by, "count"), "The table of sizes")
    column = class_column(counts["cluster"], names)
    classes = find_classes([column], names)
    groups = counts[by].cast(pl.String).fill_null(NOTHING)
    order = groups.unique().sort().to_list()
    shares = _shares(classes.codes(column), groups, order, counts["count"], len(classes.values))
    labels, shades = [shorten(name, 18) for name in classes.names], list(classes.colours)
    if column.null_count():
        labels, shades = [*labels, NOTHING], [*shades, NO_CLUSTER]
    else:
        shares = shares[:, :-1]
    figure = new_figure(_width(len(labels), len(order)), _height(len(order)))
    if len(order) <= _MOST_BARS:
        _draw_bars(figure, shares, labels, shades, order, by)
    else:
        _draw_grid(figure, shares, labels, order, by)
    axis = figure.axes[0]
    axis.set(title=title, xlabel="cluster" if _is_numbered(classes) else "")
    return to_png(figure)


def _shares(codes: Array, groups: pl.Series, order: list[str], counts: pl.Series, n: int) -> Array:
    """Per cent of each group's frames, shape (groups, n + 1); the last column is no cluster."""
    sums = np.zeros((len(order), n + 1))
    if len(codes):
        place = groups.replace_strict(order, list(range(len(order))), return_dtype=pl.Int64)
        np.add.at(sums, (place.to_numpy(), codes), counts.cast(pl.Float64).fill_null(0).to_numpy())
    totals = sums.sum(axis=1, keepdims=True)
    return sums / np.where(totals > 0, totals, 1) * 100


def _is_numbered(classes: Classes) -> bool:
    return not classes.values or not isinstance(classes.values[0], str)


def _width(clusters: int, groups: int) -> float:
    return min(PAGE_WIDTH, 1.8 + 0.75 * max(4, clusters) + (1.2 if groups > _MOST_BARS else 0))


def _height(groups: int) -> float:
    return 3.6 if groups <= _MOST_BARS else 1.6 + 0.26 * min(groups, _MOST_ROWS)


def _draw_bars(
    figure: Figure, shares: Array, labels: list[str], shades: list[str], order: list[str], by: str
) -> None:
    axis = new_axes(figure)[0]
    width = 0.8 / max(len(order), 1)
    room = (figure.get_figwidth() - 1.5) / max(len(labels), 1)
    for position, group in enumerate(order):
        places = np.arange(len(labels)) + (position - (len(order) - 1) / 2) * width
        bars = axis.bar(
            places, shares[position], width * 0.92, color=shades, edgecolor="black",
            linewidth=0.4, hatch=_HATCHES[position], label=group,
        )  # fmt: skip
        if room * width >= _LEAST_BAR_WITH_FIGURE:
            axis.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
    _name_clusters(axis, labels, room)
    axis.set_ylabel("share of frames (%)")
    if len(order) > 1:
        handles = [
            Patch(facecolor="white", edgecolor="black", hatch=hatch, label=shorten(group))
            for group, hatch in zip(order, _HATCHES, strict=False)
        ]
        figure.legend(handles=handles, title=by, loc="outside right upper", frameon=False)


def _draw_grid(figure: Figure, shares: Array, labels: list[str], order: list[str], by: str) -> None:
    axis = new_axes(figure)[0]
    drawn = shares[:_MOST_ROWS]
    top = max(float(drawn.max(initial=0)), 1.0)
    image = axis.imshow(
        drawn, cmap="Blues", vmin=0, vmax=top, aspect="auto", interpolation="nearest"
    )
    room = (figure.get_figwidth() - 3) / max(len(labels), 1)
    if room >= _LEAST_CELL_WITH_FIGURE:
        for row, column in np.ndindex(drawn.shape):
            axis.text(
                column, row, f"{drawn[row, column]:.0f}", ha="center", va="center", fontsize=7,
                color="white" if drawn[row, column] > 0.55 * top else "black",
            )  # fmt: skip
    _name_clusters(axis, labels, room)
    axis.set_yticks(
        range(len(drawn)), [shorten(name, 22) for name in order[: len(drawn)]], fontsize=8
    )
    axis.set_ylabel(by)
    figure.colorbar(image, ax=axis, fraction=0.05, pad=0.02).set_label("share of frames (%)")
    left_out = len(order) - len(drawn)
    add_note(figure, f"{len(drawn)} of {len(order)} rows drawn." if left_out else "")


def _name_clusters(axis: Any, labels: Sequence[str], room: float) -> None:
    longest = max((len(label) for label in labels), default=1)
    turned = longest * 0.09 > room
    every = max(1, int(np.ceil(0.16 / room))) if turned else 1
    shown = range(0, len(labels), every)
    if turned and longest <= 3:
        every = max(1, int(np.ceil(longest * 0.09 / room)))
        shown, turned = range(0, len(labels), every), False
    style: Any = {"rotation": 90 if room < 0.3 else 35, "ha": "right", "rotation_mode": "anchor"}
    style |= {"va": "center"} if room < 0.3 else {}
    axis.set_xticks(
        list(shown), [labels[i] for i in shown], fontsize=8, **(style if turned else {})
    )
