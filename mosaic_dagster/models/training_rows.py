"""Labelled rows of a feature's tables: all of them counted, a bounded sample kept for fitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import polars as pl

from mosaic_dagster.dataset import Labels, align_labels
from mosaic_dagster.errors import (
    EntryNotFoundError,
    FitError,
    LabelsError,
    MissingColumnError,
    ParamsError,
)
from mosaic_dagster.features import feature_columns
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.sampling import named_generator
from mosaic_dagster.features.library.rows import matrix, order_rows
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.models.row_sample import RowSample


class StepTables(Protocol):
    """What is read of the result of a step, or of the labels of a kind."""

    def keys(self) -> list[EntryKey]:
        """Recordings that have a table."""

    def table(self, key: EntryKey) -> pl.DataFrame:
        """Table of a recording."""

    def labels(self, key: EntryKey) -> Any:
        """Labels of a recording, None when it has none."""


@dataclass(frozen=True)
class LabelledTables:
    """The tables of a feature with the labels of their recordings.

    Parameters
    ----------
    features, labels
        Result of the step whose tables are read, and of the labels.
    directed, background
        See :func:`~mosaic_dagster.dataset.align_labels`.
    """

    features: StepTables
    labels: StepTables
    directed: bool = False
    background: int | None = None

    def found(self) -> Found:
        """Recordings with a table and labels, and those that lack one because it failed.

        Raises
        ------
        LabelsError
            They are tags of individuals, not of behaviour.
        FitError
            No recording has both; says which is missing.
        """
        tables, labels = set(self.features.keys()), set(self.labels.keys())
        found = Found(without_table=sorted(labels - tables))
        for key in sorted(tables):
            try:
                read = self.labels.labels(key)
            except EntryNotFoundError:
                found.unreadable.append(key)
                continue
            if read is None:
                continue
            if not isinstance(read, Labels):
                msg = f"The labels of {key} are a {type(read).__name__}, not behaviour."
                raise LabelsError(msg, "Name labels of behaviour, such as labels/behavior.")
            found.labels[key] = read
        if not found.labels:
            raise _nothing_found(len(tables), len(labels), len(found.unreadable))
        return found

    def read(self, key: EntryKey) -> pl.DataFrame:
        """Table of a recording with its column ``label``, null where unlabelled."""
        return self.labelled(key, self.labels.labels(key))[0]

    def labelled(self, key: EntryKey, labels: Labels | None) -> tuple[pl.DataFrame, int]:
        """Table with its column ``label``, and for how many rows several classes were given.

        Labels of which none belongs to a row leave all rows unlabelled, whatever the background.
        """
        table = self.features.table(key)
        order_rows(table)  # refuses two rows of one individual in one frame
        found = align_labels(table, labels, directed=self.directed)
        label = found.labels
        matched = labels is not None and (not labels.events.height or label.count() > 0)
        if matched and self.background is not None:
            label = label.fill_null(self.background)
        return table.with_columns(label.alias("label")), found.conflicts


@dataclass(frozen=True)
class Found:
    """Which recordings can be learned from.

    Attributes
    ----------
    labels
        Labels of each recording that has a table, in the order of their keys.
    unreadable
        Recordings whose labels are there and cannot be read.
    without_table
        Recordings with labels and no table.
    """

    labels: dict[EntryKey, Labels] = field(default_factory=dict)
    unreadable: list[EntryKey] = field(default_factory=list)
    without_table: list[EntryKey] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingRows:
    """What is known of the labelled rows of all recordings.

    Attributes
    ----------
    columns
        Columns that are learned from.
    names
        Name of each class by its number, those without a row included.
    counts
        Labelled rows by class, of each recording that has any; in the order of the keys.
    values, labels, entry
        A sample of them: values (n_rows, n_columns), class (n_rows,) and place of the recording
        among ``counts`` (n_rows,).
    conflicts
        Rows for which several classes were given; the later one counts.
    unmatched
        Recordings with labels, of which none belongs to a row.
    unreadable, without_table
        See :class:`Found`.
    """

    columns: tuple[str, ...]
    names: Mapping[int, str]
    counts: Mapping[EntryKey, Mapping[int, int]]
    values: FloatArray
    labels: IntArray
    entry: IntArray
    conflicts: int
    unmatched: tuple[EntryKey, ...] = ()
    unreadable: tuple[EntryKey, ...] = ()
    without_table: tuple[EntryKey, ...] = ()

    @property
    def keys(self) -> list[EntryKey]:
        """Recordings with labelled rows."""
        return list(self.counts)

    @property
    def totals(self) -> dict[int, int]:
        """Labelled rows of each class, sampled or not."""
        return {c: sum(by.get(c, 0) for by in self.counts.values()) for c in sorted(self.names)}

    @property
    def left_out(self) -> list[str]:
        """One sentence for each reason why recordings were left out, with their keys."""
        reasons = {
            "their labels cannot be read": self.unreadable,
            "they have no table": self.without_table,
            "their labels match no row": self.unmatched,
        }
        return [
            f"excluded: {', '.join(map(str, keys))} ({reason})"
            for reason, keys in reasons.items()
            if keys
        ]

    def of(self, keys: Sequence[EntryKey]) -> BoolArray:
        """Which sampled rows belong to some recordings, shape (n_rows,)."""
        wanted = set(keys)
        chosen = np.array([key in wanted for key in self.counts], dtype=np.bool_)
        return np.asarray(chosen[self.entry])

    def classes_of(self, keys: Sequence[EntryKey]) -> set[int]:
        """Classes that have labelled rows in some recordings, sampled or not."""
        return {name for key in keys for name, count in self.counts[key].items() if count}


def read_training_rows(
    tables: LabelledTables, max_rows: int = 100_000, random_state: int = 42
) -> TrainingRows:
    """Read every labelled recording once and keep a bounded sample of its rows.

    Classes share ``max_rows`` evenly, small ones are kept whole for as long as possible; what a
    class may take is shared evenly by the recordings that have it, see
    :func:`~mosaic_dagster.models.row_sample.cell_quotas`. Which rows of a recording come first
    depends on the seed and the recording alone.

    Parameters
    ----------
    tables
        Where rows and labels are.
    max_rows
        Most rows that are kept in all, at least one for each class.
    random_state
        Seed.

    Raises
    ------
    FitError
        No row is labelled, or there are no value columns.
    MissingColumnError
        A table lacks a column that another has.
    LabelsError
        Two recordings call one class by different names.
    ParamsError
        ``max_rows`` is no whole number from 1, or below the number of classes.
    """
    _check_max_rows(max_rows)
    found = tables.found()
    names = _merged_names(found.labels, tables.background)
    sample = RowSample(max_rows)
    columns: tuple[str, ...] = ()
    counts: dict[EntryKey, dict[int, int]] = {}
    unmatched, conflicts = [], 0
    for key, labels in found.labels.items():
        table, several = tables.labelled(key, labels)
        conflicts += several
        if not table["label"].count():
            unmatched.append(key)
            continue
        columns = columns or tuple(feature_columns(table))
        _check_columns(key, table, columns)
        rng = named_generator(random_state, str(key))
        sample.add(len(counts), table["label"], partial(_values, table, columns), rng)
        counts[key] = dict(table["label"].drop_nulls().value_counts().iter_rows())
    _check_counts(counts, len(found.labels), max_rows)
    return TrainingRows(
        columns, names, counts, *sample.drawn(), conflicts, tuple(unmatched),
        tuple(found.unreadable), tuple(found.without_table),
    )  # fmt: skip


def _values(table: pl.DataFrame, columns: Sequence[str], rows: IntArray) -> FloatArray:
    return matrix(table[rows], columns)


def _merged_names(found: Mapping[EntryKey, Labels], background: int | None) -> dict[int, str]:
    names: dict[int, str] = {}
    for key, labels in found.items():
        for number, name in labels.names.items():
            if names.setdefault(number, name) != name:
                msg = f"The class {number} is {names[number]!r}, and in {key} it is {name!r}."
                raise LabelsError(msg, "Number the classes of all recordings alike.")
    if background is not None:
        names.setdefault(background, "background")
    return dict(sorted(names.items()))


def _check_columns(key: EntryKey, table: pl.DataFrame, columns: Sequence[str]) -> None:
    if not columns:
        msg = f"The table of {key} has no value columns; it has {', '.join(table.columns)}."
        raise FitError(msg, "Learn from a step that computes values.")
    there = set(table.columns)
    missing = [column for column in columns if column not in there]
    if missing:
        msg = f"The table of {key} has no column {missing[0]!r}, which other recordings have."
        raise MissingColumnError(msg, "Compute all recordings with the same parameters.")


def _check_max_rows(max_rows: object) -> None:
    if isinstance(max_rows, bool) or not isinstance(max_rows, int) or max_rows < 1:
        msg = f"max_train_rows is {max_rows!r}."
        raise ParamsError(msg, "Give a whole number, at least 1.")


def _check_counts(
    counts: Mapping[EntryKey, Mapping[int, int]], n_labelled: int, max_rows: int
) -> None:
    if not counts:
        msg = f"{n_labelled} recordings have labels, and none of them belongs to a row."
        raise FitError(msg, "Check that frames and ids are those of the tracks.")
    present = {name for by in counts.values() for name in by}
    if len(present) > max_rows:
        msg = f"max_train_rows is {max_rows}, and {len(present)} classes have labelled rows."
        raise ParamsError(msg, "Raise max_train_rows; each class needs rows to be learned from.")


def _nothing_found(n_tables: int, n_labels: int, n_unreadable: int) -> FitError:
    if n_unreadable:
        others = f"those of {n_labels} others have no table to learn from" if n_labels else ""
        msg = f"The labels of {n_unreadable} recordings cannot be read, and "
        msg += f"{others or 'no other has any'}."
        return FitError(msg, "See the status of the labels for what is wrong with them.")
    if not n_labels:
        return FitError("No recording has labels.", "Add labels, or name the kind that has some.")
    msg = f"{n_labels} recordings have labels, and none of them has a table to learn from"
    if not n_tables:
        msg = f"{msg}: no table of the features is there."
        return FitError(msg, "See the status of the step of the features for what failed.")
    msg = f"{msg}; {n_tables} others have one."
    return FitError(msg, "See the status of the features, or label recordings that have a table.")
