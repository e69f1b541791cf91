"""What rules are told about the results of a step: numbers side by side, one row per entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import polars as pl

from mosaic_dagster.store import Profile
from mosaic_dagster.store.feature_registry.profiles import SCHEMA, SEPARATOR, table_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Score:
    """How the models of one version score by a metric, and those of the version before.

    Parameters
    ----------
    metric
        Name of the metric.
    value, before
        Score of the best model of each version.
    higher_is_better
        Which way the metric points.
    """

    metric: str
    value: float
    before: float
    higher_is_better: bool


@dataclass(frozen=True)
class Columns:
    """One number of a profile, for every entry and column.

    Parameters
    ----------
    names
        Names of the columns.
    values
        Shape (n_entries, n_columns); NaN where an entry lacks the column.
    there
        Same shape: whether the entry has the column.
    """

    names: tuple[str, ...]
    values: Array
    there: Array


class Profiles:
    """What was measured of some results, side by side.

    Parameters
    ----------
    entries
        The entry of each row.
    table
        Their profiles, in the columns of the registry.
    """

    def __init__(self, entries: Sequence[str] = (), table: pl.DataFrame | None = None) -> None:
        self.entries = list(entries)
        self._table = pl.DataFrame(schema=SCHEMA) if table is None else table

    @classmethod
    def of(cls, profiles: Mapping[str, Profile]) -> Self:
        """Profiles by entry."""
        return cls(list(profiles), table_of(profiles))

    def __len__(self) -> int:
        return len(self.entries)

    def counts(self, name: str) -> Array:
        """The ``rows``, ``frames`` or ``duplicated`` of each entry, shape (n_entries,)."""
        return self._table[name].to_numpy()

    def by_entry(self, name: str) -> dict[str, int]:
        """The same by entry."""
        return dict(zip(self.entries, self._table[name].to_list(), strict=True))

    def columns(self, number: str, chosen: Sequence[str] | None = None) -> Columns:
        """A number (``missing``, ``low``, …) of some columns, or of all."""
        names = self.names if chosen is None else tuple(chosen)
        values = np.full((len(self), len(names)), np.nan)
        there = np.zeros(values.shape, dtype=bool)
        for layout, rows in self._layouts:
            known = layout.split(SEPARATOR) if layout else []
            places = [known.index(name) for name in names if name in known]
            targets = [place for place, name in enumerate(names) if name in known]
            if targets:
                lists = self._table[number] if len(rows) == len(self) else self._table[number][rows]
                block = lists.explode().to_numpy().reshape(len(rows), len(known))
                values[rows[:, None], targets] = block[:, places]
                there[rows[:, None], targets] = True
        return Columns(names, values, there)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every column that any entry has, in order of appearance."""
        found = [name for layout, _ in self._layouts if layout for name in layout.split(SEPARATOR)]
        return tuple(dict.fromkeys(found))

    @cached_property
    def _layouts(self) -> list[tuple[str, Array]]:
        """Each set of columns with the rows that have it; mostly there is one."""
        layouts = self._table["layout"]
        if layouts.n_unique() == 1:
            return [(layouts[0], np.arange(len(self)))]
        different = layouts.unique(maintain_order=True).to_list()
        return [(layout, (layouts == layout).arg_true().to_numpy()) for layout in different]


@dataclass(frozen=True)
class Facts:
    """What is known about the results of a step.

    Parameters
    ----------
    profiles
        What was measured of each result, by entry; the key of a result of the whole scope is "".
    unmeasured
        Entries with a result of which nothing was measured.
    tracks_rows, tracks_frames
        Rows and different frames of the tracks, by entry, where they are known.
    labelled
        Share of the tracks' frames that have a label, by kind and entry.
    scores
        Scores of what a training step trained, beside those of its version before.
    """

    profiles: Profiles = field(default_factory=Profiles)
    unmeasured: Sequence[str] = ()
    tracks_rows: Mapping[str, int] = field(default_factory=dict)
    tracks_frames: Mapping[str, int] = field(default_factory=dict)
    labelled: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scores: Sequence[Score] = ()
