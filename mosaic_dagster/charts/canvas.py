"""Figures, keys and PNG bytes, the same for every picture."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mosaic_dagster.charts.classes import NOTHING, Classes
from mosaic_dagster.charts.colours import NO_CLUSTER

_STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "figure.dpi": 110,
    # A path of a million points overflows the renderer in one piece.
    "agg.path.chunksize": 20000,
}

PAGE_WIDTH = 9.0
"""Inches; a wider picture is shrunk by Dagster's pages and its text with it."""

_LINE = 0.2
_PAPER = "#FFFFFF"
_LONGEST_KEY = 120
_BAR_LETTERS = 36


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches that is drawn without any window system."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
    return figure


def new_axes(figure: Figure, rows: int = 1, columns: int = 1, **options: Any) -> list[Any]:
    """Axes on a grid, row by row, in the common style."""
    with mpl.rc_context(_STYLE):
        grid = figure.subplots(rows, columns, squeeze=False, **options)
    return list(np.asarray(grid).ravel())


def to_png(figure: Figure) -> bytes:
    """PNG bytes; equal figures give equal bytes, since no date is written."""
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def add_note(figure: Figure, *sentences: str) -> None:
    """Small print below the picture: what was left out, and how to read it."""
    told = "   ".join(sentence for sentence in sentences if sentence)
    if told:
        figure.supxlabel(told, fontsize=8, color="#444444")


def add_key(figure: Figure, classes: Classes, title: str, nothing: bool) -> None:
    """A key of the classes to the right of the picture; of very many, the first 120.

    Parameters
    ----------
    figure
        With at least one pair of axes.
    classes
        What the colours stand for.
    title
        Of the key.
    nothing
        Whether the picture shows missing values too.
    """
    if not classes.values and not nothing:
        return
    pairs = list(zip(classes.names, classes.colours, strict=True))[:_LONGEST_KEY]
    left_out = len(classes.values) - len(pairs)
    pairs += [(f"… {left_out} more", _PAPER)] if left_out else []
    pairs += [(NOTHING, NO_CLUSTER)] if nothing else []
    lines = max(4, int((figure.get_figheight() - 0.6) / _LINE))
    figure.legend(
        handles=[Patch(color=colour, label=shorten(name)) for name, colour in pairs], title=title,
        loc="outside right upper", frameon=False, ncols=-(-len(pairs) // lines),
        fontsize=9 if len(pairs) <= lines else 8, handlelength=1.2, columnspacing=1.0,
    )  # fmt: skip


def add_class_bar(figure: Figure, axis: Any, classes: Classes) -> None:
    """Fill axes that are wider than high with the classes' colours, and name what can be read."""
    count = len(classes.values)
    mappable = ScalarMappable(
        BoundaryNorm(np.arange(count + 1) - 0.5, count), ListedColormap(list(classes.colours))
    )
    bar = figure.colorbar(mappable, cax=axis, orientation="horizontal")
    names = [shorten(name, 10) for name in classes.names]
    room = _BAR_LETTERS // max(1, max(map(len, names)) + 1)
    shown = list(range(0, count, -(-count // max(2, room))))
    bar.set_ticks(shown, labels=[names[i] for i in shown], fontsize=8)
    bar.minorticks_off()


def shorten(text: str, most: int = 28) -> str:
    """Text with its middle left out if it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
