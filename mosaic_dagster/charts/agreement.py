"""Measured against predicted values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mosaic_dagster.charts.canvas import new_axes, new_figure, to_png
from mosaic_dagster.charts.colours import palette

_COLUMNS = 3
_MOST_POINTS = 4000

Values = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""Measured and predicted values, shape (n,) each."""


def agreement(models: Mapping[str, Values], title: str = "", unit: str = "") -> bytes:
    """One panel per model: a point per sample, and the line where both agree.

    Parameters
    ----------
    models
        Measured and predicted values by the name of the model. Pairs that are not finite are
        left out; of more than 4,000 an evenly spaced part is drawn.
    title
        Title of the picture.
    unit
        Unit of the values, for the axes.

    Returns
    -------
    bytes
        A PNG picture.
    """
    columns = min(_COLUMNS, max(1, len(models)))
    rows = max(1, -(-len(models) // columns))
    figure = new_figure(3.4 * columns, 3.3 * rows + 0.4)
    axes = new_axes(figure, rows, columns)
    colours = palette(range(len(models)))
    for number, (name, (measured, predicted)) in enumerate(models.items()):
        _draw(axes[number], measured, predicted, colours[number])
        axes[number].set(title=name, xlabel=f"measured {unit}".strip())
    for axis in axes[::columns]:
        axis.set_ylabel(f"predicted {unit}".strip())
    for axis in axes[len(models) :]:
        axis.set_visible(False)
    figure.suptitle(title)
    return to_png(figure)


def _draw(
    axis: Any, measured: np.ndarray[Any, Any], predicted: np.ndarray[Any, Any], colour: str
) -> None:
    both = np.isfinite(measured) & np.isfinite(predicted)
    x, y = measured[both], predicted[both]
    shown = slice(None, None, -(-len(x) // _MOST_POINTS) or 1)
    axis.scatter(x[shown], y[shown], s=5, alpha=0.35, color=colour, linewidths=0)
    if len(x):
        ends = [min(x.min(), y.min()), max(x.max(), y.max())]
        axis.plot(ends, ends, color="black", linewidth=0.8)
    axis.set_aspect("equal", adjustable="datalim")
