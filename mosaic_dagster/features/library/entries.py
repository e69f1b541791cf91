"""Which entry a table is of."""

from __future__ import annotations

import polars as pl

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.keys import EntryKey


def entry_of(table: pl.DataFrame, feature: str) -> EntryKey:
    """The one entry that the rows of a table are of.

    Parameters
    ----------
    table
        A table with at least one row and the columns ``group`` and ``sequence``.
    feature
        Name of the feature, for messages.

    Raises
    ------
    MissingColumnError
        The table does not say where it is from.
    FeatureError
        It has rows of several entries.
    """
    missing = [column for column in ("group", "sequence") if column not in table.columns]
    if missing:
        msg = f"{feature} cannot tell which entry its table is of: no column {missing[0]!r}."
        raise MissingColumnError(msg, "Keep group and sequence in its input.")
    found = table.select("group", "sequence").unique(maintain_order=True)
    if found.height > 1:
        names = ", ".join(f"{group}/{sequence}" for group, sequence in found.rows()[:3])
        msg = f"{feature} was given a table of several entries: {names}."
        raise FeatureError(msg, "Give it the table of one entry at a time.")
    group, sequence = found.row(0)
    return EntryKey(group or "", sequence)
