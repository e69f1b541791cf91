"""Labelled rows of a feature's tables: all of them counted, a bounded sample kept for fitting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from mosaic_dagster.dataset import Labels, align_labels
from mosaic_dagster.errors import FitError, LabelsError, MissingColumnError, ParamsError
from mosaic_dagster.features import feature_columns
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.sampling import named_generator
from mosaic_dagster.features.library.rows import matrix, order_rows
from mosaic_dagster.keys import EntryKey


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

    def found(self) -> Iterator[tuple[EntryKey, Labels]]:
        """Recordings with labels, in the order of their keys.

        Raises
        ------
        LabelsError
            They are tags of individuals, not of behaviour.
        """
        for key in sorted(self.features.keys()):
            labels = self.labels.labels(key)
            if labels is None:
                continue
            if not isinstance(labels, Labels):
                msg = f"The labels of {key} are a {type(labels).__name__}, not behaviour."
                raise LabelsError(msg, "Name labels of behaviour, such as labels/behavior.")
            yield key, labels

    def read(self, key: EntryKey) -> pl.DataFrame:
        """Table of a recording with its column ``label``, null where unlabelled."""
        return self.labelled(key, self.labels.labels(key))[0]

    def labelled(self, key: EntryKey, labels: Labels | None) -> tuple[pl.DataFrame, int]:
        """Table with its column ``label``, and for how many rows several classes were given."""
        table = self.features.table(key)
        order_rows(table)  # refuses two rows of one individual in one frame
        found = align_labels(table, labels, directed=self.directed, background=self.background)
        return table.with_columns(found.labels.alias("label")), found.conflicts


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
    """

    columns: tuple[str, ...]
    names: Mapping[int, str]
    counts: Mapping[EntryKey, Mapping[int, int]]
    values: FloatArray
    labels: IntArray
    entry: IntArray
    conflicts: int
    unmatched: tuple[EntryKey, ...]

    @property
    def keys(self) -> list[EntryKey]:
        """Recordings with labelled rows."""
        return list(self.counts)

    @property
    def totals(self) -> dict[int, int]:
        """Labelled rows of each class, sampled or not."""
        return {c: sum(by.get(c, 0) for by in self.counts.values()) for c in sorted(self.names)}

    def of(self, keys: Sequence[EntryKey]) -> BoolArray:
        """Which sampled rows belong to some recordings, shape (n_rows,)."""
        wanted = set(keys)
        chosen = np.array([key in wanted for key in self.counts], dtype=np.bool_)
        return np.asarray(chosen[self.entry])


def read_training_rows(
    tables: LabelledTables, max_rows: int = 100_000, random_state: int = 42
) -> TrainingRows:
    """Read every labelled recording once and keep a bounded sample of its rows.

    Each recording may give ``max_rows`` / number of recordings rows, as evenly over its classes as
    they allow, see :func:`even_quotas`; so rare classes are kept whole for as long as possible.
    Which rows are drawn depends on the seed and the recording alone.

    Parameters
    ----------
    tables
        Where rows and labels are.
    max_rows
        Most rows that are kept in all, at least one per recording.
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
        ``max_rows`` is below 1.
    """
    if max_rows < 1:
        msg = f"max_train_rows is {max_rows}."
        raise ParamsError(msg, "Give at least 1.")
    found = list(tables.found())
    names = _merged_names(found)
    budget = max(1, max_rows // max(1, len(found)))
    columns: tuple[str, ...] = ()
    counts: dict[EntryKey, dict[int, int]] = {}
    values, classes, entry = [], [], []
    unmatched, conflicts = [], 0
    for key, labels in found:
        table, several = tables.labelled(key, labels)
        conflicts += several
        rows = _sample(table["label"], budget, named_generator(random_state, str(key)))
        if not len(rows):
            unmatched.append(key)
            continue
        columns = columns or tuple(feature_columns(table))
        _check_columns(key, table, columns)
        values.append(matrix(table[rows], columns))
        classes.append(table["label"][rows].to_numpy())
        entry.append(np.full(len(rows), len(counts)))
        counts[key] = dict(table["label"].drop_nulls().value_counts().iter_rows())
    if not counts:
        raise _nothing(len(found))
    return TrainingRows(
        columns, names, counts, np.concatenate(values), np.concatenate(classes),
        np.concatenate(entry), conflicts, tuple(unmatched),
    )  # fmt: skip


def even_quotas(counts: IntArray, total: int) -> IntArray:
    """How many rows each class gives: small classes all they have, large ones equally many.

    Parameters
    ----------
    counts
        Rows of each class, shape (n_classes,).
    total
        Rows wanted.

    Returns
    -------
    ndarray
        Shape (n_classes,), sums to ``min(total, sum(counts))``.
    """
    quotas = np.zeros(len(counts), dtype=np.int64)
    left = total
    for place, number in enumerate(np.argsort(counts, kind="stable")):
        quotas[number] = min(int(counts[number]), left // (len(counts) - place))
        left -= int(quotas[number])
    return quotas


def _sample(label: pl.Series, budget: int, rng: np.random.Generator) -> IntArray:
    """Positions of the rows that are kept, ascending."""
    positions = label.is_not_null().arg_true().to_numpy().astype(np.int64)
    if len(positions) <= budget:
        return positions
    values = label.drop_nulls().to_numpy()
    classes, counts = np.unique(values, return_counts=True)
    drawn = [
        rng.choice(positions[values == name], quota, replace=False)
        for name, quota in zip(classes, even_quotas(counts, budget), strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def _merged_names(found: Sequence[tuple[EntryKey, Labels]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for key, labels in found:
        for number, name in labels.names.items():
            if names.setdefault(number, name) != name:
                msg = f"The class {number} is {names[number]!r}, and in {key} it is {name!r}."
                raise LabelsError(msg, "Number the classes of all recordings alike.")
    return dict(sorted(names.items()))


def _check_columns(key: EntryKey, table: pl.DataFrame, columns: Sequence[str]) -> None:
    if not columns:
        msg = f"The table of {key} has no value columns; it has {', '.join(table.columns)}."
        raise FitError(msg, "Learn from a step that computes values.")
    missing = [column for column in columns if column not in table.columns]
    if missing:
        msg = f"The table of {key} has no column {missing[0]!r}, which other recordings have."
        raise MissingColumnError(msg, "Compute all recordings with the same parameters.")


def _nothing(n_labelled: int) -> FitError:
    if n_labelled:
        msg = f"{n_labelled} recordings have labels, and none of them belongs to a row."
        return FitError(msg, "Check that frames and ids are those of the tracks.")
    return FitError("No recording has labels.", "Add labels, or name the kind that has some.")
