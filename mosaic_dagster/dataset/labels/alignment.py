"""Which label belongs to which row of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from mosaic_dagster.dataset.labels.behavior import NOBODY, Labels
from mosaic_dagster.errors import LabelsError

_ROW, _ORDER = "row of the table", "order of events"


@dataclass(frozen=True)
class Alignment:
    """Labels of the rows of a table.

    Attributes
    ----------
    labels
        Class of each row (Int64), null where it is unlabelled.
    conflicts
        Number of rows for which several classes were given; the later event counts.
    """

    labels: pl.Series
    conflicts: int


def align_labels(
    table: pl.DataFrame,
    labels: Labels | None,
    *,
    directed: bool = False,
    background: int | None = None,
) -> Alignment:
    """Find the label of each row of a table.

    Parameters
    ----------
    table
        Rows with ``frame`` and ``id`` (individuals), or ``id1`` and ``id2`` (pairs), or neither
        (one row per frame).
    labels
        The labels of its recording; None for a recording without any.
    directed
        Whether an event of a pair (a, b) holds for the row of (a, b) only, not for that of (b, a).
    background
        Class of the rows without an event; None leaves them unlabelled.

    Notes
    -----
    An event (a, b) holds for pairs of a and b, an event (a, -1) for the individual a and for pairs
    whose ``id1`` is a, an event (-1, -1) for every row of its frame.

    Raises
    ------
    LabelsError
        The table has no column ``frame``, or a frame or an id of it is no whole number.
    """
    if "frame" not in table.columns:
        msg = f"A table without a column 'frame' cannot be labelled; it has {table.columns}."
        raise LabelsError(msg, "Give tracks, or a table made of them.")
    if labels is None or not labels.events.height or not table.height:
        return Alignment(pl.Series("label", [background] * table.height, dtype=pl.Int64), 0)
    identity: list[str] = [c for c in ("id", "id1", "id2") if c in table.columns]
    rows = _whole_numbers(table.select("frame", *identity)).with_row_index(_ROW)
    events = labels.events.with_row_index(_ORDER)
    found = pl.concat(
        rows.join(part, on=on, how="inner").select(_ROW, _ORDER, "label")
        for part, on in _parts(events, identity, directed)
    )
    chosen = found.group_by(_ROW).agg(
        pl.col("label").sort_by(_ORDER).last(), pl.col("label").n_unique().alias("classes")
    )
    aligned = rows.select(_ROW).join(chosen, on=_ROW, how="left", maintain_order="left")
    label = aligned["label"] if background is None else aligned["label"].fill_null(background)
    return Alignment(label, int((chosen["classes"] > 1).sum()))


def _whole_numbers(keys: pl.DataFrame) -> pl.DataFrame:
    """Frames and ids as Int64; texts of whole numbers count as these, null stays null."""
    whole = keys.select(pl.all().cast(pl.Int64, strict=False))
    for column in keys.columns:
        given, found = keys[column], whole[column]
        bad = found.is_null() & given.is_not_null()
        if given.dtype.is_float():
            bad = bad | (found.cast(pl.Float64) != given.cast(pl.Float64)).fill_null(False)
        if bad.any():
            row = int(bad.arg_true()[0])
            msg = f"The table has {column} {given[row]!r} in row {row} (rows count from 0)."
            raise LabelsError(msg, "Labels find their rows by frames and ids, whole numbers.")
    return whole


def _parts(
    events: pl.DataFrame, identity: list[str], directed: bool
) -> Iterator[tuple[pl.DataFrame, list[str]]]:
    """Events that may hold for a row, with the columns that must agree."""
    alone = pl.col("id2") == NOBODY
    scene = pl.col("id1") == NOBODY
    yield events.filter(scene).select("frame", "label", _ORDER), ["frame"]
    single = events.filter(alone & ~scene).select("frame", "id1", "label", _ORDER)
    if "id" in identity:
        yield single.rename({"id1": "id"}), ["frame", "id"]
    if "id1" in identity and "id2" in identity:
        pairs = events.filter(~alone).select("frame", "id1", "id2", "label", _ORDER)
        yield single, ["frame", "id1"]
        yield pairs, ["frame", "id1", "id2"]
        if not directed:
            swapped = pairs.filter(pl.col("id1") != pl.col("id2"))
            yield swapped.rename({"id1": "id2", "id2": "id1"}), ["frame", "id1", "id2"]
