"""Rows in the order of frames, and tables of pairs made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.frame_pairs import Pairs
from mosaic_dagster.features.library.rows import keypoints, numbers, order_rows
from mosaic_dagster.features.output import ORIGIN_COLUMNS

BLOCK = 1 << 15
"""Pairs that are worked on at once: their arrays stay in the processor's cache."""


@dataclass(frozen=True)
class FrameRows:
    """The rows of a table with one row per frame and individual, sorted by frame, then id.

    Attributes
    ----------
    table
        The table.
    order
        Position in the table of each sorted row, shape (n_rows,).
    frames
        Frame of each sorted row, shape (n_rows,).
    individual
        Number of the individual of each sorted row, ascending with the id, shape (n_rows,).
    """

    table: pl.DataFrame
    order: IntArray
    frames: IntArray
    individual: IntArray

    def sort(self, column: str) -> FloatArray:
        """A column as numbers in sorted order, shape (n_rows,)."""
        return numbers(self.table, column)[self.order]

    def keypoints(self) -> FloatArray:
        """All keypoints in sorted order, shape (n_rows, n_keypoints, 2)."""
        return keypoints(self.table)[self.order]

    def ids(self, rows: IntArray) -> pl.Series:
        """Ids of some sorted rows."""
        return self.table["id"][self.order[rows]]

    def pair_table(
        self,
        pairs: Pairs,
        values: Mapping[str, npt.NDArray[Any] | pl.Series],
        *,
        perspective: bool,
    ) -> pl.DataFrame:
        """Keys of the pairs, then the values, then the origin columns.

        Parameters
        ----------
        pairs
            Sorted rows of both individuals of each pair.
        values
            Columns with one value per pair.
        perspective
            Whether both orders are there: 0 is the one from the lower to the higher id.
        """
        first, second = pairs
        carried = self.order[first]
        names = self.table.columns
        columns = [self.table[name][carried] for name in ("frame", "time") if name in names]
        columns += [self.ids(first).alias("id1"), self.ids(second).alias("id2")]
        if perspective:
            columns.append(pl.Series("perspective", (first > second).astype(np.int64)))
        columns += [pl.Series(name, column) for name, column in values.items()]
        columns += [self.table[name][carried] for name in ORIGIN_COLUMNS if name in names]
        return pl.DataFrame(columns)


def by_frame(table: pl.DataFrame) -> FrameRows:
    """Sort the rows by frame, then id.

    Raises
    ------
    MissingColumnError
        There is no column ``frame``.
    FeatureError
        A frame is null, or an individual has two rows in one frame.
    """
    rows = order_rows(table)
    # Sorted by id already, which a stable sort keeps within a frame.
    again = np.argsort(rows.frames, kind="stable")
    return FrameRows(table, rows.order[again], rows.frames[again], rows.identity[again])


def pair_schema(
    schema: pl.Schema, values: Mapping[str, pl.DataType], *, perspective: bool
) -> pl.Schema:
    """Schema of what :meth:`FrameRows.pair_table` gives for a table of this schema."""
    before = {name: schema[name] for name in ("frame", "time") if name in schema}
    before |= {"id1": schema["id"], "id2": schema["id"]}
    if perspective:
        before["perspective"] = pl.Int64()
    after = {name: schema[name] for name in ORIGIN_COLUMNS if name in schema}
    return pl.Schema({**before, **values, **after})
