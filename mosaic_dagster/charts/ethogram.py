"""Who did what when: one row per recording, time from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from mosaic_dagster.charts.canvas import (
    PAGE_WIDTH,
    add_key,
    add_note,
    new_axes,
    new_figure,
    shorten,
    to_png,
)
from mosaic_dagster.charts.classes import Names, check_columns, class_column, find_classes
from mosaic_dagster.charts.colours import lookup
from mosaic_dagster.charts.timeline import Timeline, condense, is_timed, time_unit, timeline
from mosaic_dagster.errors import ParamsError

_ROWS_PER_PAGE = 40
_PAIRS_PER_PAGE = 24
_MOST_COLUMNS = 800
_STRIP = ("#F4F4F4", "#000000")

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class _Band:
    """Codes of one recording between two heights."""

    time: Timeline
    codes: Array
    top: float
    bottom: float


def ethogram(
    rows: Mapping[str, pl.DataFrame],
    title: str = "",
    column: str = "cluster",
    names: Names | None = None,
    page: int = 1,
) -> bytes:
    """Draw classes or clusters over time.

    Parameters
    ----------
    rows
        Name of each row to a table with ``frame``, the column and, for an axis in seconds,
        ``time`` (s); one animal or pair each. Frames that are missing, null or NaN stay grey.
    title
        Title of the picture.
    column
        The column that is drawn: whole numbers or text.
    names
        Names of values; named classes keep their colour whichever of them occur.
    page
        40 rows are drawn; page 2 has the next 40. The picture says so.

    Returns
    -------
    bytes
        A PNG picture. Of a recording longer than 800 frames, a column of pixels shows a stretch
        of frames, split by the share of each class.

    Raises
    ------
    MissingColumnError
        If a table lacks a column.
    ParamsError
        If a column holds no classes, a frame occurs twice in a row, or there is no such page.
    """
    for name, table in rows.items():
        check_columns(table, ("frame", column), f"The row {name!r}")
    tables = {name: table.sort("frame") for name, table in rows.items()}
    drawn = {name: class_column(table[column], names) for name, table in tables.items()}
    classes = find_classes(drawn.values(), names)
    shown, note = _page(list(tables), page, _ROWS_PER_PAGE)
    timed = is_timed(tables.values())
    bands = [
        _Band(line, line.fill(classes.codes(drawn[name])), place - 0.42, place + 0.42)
        for place, name in enumerate(shown)
        if tables[name].height
        for line in [timeline(tables[name], name, timed)]
    ]
    figure = new_figure(PAGE_WIDTH, 1.2 + 0.32 * max(1, len(shown)))
    axis = _draw(figure, bands, lookup(classes.colours), timed)
    axis.set(title=title, ylim=(max(len(shown), 1) - 0.5, -0.5))
    axis.set_yticks(range(len(shown)), [shorten(name) for name in shown])
    add_key(figure, classes, column, any((band.codes < 0).any() for band in bands))
    add_note(figure, note, _condensed(bands))
    return to_png(figure)


def ethogram_pairs(
    truth: Mapping[str, pl.DataFrame],
    prediction: Mapping[str, pl.DataFrame],
    title: str = "",
    truth_column: str = "label",
    prediction_column: str = "predicted_label",
    names: Names | None = None,
    page: int = 1,
) -> bytes:
    """Draw what was labelled above what was predicted, and where they differ.

    Parameters
    ----------
    truth, prediction
        Name of each recording to a table with ``frame``, the column and, for an axis in seconds,
        ``time`` (s); one animal or pair each. They are joined by frame; a recording, a frame or a
        value that only one of them has is grey in the other.
    title
        Title of the picture.
    truth_column, prediction_column
        The columns that are drawn: whole numbers or text, with the same classes.
    names
        Names of values of both columns.
    page
        24 recordings are drawn; page 2 has the next 24. The picture says so.

    Returns
    -------
    bytes
        A PNG picture: for each recording the truth, below it the prediction, below that a strip
        that is black where both are known and differ; at its end the share of frames known in
        both on which they agree (a dash if there are none).

    Raises
    ------
    MissingColumnError
        If a table lacks a column.
    ParamsError
        If a column holds no classes, a frame occurs twice in a table, or there is no such page.
    """
    for name, table in truth.items():
        check_columns(table, ("frame", truth_column), f"The truth of {name!r}")
    for name, table in prediction.items():
        check_columns(table, ("frame", prediction_column), f"The prediction of {name!r}")
    timed = is_timed([*truth.values(), *prediction.values()])
    joined = {
        name: _join(
            _side(truth.get(name), truth_column, "truth", names, name, timed),
            _side(prediction.get(name), prediction_column, "prediction", names, name, timed),
        )
        for name in dict.fromkeys([*truth, *prediction])
    }
    classes = find_classes((t[side] for t in joined.values() for side in _SIDES), names)
    shown, note = _page(list(joined), page, _PAIRS_PER_PAGE)
    figure = new_figure(PAGE_WIDTH, 1.3 + 0.52 * max(1, len(shown)))
    codes = [[classes.codes(joined[name][side]) for side in _SIDES] for name in shown]
    bands, strips = _paired_bands(shown, joined, codes, timed)
    axis = _draw(figure, bands, lookup(classes.colours), timed, strips)
    axis.set(title=title, ylim=(max(len(shown), 1) - 0.5, -0.5))
    axis.set_yticks(range(len(shown)), [shorten(name) for name in shown])
    for place, (measured, predicted) in enumerate(codes):
        axis.text(
            1.01, place, _agreeing(measured, predicted), transform=axis.get_yaxis_transform(),
            fontsize=8, va="center",
        )  # fmt: skip
    add_key(figure, classes, "class", any((band.codes < 0).any() for band in bands))
    reading = "Above: truth. Below: prediction. Black: they differ. %: frames that agree."
    add_note(figure, "\n".join(filter(None, (reading, note, _condensed(bands)))))
    return to_png(figure)


_SIDES = ("truth", "prediction")


def _side(
    table: pl.DataFrame | None, column: str, side: str, names: Names | None, row: str, timed: bool
) -> pl.DataFrame:
    """Frame, time and classes of one side, sorted; without rows if there is no table."""
    if table is None or not table.height:
        return pl.DataFrame(schema={"frame": pl.Int64, "time": pl.Float64, side: pl.Null})
    table = table.sort("frame")
    timeline(table, f"{row}, {side}", timed)
    return pl.DataFrame(
        {
            "frame": table["frame"].cast(pl.Int64),
            "time": table["time"].cast(pl.Float64) if timed else table["frame"].cast(pl.Float64),
            side: class_column(table[column], names),
        }
    )


def _join(truth: pl.DataFrame, prediction: pl.DataFrame) -> pl.DataFrame:
    both = truth.join(prediction, on="frame", how="full", coalesce=True)
    return both.with_columns(time=pl.coalesce("time", "time_right")).sort("frame")


def _paired_bands(
    shown: Sequence[str], joined: Mapping[str, pl.DataFrame], codes: list[list[Array]], timed: bool
) -> tuple[list[_Band], list[_Band]]:
    bands, strips = [], []
    for place, (name, (measured, predicted)) in enumerate(zip(shown, codes, strict=True)):
        if not joined[name].height:
            continue
        line = timeline(joined[name], name, timed)
        known = (measured >= 0) & (predicted >= 0)
        differs = np.where(known, measured != predicted, -1)
        bands.append(_Band(line, line.fill(measured), place - 0.42, place - 0.07))
        bands.append(_Band(line, line.fill(predicted), place - 0.04, place + 0.31))
        strips.append(_Band(line, line.fill(differs), place + 0.32, place + 0.42))
    return bands, strips


def _agreeing(measured: Array, predicted: Array) -> str:
    known = (measured >= 0) & (predicted >= 0)
    return f"{(measured == predicted)[known].mean():.0%}" if known.any() else "–"


def _draw(
    figure: Figure,
    bands: Sequence[_Band],
    shades: Array,
    timed: bool,
    strips: Sequence[_Band] = (),
) -> Any:
    axis = new_axes(figure)[0]
    first = min((band.time.start for band in bands), default=0.0)
    last = max((band.time.stop for band in bands), default=1.0)
    size, unit = time_unit(last - first) if timed else (1.0, "")
    for colours, drawn in ((shades, bands), (lookup(_STRIP), strips)):
        for band in drawn:
            extent = (band.time.start / size, band.time.stop / size, band.bottom, band.top)
            axis.imshow(
                colours[condense(band.codes, _MOST_COLUMNS)], aspect="auto",
                interpolation="nearest", extent=extent,
            )  # fmt: skip
    axis.set(xlabel=f"time ({unit})" if timed else "frame", xlim=(first / size, last / size))
    return axis


def _page(names: list[str], page: int, size: int) -> tuple[list[str], str]:
    """The rows of a page, and a sentence that says which if there are several."""
    pages = max(1, -(-len(names) // size))
    if not 1 <= page <= pages:
        raise ParamsError(
            f"There is no page {page} of {len(names)} rows.", f"Pages are 1 to {pages}."
        )
    shown = names[(page - 1) * size : page * size]
    first = (page - 1) * size + 1
    told = f"Rows {first} to {first + len(shown) - 1} of {len(names)} (page {page} of {pages})."
    return shown, told if pages > 1 else ""


def _condensed(bands: Sequence[_Band]) -> str:
    frames = max((band.time.length for band in bands), default=0)
    if frames <= _MOST_COLUMNS:
        return ""
    return f"A column of pixels: up to {-(-frames // _MOST_COLUMNS)} frames, split by share."
