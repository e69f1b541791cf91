"""What each class was taken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from mosaic_dagster.charts.canvas import (
    PAGE_WIDTH,
    add_note,
    new_axes,
    new_figure,
    shorten,
    to_png,
)
from mosaic_dagster.errors import ParamsError

# Inches of a cell in which both figures, or the percentage alone, can be read.
_LETTER = 0.07
_TWO_LINES = 0.3
_ONE = (0.2, 0.15)
_LEAST_LABEL = 0.1
_TALLEST = 9.0

Array = np.ndarray[Any, np.dtype[Any]]


def confusion(
    counts: Array,
    rows: Sequence[Any],
    columns: Sequence[Any] | None = None,
    title: str = "",
    row_title: str = "truth",
    column_title: str = "prediction",
) -> bytes:
    """Draw a table of counts, each row as shares of its sum.

    Parameters
    ----------
    counts
        Frames by true class (row) and predicted class or cluster (column), shape (n, m); clusters
        may as well be the rows. Finite and not negative.
    rows, columns
        Names, n and m of them; without `columns` those of the rows.
    title, row_title, column_title
        Title of the picture and of its axes.

    Returns
    -------
    bytes
        A PNG picture. Cells hold percentage and count, or the percentage, or nothing, as their
        size allows. A row without frames has no shares: it is hatched, not white.

    Raises
    ------
    ParamsError
        If the counts do not fit the names, or one is negative, NaN or infinite.
    """
    counts = np.asarray(counts)
    columns = rows if columns is None else columns
    _check(counts, rows, columns)
    totals = counts.sum(axis=1)
    shares = counts / np.where(totals > 0, totals, 1)[:, None]
    # Rows spread over many clusters would all be white on a scale to 100 %.
    top = 1.0 if shares.max() > 0.5 else float(np.ceil(max(shares.max(), 0.05) * 20) / 20)
    label = 0.3 + 0.085 * max(
        (len(_row_name(r, t)) for r, t in zip(rows, totals, strict=True)), default=1
    )
    width = float(np.clip((PAGE_WIDTH - 1.3 - label) / max(len(columns), 1), 0.0, 1.3))
    height = float(np.clip((_TALLEST - 1.6) / max(len(rows), 1), 0.0, 0.55))
    figure = new_figure(
        max(width * len(columns), 2.5) + label + 1.3, max(height * len(rows), 1.0) + 1.6
    )
    axis = new_axes(figure)[0]
    image = axis.imshow(
        shares * 100, cmap="Blues", vmin=0, vmax=top * 100, aspect="auto", interpolation="nearest"
    )
    _hatch(axis, np.flatnonzero(totals == 0), len(columns))
    _write_cells(axis, counts, shares, shares > 0.6 * top, (width, height))
    _name_ticks(
        axis.xaxis, [shorten(str(name), 18) for name in columns], width, _turn(columns, width)
    )
    _name_ticks(axis.yaxis, [_row_name(r, t) for r, t in zip(rows, totals, strict=True)], height, 0)
    axis.set(title=title, xlabel=column_title, ylabel=row_title)
    bar = figure.colorbar(image, ax=axis, fraction=0.05, pad=0.02)
    bar.set_label("share of the row (%)")
    add_note(figure, "Hatched: no frames." if (totals == 0).any() else "")
    return to_png(figure)


def _hatch(axis: Any, empty: Array, columns: int) -> None:
    for row in empty:
        axis.add_patch(
            Rectangle(
                (-0.5, row - 0.5), columns, 1, facecolor="#F0F0F0", edgecolor="#999999",
                hatch="////", linewidth=0,
            )
        )  # fmt: skip


def _check(counts: Array, rows: Sequence[Any], columns: Sequence[Any]) -> None:
    if counts.shape != (len(rows), len(columns)) or not counts.size:
        raise ParamsError(
            f"Counts of shape {counts.shape} do not fit {len(rows)} rows and {len(columns)} "
            "columns.",
            "Give one name for each row and each column, and at least one of both.",
        )
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ParamsError(
            "Counts of a confusion are negative or not finite.", "Give numbers of frames."
        )


def _row_name(name: Any, total: float) -> str:
    return f"{shorten(str(name), 22)}  ({total:,.0f})"


def _turn(names: Sequence[Any], width: float) -> int:
    """Degrees by which names are turned to find room above each other."""
    longest = max(min(len(str(name)), 18) for name in names)
    return 0 if longest * 0.085 < width else 90 if width < 0.3 else 40


def _name_ticks(axis: Any, names: list[str], room: float, turn: int) -> None:
    """Name as many ticks as there is room for, evenly."""
    every = max(1, int(np.ceil(_LEAST_LABEL / room)))
    shown = range(0, len(names), every)
    style: dict[str, Any] = {"fontsize": float(np.clip(room * 72 * 0.8, 6.0, 9.0))}
    if turn:
        style |= {"rotation": turn, "ha": "right", "rotation_mode": "anchor"}
        style |= {"va": "center"} if turn == 90 else {}
    axis.set_ticks(list(shown), [names[i] for i in shown], **style)


def _write_cells(
    axis: Any, counts: Array, shares: Array, dark: Array, cell: tuple[float, float]
) -> None:
    if cell[0] < _ONE[0] or cell[1] < _ONE[1]:
        return
    longest = len(f"{counts.max():,.0f}") + 1
    both = cell[0] >= longest * _LETTER and cell[1] >= _TWO_LINES
    for row, column in zip(*np.nonzero(counts), strict=True):
        share, count = shares[row, column], counts[row, column]
        text = f"{_per_cent(share)}%\n{count:,.0f}" if both else _per_cent(share)
        axis.text(
            column, row, text, ha="center", va="center", fontsize=7.5 if both else 7,
            color="white" if dark[row, column] else "black", linespacing=1.1,
        )  # fmt: skip


def _per_cent(share: float) -> str:
    """Whole per cent; what is rounded to 0 or to 100 and is neither says so."""
    rounded = round(share * 100)
    if rounded == 0 and share > 0:
        return "<1"
    return ">99" if rounded == 100 and share < 1 else str(rounded)
