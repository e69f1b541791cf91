"""Which steps say what animals do: clusters, syllables, predicted classes; and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from mosaic_dagster.charts.classes import class_column
from mosaic_dagster.features.output import IDENTITY_COLUMNS
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.steps import labels_step
from mosaic_dagster.reporting.subject import Subject, Trace, one_line, spread

PREDICTED = "predicted_label"
MOST_RECORDINGS = 300
"""Recordings that are counted, evenly spaced, where there are more."""

_CLASS_COLUMNS = (PREDICTED, "cluster", "syllable", "behavior", "state")
_SUMMARY = "cluster-summary"
_LABELLED = 20


@dataclass(frozen=True)
class ClassStep:
    """A step whose tables have a class in each frame.

    Attributes
    ----------
    step, feature, column
        Where the class stands.
    identity
        Columns that say whom a row is about.
    names
        Names of classes by number.
    """

    step: str
    feature: str
    column: str
    identity: tuple[str, ...]
    names: Mapping[int, str]

    @property
    def predicts(self) -> bool:
        """Whether a classifier made it."""
        return self.column == PREDICTED


@dataclass(frozen=True)
class Tally:
    """How often each class occurs.

    Attributes
    ----------
    classes
        The step.
    counts
        ``group``, ``cluster`` (null where there is no class), ``count`` (rows).
    recordings, known
        Recordings that were counted, and that there are.
    trace
        What was counted.
    """

    classes: ClassStep
    counts: pl.DataFrame
    recordings: int
    known: int
    trace: Trace

    @cached_property
    def sizes(self) -> list[tuple[str, int]]:
        """Name and rows of each class, the largest first."""
        sums = self.counts.drop_nulls("cluster").group_by("cluster").agg(pl.col("count").sum())
        ordered = sums.sort(["count", "cluster"], descending=[True, False])
        named = class_column(ordered["cluster"], self.classes.names or None)
        return [(one_line(str(n)), int(c)) for n, c in zip(named, ordered["count"], strict=True)]

    @property
    def rows(self) -> int:
        """Rows that have a class."""
        return sum(count for _, count in self.sizes)

    @property
    def unclassed(self) -> int:
        """Rows without a class."""
        return int(self.counts["count"].sum()) - self.rows


@dataclass(frozen=True)
class BoutTable:
    """Clusters of a summary step over all counted recordings.

    Attributes
    ----------
    step
        The step.
    table
        ``cluster``, ``share`` (mean over animals), ``bouts`` and ``mean_bout_s``.
    animals, recordings, known
        How many were counted, and recordings that there are.
    trace
        What was counted.
    """

    step: str
    table: pl.DataFrame
    animals: int
    recordings: int
    known: int
    trace: Trace


def class_steps(subject: Subject) -> list[ClassStep]:
    """Steps whose tables have a class in each frame, in the order of the pipeline."""
    names = class_names(subject)
    found = []
    for name, bound in subject.steps.items():
        schema = subject.schema(name) if bound.has_entries and not bound.is_callback else {}
        column = next((c for c in _CLASS_COLUMNS if c in schema and "frame" in schema), None)
        if column is not None and not bound.passes_through:
            identity = tuple(c for c in IDENTITY_COLUMNS if c in schema)
            known = names if column == PREDICTED else {}
            found.append(ClassStep(name, bound.feature_name, column, identity, known))
    return found


def class_names(subject: Subject) -> dict[int, str]:
    """Names of the classes of the first labels of behaviour that the pipeline reads."""
    for name in behaviour_labels(subject):
        for key in spread(subject.done(name), _LABELLED):
            labels = subject.labels(name, key)
            if labels is not None and labels.names:
                return {number: one_line(told) for number, told in labels.label_map.items()}
    return {}


def behaviour_labels(subject: Subject) -> list[str]:
    """Label steps that are read."""
    return [name for name in subject.ingested if name.startswith(labels_step(""))]


def tally(subject: Subject, classes: ClassStep) -> Tally | None:
    """Count the classes of a step, one recording at a time; None when there is nothing to count."""
    done = subject.done(classes.step)
    keys = spread(done, MOST_RECORDINGS)
    counted = [_count(subject, classes, key) for key in keys]
    if not counted:
        return None
    counts = pl.concat(counted, how="vertical_relaxed")
    summed = counts.group_by("group", "cluster").agg(pl.col("count").sum()).sort("group", "cluster")
    return Tally(classes, summed, len(keys), len(done), subject.trace(classes.step, keys))


def bout_tables(subject: Subject) -> Iterator[BoutTable]:
    """Clusters by share and bouts, of every step that summarises them."""
    for name, bound in subject.steps.items():
        if bound.feature_name == _SUMMARY:
            done = subject.done(name)
            keys = spread(done, MOST_RECORDINGS)
            if keys:
                yield _bouts(subject, name, keys, len(done))


def _count(subject: Subject, classes: ClassStep, key: str) -> pl.DataFrame:
    column = subject.table(classes.step, key, [classes.column])[classes.column]
    counted = class_column(column).alias("cluster").to_frame().group_by("cluster").len("count")
    group = EntryKey.parse(key).group or "all"
    return counted.select(
        pl.lit(one_line(group)).alias("group"), "cluster", pl.col("count").cast(pl.Int64)
    )


def _bouts(subject: Subject, step: str, keys: Sequence[str], known: int) -> BoutTable:
    wanted = ["table", "cluster", "share", "n_bouts", "mean_bout_s", *IDENTITY_COLUMNS]
    animals, parts = 0, []
    for key in keys:
        table = subject.table(step, key, wanted).filter(pl.col("table") == "cluster")
        identity = [name for name in IDENTITY_COLUMNS if name in table.columns]
        animals += table.select(identity).n_unique() if identity else int(table.height > 0)
        seconds = (pl.col("n_bouts") * pl.col("mean_bout_s")).alias("seconds")
        parts.append(table.select("cluster", "share", "n_bouts", seconds))
    summed = pl.concat(parts, how="vertical_relaxed").group_by("cluster").sum().sort("cluster")
    made = summed.select(
        "cluster",
        (pl.col("share") / max(animals, 1)).alias("share"),
        pl.col("n_bouts").alias("bouts"),
        (pl.col("seconds") / pl.col("n_bouts")).alias("mean_bout_s"),
    )
    return BoutTable(step, made, animals, len(keys), known, subject.trace(step, keys))
