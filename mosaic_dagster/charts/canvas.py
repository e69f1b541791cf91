"""Figures, colours and PNG bytes, the same for every picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure

# Paul Tol's "muted" and "bright" schemes: told apart by colour-blind people, and on paper.
_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255",
    "#AA4499", "#4477AA", "#EE6677", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB", "#000000",
)  # fmt: skip

NO_CLUSTER = "#E4E4E4"
"""Colour of what belongs to no cluster."""

_STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "figure.dpi": 110,
}


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


def palette(values: Sequence[int]) -> dict[int, str]:
    """A colour for each value; the colours repeat after sixteen."""
    return {value: _COLOURS[i % len(_COLOURS)] for i, value in enumerate(sorted(set(values)))}


def colour_map(colours: Sequence[str]) -> Colormap:
    """A colour map of these colours, with the colour of nothing for missing values."""
    return ListedColormap(list(colours)).with_extremes(bad=NO_CLUSTER)
