"""Maps: each row a point in the plane, coloured by what is known about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
import polars as pl
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mosaic_dagster.charts.canvas import (
    PAGE_WIDTH,
    add_class_bar,
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
    is_whole,
)
from mosaic_dagster.charts.colours import NO_CLUSTER, lookup
from mosaic_dagster.errors import ParamsError

_PANELS_PER_ROW = 3
_LONGEST_KEY = 20
_LONGEST_NAME = 22
_MOST_NUMBERS = 100
_SEED = 0
_SMOOTH = 5000
# Height over width, and width over height, of a panel.
_TALLEST, _WIDEST = 1.2, 2.0
# Inches below a panel where its key begins, and of a line of it.
_KEY, _LINE = 0.52, 0.17
_NUMBERS = "viridis"

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class _Shading:
    """How one column colours: by classes, or by a number."""

    name: str
    values: Array
    classes: Classes | None
    numbered: bool = False
    limits: tuple[float, float] = (0.0, 1.0)

    @property
    def known(self) -> Array:
        """Which points have a value."""
        return np.isfinite(self.values) if self.classes is None else self.values >= 0


def map_2d(
    table: pl.DataFrame,
    x: str,
    y: str,
    colour: str | Sequence[str],
    title: str = "",
    names: Mapping[str, Names] | None = None,
    most_points: int = 40_000,
) -> bytes:
    """Draw the same map once for each column that colours it.

    Parameters
    ----------
    table
        One row per point. A point without finite coordinates is left out, and the picture says
        how many there are.
    x, y
        Columns of the coordinates, such as ``tsne_x`` and ``tsne_y``.
    colour
        Column, or columns, one panel each. Whole numbers and text are classes, with a key, from
        21 classes on a colour bar; clusters (numbers without names) have their number written on
        the map. Other numbers have a colour bar from their 1st to their 99th percentile. Null and
        NaN are grey, below all other points.
    title
        Title of the picture.
    names
        Names of values by column: ``{"label": {0: "attack"}}``. Columns of text or with names
        share their colours, and so do columns of plain numbers.
    most_points
        Most points that are drawn; of more, a random sample with a fixed seed. The picture says
        so. Classes are found, and percentiles taken, on all rows.

    Returns
    -------
    bytes
        A PNG picture. Axes are shared and of one scale.

    Raises
    ------
    MissingColumnError
        If the table lacks a column.
    ParamsError
        If no column colours, one holds neither numbers nor text, or names are given for a column
        that is not drawn.
    """
    columns = [colour] if isinstance(colour, str) else list(colour)
    _check_colour(columns, names or {})
    check_columns(table, (x, y, *columns), "The table of the map")
    points = table.select(pl.col(x, y).cast(pl.Float64)).to_numpy()
    placed = np.flatnonzero(np.isfinite(points).all(axis=1))
    drawn = np.random.default_rng(_SEED).permutation(placed)[:most_points]
    shadings = _shadings(table, columns, names or {}, drawn)
    across = min(len(columns), _PANELS_PER_ROW)
    down = -(-len(columns) // across)
    width = PAGE_WIDTH if across > 1 else 6.5
    limits, shape = _limits(points[placed])
    panel = (width - 0.6) / across - 0.25
    below = _KEY + _LINE * max(_key_lines(shading, panel) for shading in shadings)
    figure = new_figure(width, down * (panel * shape + below + 0.35) + 0.6)
    axes = new_axes(figure, down, across, sharex=True, sharey=True)
    size, opacity = _marker(len(drawn), panel * panel * shape * 72**2)
    for axis, shading in zip(axes, shadings, strict=False):
        _draw(axis, points[drawn], shading, size, opacity)
        _add_panel_key(figure, axis, shading, (panel, panel * shape))
        axis.set(title=shorten(shading.name, 30), xlim=limits[0], ylim=limits[1], xlabel=x)
        axis.set_box_aspect(shape)
        axis.set_anchor("N")
        axis.tick_params(labelbottom=True, labelsize=8)
    for axis in axes[::across]:
        axis.set_ylabel(y)
    for axis in axes[len(columns) :]:
        axis.set_visible(False)
    figure.suptitle(title)
    add_note(figure, *_told(table.height, len(placed), len(drawn)))
    return to_png(figure)


def _check_colour(columns: Sequence[str], names: Mapping[str, Names]) -> None:
    if not columns:
        raise ParamsError("No column colours the map.", "Give `colour` at least one name.")
    other = [name for name in names if name not in columns]
    if other:
        raise ParamsError(
            f"Names are given for {', '.join(map(repr, other))}, which does not colour the map.",
            "Give names by column: {'label': {0: 'attack'}}.",
        )


def _shadings(
    table: pl.DataFrame, columns: Sequence[str], names: Mapping[str, Names], drawn: Array
) -> list[_Shading]:
    """How each column colours the drawn rows."""
    classed = {
        name: class_column(table[name], names.get(name))
        for name in dict.fromkeys(columns)
        if name in names or not _is_continuous(table[name])
    }
    text = {name for name, column in classed.items() if column.dtype == pl.String}
    told = {(name, value): names[name][value] for name in columns for value in names.get(name, ())}
    of_text = find_classes([classed[name] for name in classed if name in text], told)
    of_numbers = find_classes([classed[name] for name in classed if name not in text])
    shadings = []
    for name in columns:
        if name not in classed:
            shadings.append(_by_number(table[name], drawn))
            continue
        classes = of_text if name in text else of_numbers
        codes = classes.codes(classed[name].gather(drawn))
        shadings.append(_Shading(name, codes, classes, numbered=name not in text))
    return shadings


def _is_continuous(column: pl.Series) -> bool:
    return column.dtype.is_float() and not is_whole(column)


def _by_number(column: pl.Series, drawn: Array) -> _Shading:
    values = column.cast(pl.Float64).to_numpy()
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99)) if len(finite) else (0.0, 1.0)
    return _Shading(column.name, values[drawn], None, limits=(float(low), float(high)))


def _limits(points: Array) -> tuple[Array, float]:
    """Limits of both axes at one scale, shape (2, 2), and height over width of a panel."""
    if not len(points):
        return np.array([[0.0, 1.0], [0.0, 1.0]]), 1.0
    low, high = points.min(axis=0), points.max(axis=0)
    span = (high - low) * 1.06
    span = np.where(span.max() > 0, span, 1.0)
    span = np.maximum(span, span[::-1] / np.array([_TALLEST, _WIDEST]))
    middle = (low + high) / 2
    return np.stack([middle - span / 2, middle + span / 2], axis=1), float(span[1] / span[0])


def _marker(count: int, area: float) -> tuple[float, float]:
    """Size (square points) and opacity of a marker, for this many on an area."""
    size = float(np.clip(0.4 * area / max(count, 1), 1.0, 24.0))
    opacity = float(np.clip(1.35 - 0.18 * math.log10(max(count, 1)), 0.4, 0.9))
    return size, opacity


def _draw(axis: Any, points: Array, shading: _Shading, size: float, opacity: float) -> None:
    # Smoothed edges of many small dots triple the bytes of the picture and cannot be seen.
    smooth = len(points) <= _SMOOTH
    style: Any = {"s": size, "linewidths": 0, "rasterized": True, "antialiased": smooth}
    known = shading.known
    axis.scatter(*points[~known].T, color=NO_CLUSTER, **style)
    if shading.classes is None:
        low, high = shading.limits
        axis.scatter(
            *points[known].T, c=shading.values[known], cmap=_NUMBERS, vmin=low, vmax=high,
            alpha=opacity, **style,
        )  # fmt: skip
        return
    shades = lookup(shading.classes.colours)[shading.values[known]] / 255
    axis.scatter(*points[known].T, c=shades, alpha=opacity, **style)
    if shading.numbered and len(shading.classes.values) <= _MOST_NUMBERS:
        _write_numbers(axis, points[known], shading.values[known], shading.classes)


def _write_numbers(axis: Any, points: Array, codes: Array, classes: Classes) -> None:
    """Write the number of each cluster at the point nearest to the cluster's median."""
    present = np.unique(codes)
    size = 9.0 if len(present) <= _LONGEST_KEY else 7.0
    for code in present:
        own = points[codes == code]
        x, y = own[np.argmin(((own - np.median(own, axis=0)) ** 2).sum(axis=1))]
        axis.text(
            x, y, classes.names[code], fontsize=size, ha="center", va="center", weight="bold",
            path_effects=[effects.withStroke(linewidth=2.0, foreground="white")],
        )  # fmt: skip


def _key_columns(shading: _Shading, panel: float) -> int:
    names = [] if shading.classes is None else shading.classes.names
    longest = max((min(len(name), _LONGEST_NAME) for name in (*names, NOTHING)), default=1)
    return int(np.clip(panel * 15 / (longest + 3), 1, 7))


def _key_lines(shading: _Shading, panel: float) -> int:
    if shading.classes is None or len(shading.classes.values) > _LONGEST_KEY:
        return 3
    return -(-(len(shading.classes.values) + 1) // _key_columns(shading, panel))


def _add_panel_key(
    figure: Figure, axis: Any, shading: _Shading, panel: tuple[float, float]
) -> None:
    """The key of one panel, of this width and height in inches, right below it."""
    classes, below = shading.classes, -_KEY / panel[1]
    if classes is None or len(classes.values) > _LONGEST_KEY:
        bar_axis = axis.inset_axes((0.0, below - 0.13 / panel[1], 1.0, 0.13 / panel[1]))
        if classes is not None:
            add_class_bar(figure, bar_axis, classes)
            return
        mappable = ScalarMappable(Normalize(*shading.limits), _NUMBERS)
        figure.colorbar(mappable, cax=bar_axis, orientation="horizontal", extend="both")
        bar_axis.tick_params(labelsize=8)
        return
    pairs = list(zip(classes.names, classes.colours, strict=True))
    pairs += [] if shading.known.all() else [(NOTHING, NO_CLUSTER)]
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=shorten(name, _LONGEST_NAME))
        for name, colour in pairs
    ]
    if handles:
        axis.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, below), frameon=False,
            fontsize=8, handletextpad=0.1, columnspacing=0.8, borderaxespad=0.0,
            ncols=_key_columns(shading, panel[0]),
        )  # fmt: skip


def _told(rows: int, placed: int, drawn: int) -> list[str]:
    left_out = rows - placed
    return [
        f"{drawn:,} of {placed:,} points drawn, a random sample." if drawn < placed else "",
        f"{left_out:,} rows without coordinates left out." if left_out else "",
    ]
