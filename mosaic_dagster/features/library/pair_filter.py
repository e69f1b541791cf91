"""Keep the pair rows in which one animal is the nearest neighbour of the other.

A feature takes part by three lines: a parameter ``pair_filter: PairFilterReference = None``,
``self.neighbor_tables = lookups.get("pair_filter")`` in ``load_state``, and :func:`nearest_pairs`
on each table before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import AfterValidator

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.library.entries import entry_of
from mosaic_dagster.features.references import Result, StepRef
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import read_schema, read_table

NeighborTables = Mapping[EntryKey, Path]
"""Table of nearest-neighbor of each entry."""

_PAIR = ("frame", "id1", "id2")
_NEIGHBOR = ("frame", "id", "nn_id")


def _refers_to_tables(reference: StepRef | Result | None) -> StepRef | Result | None:
    if isinstance(reference, StepRef):
        whole = reference.artifact is None and reference.column is None
    else:
        whole = reference is None or type(reference) is Result
    if not whole:
        msg = "refers to a file or a column, not to the tables of a nearest-neighbor step"
        raise ValueError(msg)
    return reference


PairFilterReference = Annotated[StepRef | Result | None, AfterValidator(_refers_to_tables)]
"""The tables of a nearest-neighbor step, such as ``StepRef("nn")``; None keeps every row."""


def nearest_pairs(
    table: pl.DataFrame,
    reference: StepRef | Result | None,
    tables: NeighborTables | None,
    feature: str,
    key: EntryKey | None = None,
) -> pl.DataFrame:
    """Rows of a pair table where one animal is the nearest neighbour of the other in that frame.

    Parameters
    ----------
    table
        A table with ``frame``, ``id1`` and ``id2``.
    reference
        The parameter; None gives the table back.
    tables
        What ``load_state`` was given for the parameter.
    feature
        Name of the feature, for messages.
    key
        The entry; None takes it from the columns ``group`` and ``sequence``.

    Returns
    -------
    polars.DataFrame
        The rows that remain, in their order: those where id2 is nearest to id1, or id1 to id2. A
        row of which the neighbours' table knows neither is left out.

    Raises
    ------
    MissingColumnError
        The table is not one of pairs, or the other not one of neighbours.
    FeatureError
        There is no table of neighbours for the entry.
    """
    if reference is None:
        return table
    _need_columns(table.schema, _PAIR, f"{feature} with pair_filter reads tables of pairs")
    if not table.height:
        return table
    entry = key if key is not None else entry_of(table, feature)
    if tables is None or entry not in tables:
        msg = f"{feature} found no table of nearest neighbours of entry {entry} for pair_filter."
        raise FeatureError(msg, "Run the step that pair_filter refers to for this entry, too.")
    path = tables[entry]
    _need_columns(read_schema(path), _NEIGHBOR, "pair_filter refers to nearest-neighbor tables")
    nearest = read_table(path, columns=_NEIGHBOR).select(pl.col(*_NEIGHBOR).cast(pl.Int64))
    either = pl.concat([nearest, nearest.select("frame", id="nn_id", nn_id="id")])
    return table.join(
        either,
        left_on=[pl.col(column).cast(pl.Int64) for column in _PAIR],
        right_on=list(_NEIGHBOR),
        how="semi",
        maintain_order="left",
    )


def _need_columns(schema: Mapping[str, object], needed: tuple[str, ...], what: str) -> None:
    missing = [column for column in needed if column not in schema]
    if missing:
        msg = f"{what}; this one has no column {', '.join(map(repr, missing))}"
        raise MissingColumnError(
            f"{msg} among {', '.join(schema)}.", "Read the step that makes it."
        )
