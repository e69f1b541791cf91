"""Tables with one row per frame, pair and perspective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.pairing import PairRows, pair_rows
from mosaic_dagster.features.library.interpolated import CleanRows
from mosaic_dagster.features.output import ORIGIN_COLUMNS

Floats = FloatArray | npt.NDArray[np.float32]


def pair_schema(schema: pl.Schema, values: Sequence[str]) -> pl.Schema:
    """Columns of a pair table of float32 values, for a table of individuals.

    Parameters
    ----------
    schema
        Schema of the individuals' table, with ``frame`` and ``id``.
    values
        Names of the values.
    """
    when = {name: schema[name] for name in ("frame", "time") if name in schema}
    who = {"id1": schema["id"], "id2": schema["id"], "perspective": pl.Int64()}
    origin = {name: schema[name] for name in ORIGIN_COLUMNS if name in schema}
    return pl.Schema({**when, **who, **{name: pl.Float32() for name in values}, **origin})


def match_rows(clean: CleanRows) -> PairRows:
    """The pairs of the rows that are kept."""
    return pair_rows(clean.identity, clean.frames)


def pair_table(
    table: pl.DataFrame,
    clean: CleanRows,
    pairs: PairRows,
    values: Mapping[str, tuple[Floats, Floats]],
    *,
    both: bool = True,
) -> pl.DataFrame:
    """Rows sorted by frame, ``id1`` (focal) and ``id2`` (partner).

    Parameters
    ----------
    table, clean, pairs
        The individuals' table, its rows that are kept, and their pairs.
    values
        Values by column in both perspectives, each of shape (n_pair_rows,).
    both
        Whether perspective 1 has rows too.

    Notes
    -----
    Perspective 0 has the lower id as focal animal. Time, fps, group and sequence are those of the
    lower id's row.
    """
    n = len(pairs.first)
    order = pairs.order if both else pairs.order[pairs.order < n]
    low, high = clean.positions[pairs.first], clean.positions[pairs.second]
    lower, focal, partner = (
        pl.Series(np.concatenate(sides)[order].astype(np.uint32))
        for sides in ((low, low), (low, high), (high, low))
    )
    columns = [table[name].gather(lower) for name in ("frame", "time") if name in table.columns]
    columns += [table["id"].gather(focal).alias("id1"), table["id"].gather(partner).alias("id2")]
    columns.append(pl.Series("perspective", (order >= n).astype(np.int64)))
    stacked = np.empty(2 * n, dtype=np.float32)
    for name, (own, swapped) in values.items():
        stacked[:n], stacked[n:] = own, swapped
        columns.append(pl.Series(name, stacked[order]))
    columns += [table[name].gather(lower) for name in ORIGIN_COLUMNS if name in table.columns]
    return pl.DataFrame(columns)
