"""Full-frame evaluation: every labelled frame of whole recordings, each recording and all pooled.

Frames without a label say nothing about a prediction and never count; they also end a bout, in
the truth and in the prediction alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.errors import FitError, MissingColumnError, ParamsError
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.output import IDENTITY_COLUMNS
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.models.bouts import BoutScores, find_bouts, match_bouts
from mosaic_dagster.models.metrics import (
    accuracy,
    average_precision,
    class_scores,
    confusion_matrix,
    macro_mean,
    or_none,
)

PROBABILITY = "prob_"
"""Prefix of the columns with the probability of a class."""


@dataclass(frozen=True)
class EntryScores:
    """What one recording adds to an evaluation.

    Attributes
    ----------
    key
        The recording.
    rows
        Number of rows of its table, labelled or not.
    positions
        Place of each labelled row in the table, shape (n_labelled,).
    truth, predicted
        Class of each labelled row, shape (n_labelled,).
    probabilities
        Shape (n_labelled, n_classes); NaN where there is none.
    confusion
        Shape (n_classes, n_classes).
    bouts
        How well its bouts were found.
    """

    key: EntryKey
    rows: int
    positions: IntArray
    truth: IntArray
    predicted: IntArray
    probabilities: FloatArray
    confusion: IntArray
    bouts: BoutScores


def score_entry(
    key: EntryKey,
    table: pl.DataFrame,
    classes: Sequence[int],
    *,
    truth: str = "label",
    prediction: str = "predicted_label",
    min_iou: float = 0.5,
) -> EntryScores:
    """Compare truth and prediction in one recording.

    Parameters
    ----------
    key
        The recording.
    table
        ``frame``, the columns of its identity (``id``, or ``id1`` and ``id2``, or neither),
        ``truth`` (whole numbers, null where unlabelled), ``prediction`` (whole numbers) and, where
        they are known, the probabilities ``prob_<class>``.
    classes
        All classes, ascending.
    truth, prediction
        Names of the columns.
    min_iou
        See :func:`~mosaic_dagster.models.bouts.match_bouts`.

    Raises
    ------
    MissingColumnError
        A column is missing.
    ParamsError
        A labelled row has no prediction or another class, or an individual has two rows in one
        frame.
    """
    missing = [c for c in ("frame", truth, prediction) if c not in table.columns]
    if missing:
        msg = f"The table of {key} has no column {missing[0]!r}; it has {', '.join(table.columns)}."
        raise MissingColumnError(msg, "Name columns that are there.")
    labelled = table.with_row_index("position").filter(pl.col(truth).is_not_null())
    if silent := labelled[prediction].null_count():
        msg = f"{silent} labelled rows of {key} have no prediction."
        raise ParamsError(msg, "Predict every row; leaving some out would flatter the model.")
    identity = [c for c in IDENTITY_COLUMNS if c in table.columns]
    who = pl.struct(identity).rank("dense") if identity else pl.lit(0)
    number = labelled.select(who.cast(pl.Int64).alias("who"))["who"].to_numpy()
    if not identity:
        number = np.zeros(labelled.height, np.int64)
    frames = labelled["frame"].cast(pl.Int64).to_numpy()
    true = labelled[truth].cast(pl.Int64).to_numpy()
    said = labelled[prediction].cast(pl.Int64).to_numpy()
    return EntryScores(
        key=key,
        rows=table.height,
        positions=labelled["position"].cast(pl.Int64).to_numpy(),
        truth=true,
        predicted=said,
        probabilities=_probabilities(labelled, classes),
        confusion=confusion_matrix(true, said, classes),
        bouts=match_bouts(
            find_bouts(true, frames, number), find_bouts(said, frames, number), classes, min_iou
        ),
    )


@dataclass(frozen=True)
class Evaluation:
    """Scores of some recordings, pooled and each by itself.

    Attributes
    ----------
    names
        Name of each class by its number.
    entries
        What each recording added, in order.
    """

    names: Mapping[int, str]
    entries: tuple[EntryScores, ...]

    @property
    def classes(self) -> list[int]:
        """Numbers of the classes, ascending."""
        return sorted(self.names)

    @cached_property
    def confusion(self) -> IntArray:
        """Pairs of true (rows) and predicted class (columns), shape (n_classes, n_classes)."""
        size = len(self.names)
        return sum((e.confusion for e in self.entries), np.zeros((size, size), np.int64))

    @cached_property
    def bouts(self) -> BoutScores:
        """Scores of the bouts of all recordings."""
        none = np.zeros(len(self.names), np.int64)
        parts = [e.bouts for e in self.entries]
        return BoutScores.of(
            sum((b.true for b in parts), none),
            sum((b.predicted for b in parts), none),
            sum((b.matched for b in parts), none),
        )

    @cached_property
    def per_class(self) -> pl.DataFrame:
        """One row per class; null where a score is not defined.

        ``class``, ``name``, ``precision``, ``recall``, ``f1``, ``support``, ``predicted``,
        ``average_precision``, ``bouts``, ``bouts_predicted``, ``bouts_matched``,
        ``bout_precision``, ``bout_recall``, ``bout_f1``.
        """
        table = _class_table(self.names, self.confusion, self.bouts)
        found = pl.Series("average_precision", self._average_precision(), dtype=pl.Float64)
        return table.insert_column(table.columns.index("bouts"), found.fill_nan(None))

    @cached_property
    def per_entry(self) -> pl.DataFrame:
        """One row per recording; scores are null where nothing is labelled.

        ``group``, ``sequence``, ``rows``, ``labelled``, ``accuracy``, ``f1_macro``,
        ``bout_f1_macro``.
        """
        rows = [
            {
                "group": e.key.group,
                "sequence": e.key.sequence,
                "rows": e.rows,
                "labelled": len(e.truth),
                "accuracy": or_none(accuracy(e.confusion)),
                "f1_macro": or_none(macro_mean(class_scores(e.confusion).f1)),
                "bout_f1_macro": or_none(macro_mean(e.bouts.f1)),
            }
            for e in self.entries
        ]
        return pl.DataFrame(rows, schema=_ENTRY_SCHEMA)

    @cached_property
    def per_entry_class(self) -> pl.DataFrame:
        """As :attr:`per_class` without ``average_precision``, of each recording by itself."""
        tables = [
            _class_table(self.names, e.confusion, e.bouts).select(
                pl.lit(e.key.group).alias("group"), pl.lit(e.key.sequence).alias("sequence"), "*"
            )
            for e in self.entries
        ]
        if tables:
            return pl.concat(tables)
        none = _class_table(self.names, self.confusion, self.bouts).clear()
        return none.select(pl.lit("").alias("group"), pl.lit("").alias("sequence"), "*")

    @cached_property
    def scores(self) -> dict[str, Any]:
        """Pooled scores by name; None where one is not defined."""
        return {
            "rows": sum(e.rows for e in self.entries),
            "labelled": int(self.confusion.sum()),
            "accuracy": or_none(accuracy(self.confusion)),
            "f1_macro": or_none(macro_mean(class_scores(self.confusion).f1)),
            "average_precision_macro": or_none(macro_mean(self._average_precision())),
            "bout_f1_macro": or_none(macro_mean(self.bouts.f1)),
        }

    def report(self) -> dict[str, Any]:
        """Everything but the recordings by class, as JSON takes it."""
        return {
            **self.scores,
            "classes": {str(row.pop("class")): row for row in self.per_class.to_dicts()},
            "confusion": {"classes": self.classes, "counts": self.confusion.tolist()},
            "entries": self.per_entry.to_dicts(),
        }

    def arrays(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Truth, prediction and probabilities of all labelled rows, recording after recording."""
        if not self.entries:
            none = np.empty(0, np.int64)
            return none, none, np.empty((0, len(self.names)))
        return (
            np.concatenate([e.truth for e in self.entries]),
            np.concatenate([e.predicted for e in self.entries]),
            np.concatenate([e.probabilities for e in self.entries]),
        )

    def _average_precision(self) -> FloatArray:
        truth, _, probabilities = self.arrays()
        values = [
            average_precision(truth == name, probabilities[:, column])
            if not np.isnan(probabilities[:, column]).all()
            else np.nan
            for column, name in enumerate(self.classes)
        ]
        return np.array(values, dtype=np.float64)


def evaluate(
    tables: Mapping[EntryKey, pl.DataFrame] | Iterable[tuple[EntryKey, pl.DataFrame]],
    names: Mapping[int, str],
    *,
    truth: str = "label",
    prediction: str = "predicted_label",
    min_iou: float = 0.5,
) -> Evaluation:
    """Evaluate predictions on every labelled frame of some recordings.

    Parameters
    ----------
    tables
        Table of each recording, as :func:`score_entry` takes it; read one at a time.
    names
        Name of each class by its number.
    truth, prediction, min_iou
        As for :func:`score_entry`.

    Raises
    ------
    FitError
        There is no class.
    MissingColumnError, ParamsError
        As for :func:`score_entry`.
    """
    if not names:
        msg = "Predictions cannot be evaluated without any class."
        raise FitError(msg, "Give the names of the classes by their numbers.")
    pairs = tables.items() if isinstance(tables, Mapping) else tables
    scored = (
        score_entry(key, table, sorted(names), truth=truth, prediction=prediction, min_iou=min_iou)
        for key, table in pairs
    )
    return Evaluation(dict(sorted(names.items())), tuple(scored))


_ENTRY_SCHEMA = {
    "group": pl.String,
    "sequence": pl.String,
    "rows": pl.Int64,
    "labelled": pl.Int64,
    "accuracy": pl.Float64,
    "f1_macro": pl.Float64,
    "bout_f1_macro": pl.Float64,
}


def _class_table(names: Mapping[int, str], confusion: IntArray, bouts: BoutScores) -> pl.DataFrame:
    scores = class_scores(confusion)
    ordered = sorted(names)
    table = pl.DataFrame(
        {
            "class": pl.Series(ordered, dtype=pl.Int64),
            "name": pl.Series([names[c] for c in ordered], dtype=pl.String),
            "precision": scores.precision,
            "recall": scores.recall,
            "f1": scores.f1,
            "support": scores.support,
            "predicted": scores.predicted,
            "bouts": bouts.true,
            "bouts_predicted": bouts.predicted,
            "bouts_matched": bouts.matched,
            "bout_precision": bouts.precision,
            "bout_recall": bouts.recall,
            "bout_f1": bouts.f1,
        }
    )
    return table.with_columns(pl.selectors.float().fill_nan(None))


def _probabilities(labelled: pl.DataFrame, classes: Sequence[int]) -> FloatArray:
    values = np.full((labelled.height, len(classes)), np.nan)
    for column, name in enumerate(classes):
        if f"{PROBABILITY}{name}" in labelled.columns:
            values[:, column] = labelled[f"{PROBABILITY}{name}"].cast(pl.Float64).to_numpy()
    return values
