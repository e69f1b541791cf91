"""A classifier of behaviour as the function of a training step.

Recordings with labels are divided into folds. For each fold a classifier learns from a bounded
sample of the rows of the other recordings and is tried on every labelled frame of its own; the
classifier that is kept learns from all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.validation import describe_problems, nearest
from mosaic_dagster.errors import FitError, ParamsError
from mosaic_dagster.features.library.classification import (
    ClassifierSettings,
    TrainedClassifier,
    fit_classifier,
)
from mosaic_dagster.features.library.rows import identity_of, matrix
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.models.behavior_report import TrainingReport
from mosaic_dagster.models.evaluation import PROBABILITY, EntryScores, Evaluation, score_entry
from mosaic_dagster.models.progress import CompositeProgressCallback, TrainingProgressCallback
from mosaic_dagster.models.splits import By, Fold, check_n_folds, explicit_folds, k_folds
from mosaic_dagster.models.training_rows import (
    LabelledTables,
    StepTables,
    TrainingRows,
    read_training_rows,
)
from mosaic_dagster.store import StepOutput, versioned

_BLOCK = 1 << 19
"""Values that are predicted at a time."""


@versioned("1")
def train_behavior_classifier(
    dataset: Dataset,
    results: Mapping[str, StepTables],
    *,
    features: str,
    labels: str = "labels/behavior",
    n_folds: int = 5,
    by: By = "entry",
    split: Mapping[str, str] | Mapping[str, int] | None = None,
    directed: bool = False,
    background: int | None = None,
    max_train_rows: int = 100_000,
    min_iou: float = 0.5,
    prefix: str = "",
    progress: TrainingProgressCallback | None = None,
    **settings: Any,
) -> StepOutput:
    """Learn behaviour from labelled recordings and try it on recordings that were held out.

    Meant for a training step::

        TrainingStep("behavior", train_behavior_classifier, ["stack", "labels/behavior"],
                     params={"features": "stack", "default_class": 3})

    Parameters
    ----------
    dataset
        The dataset.
    results
        Results by the names of steps.
    features
        The step whose tables are learned from, all their value columns.
    labels
        The labels.
    n_folds, by
        See :func:`~mosaic_dagster.models.k_folds`; fewer recordings (or groups) give fewer folds.
    split
        Instead of them: an explicit division, see :func:`~mosaic_dagster.models.explicit_folds`.
    directed, background
        See :func:`~mosaic_dagster.dataset.align_labels`. Without ``background`` unlabelled frames
        are neither learned from nor scored.
    max_train_rows
        Most rows that are learned from, see
        :func:`~mosaic_dagster.models.training_rows.read_training_rows`. The held-out recordings
        are scored on all their labelled frames regardless.
    min_iou
        See :func:`~mosaic_dagster.models.bouts.match_bouts`.
    prefix
        Begins the names of the files, for several such steps in one pipeline.
    progress
        Hears how it goes on; each fold is an epoch.
    **settings
        Of :class:`~mosaic_dagster.features.library.classification.ClassifierSettings`. Without
        ``default_class`` it is the class with the most labelled frames.

    Returns
    -------
    StepOutput
        Artifact ``classifier`` for the feature of this name (``artifacts/classifier.skops``), and
        ``classifier_fold_<n>``, the estimators of the folds. One chain, whose predictions are
        one row per fold, partition ``val``, metric ``f1_macro``, with arrays: ``sample_indices``
        are rows of the held-out tables laid end to end as ``per_entry`` lists them, probabilities
        are NaN for a class the fold knows nothing of. Files ``metrics.json``,
        ``per_class.csv``, ``per_class.parquet``, ``per_entry.parquet``, ``confusion.png``,
        ``ethogram.png``.

    Notes
    -----
    The chain holds the models of the folds, not the one that is kept. Replaying it gives the class
    with the greatest mean probability over the folds; thresholds and the default class play no
    part, and a row with missing values is an error unless the estimators take them. For what the
    kept model decides, use the feature ``classifier`` with its artifact. With
    ``strategy="one_vs_rest"`` the artifacts of the folds are of the same form as the kept one, and
    replaying the chain is refused, since independent probabilities have no mean of this kind.

    Recordings whose labels cannot be read, match no row, or have no table are left out; the notes
    name them.

    Raises
    ------
    ParamsError
        A setting is unknown or wrong, ``features`` or ``labels`` is no input of the step, or the
        default class or a class with a threshold is no class of the labels.
    FitError
        There are too few labelled recordings, or a fold has fewer than two classes to learn.
    LabelsError, MissingColumnError, ScopeError
        The labels, the tables or the split do not fit; says where.
    """
    wanted = _settings(settings)
    _check_inputs(results, features=features, labels=labels)
    tell = CompositeProgressCallback([] if progress is None else [progress])
    tell.on_phase("reading", f"tables of {features}, labels of {labels}")
    tables = LabelledTables(results[features], results[labels], directed, background)
    rows = read_training_rows(tables, max_train_rows, wanted.random_state)
    wanted = _fitting(wanted, rows)
    trainer = _Trainer(tables, rows, wanted, min_iou, tell, notes=rows.left_out)
    folds = _folds(rows, n_folds, by, split, wanted.random_state, trainer.notes)
    evaluations = [trainer.try_fold(fold, len(folds)) for fold in folds]
    tell.on_phase("fitting", "all labelled recordings")
    kept = trainer.fit(rows.keys, "the model that is kept")
    config = {
        "features": features, "labels": labels, "n_folds": len(folds), "by": by, "split": split,
        "directed": directed, "background": background, "max_train_rows": max_train_rows,
        "min_iou": min_iou, "settings": wanted.model_dump(),
    }  # fmt: skip
    notes = [*trainer.notes, *tell.failures]
    report = TrainingReport(
        dataset.name, rows, config, folds, evaluations, trainer.classifiers, kept,
        trainer.pictures, notes,
    )  # fmt: skip
    return report.output(prefix)


@dataclass
class _Trainer:
    """Fits classifiers and tries them, and remembers what is worth telling."""

    tables: LabelledTables
    rows: TrainingRows
    settings: ClassifierSettings
    min_iou: float
    tell: TrainingProgressCallback
    notes: list[str] = field(default_factory=list)
    classifiers: list[TrainedClassifier] = field(default_factory=list)
    pictures: dict[str, pl.DataFrame] = field(default_factory=dict)

    def try_fold(self, fold: Fold, total: int) -> Evaluation:
        """Fit on the recordings of a fold and score every labelled frame of its others."""
        self.tell.on_phase("fitting", fold.name)
        trained = self.fit(fold.train, fold.name)
        self.classifiers.append(trained)
        scored = []
        for place, key in enumerate(fold.test):
            self.tell.on_entry_start(place, len(fold.test), str(key))
            scored.append(self._score(trained, key))
            self.tell.on_entry_end(place, len(fold.test), str(key))
        evaluation = Evaluation(self.rows.names, tuple(scored))
        self.tell.on_epoch_end(fold.number, total, evaluation.scores)
        return evaluation

    def fit(self, keys: Sequence[EntryKey], what: str) -> TrainedClassifier:
        """Fit on the sampled rows of some recordings, in one thread, for the same bytes always."""
        chosen = self.rows.of(keys)
        labels = self.rows.labels[chosen]
        present = set(np.unique(labels).tolist())
        unsampled = self.rows.classes_of(keys) - present
        settings = self._for_classes(present, unsampled, what)
        try:
            with threadpool_limits(1):
                trained = fit_classifier(
                    self.rows.values[chosen], labels, self.rows.columns, settings
                )
        except FitError as error:
            msg = f"Training of {what}: {error.what}"
            remedy = f"{error.remedy} by='stratified' spreads rare classes."
            if unsampled:
                msg = f"{msg} {len(unsampled)} more are labelled, and no row of them was sampled."
                remedy = "Raise max_train_rows."
            raise FitError(msg, remedy) from error
        if not trained.converged:
            self.notes.append(f"the fit of {what} did not converge; raise max_iter")
        return trained

    def _for_classes(self, present: set[int], unsampled: set[int], what: str) -> ClassifierSettings:
        """The settings without thresholds of classes that have no row here; those are noted."""
        for number in (c for c in self.rows.names if c not in present):
            note = f"class {number} ({self.rows.names[number]}) has no frame to train {what} on"
            if number in unsampled:
                note += ", since none of its frames was sampled; raise max_train_rows"
            self.notes.append(note)
        thresholds = self.settings.decision_threshold
        if not isinstance(thresholds, Mapping):
            return self.settings
        kept = {c: share for c, share in thresholds.items() if c in present}
        return self.settings.model_copy(update={"decision_threshold": kept})

    def _score(self, trained: TrainedClassifier, key: EntryKey) -> EntryScores:
        table = self.tables.read(key)
        predicted = predict_table(trained, table)
        if len(self.pictures) < TrainingReport.MOST_PICTURED:
            self.pictures |= _pictured(key, predicted)
        return score_entry(key, predicted, sorted(self.rows.names), min_iou=self.min_iou)


def predict_table(trained: TrainedClassifier, table: pl.DataFrame) -> pl.DataFrame:
    """Predict every row of a recording.

    Parameters
    ----------
    trained
        The classifier.
    table
        With its columns; null and infinite values count as missing.

    Returns
    -------
    polars.DataFrame
        ``frame``, ``time`` and ``label`` where the table has them, the columns of the identity,
        ``predicted_label`` (Int64) and ``prob_<class>`` (Float64, NaN where a row cannot be
        predicted), row by row.

    Raises
    ------
    MissingColumnError
        The table lacks a column.
    """
    step = max(1, _BLOCK // len(trained.columns))
    probabilities = np.full((table.height, len(trained.classes)), np.nan)
    for start in range(0, table.height, step):
        values = matrix(table.slice(start, step), trained.columns)
        probabilities[start : start + step] = trained.probabilities(values)
    kept = [name for name in ("frame", "time", "label") if name in table.columns]
    return table.select(*kept, *identity_of(table.columns)).with_columns(
        pl.Series("predicted_label", trained.decide(probabilities), dtype=pl.Int64),
        *(
            pl.Series(f"{PROBABILITY}{name}", probabilities[:, place])
            for place, name in enumerate(trained.classes)
        ),
    )


def _settings(given: Mapping[str, Any]) -> ClassifierSettings:
    try:
        return ClassifierSettings(**given)
    except ValidationError as error:
        known = ClassifierSettings.model_fields
        msg = f"The settings of the classifier are wrong: {describe_problems(error, known)}"
        raise ParamsError(msg, f"Known are: {', '.join(known)}.") from error


def _fitting(settings: ClassifierSettings, rows: TrainingRows) -> ClassifierSettings:
    """The settings with a default class, checked against the classes of the labels."""
    completed = _with_default_class(settings, rows)
    _check_thresholds(completed, rows)
    return completed


def _with_default_class(settings: ClassifierSettings, rows: TrainingRows) -> ClassifierSettings:
    chosen = settings.default_class
    if chosen is None:
        totals = rows.totals
        chosen = max(totals, key=lambda name: (totals[name], -name))
    if chosen not in rows.names:
        msg = f"default_class is {chosen}, which is no class of the labels."
        raise ParamsError(msg, f"Their classes are: {_named(rows)}.")
    return settings.model_copy(update={"default_class": chosen})


def _check_inputs(results: Mapping[str, StepTables], **given: str) -> None:
    for name, step in given.items():
        if step not in list(results):  # what has no hash is told as well
            msg = f"{name} is {step!r}, which is no input of the step."
            near = nearest(str(step), results)
            raise ParamsError(
                msg, f"{near} Its inputs are: {', '.join(results) or 'none'}.".strip()
            )


def _check_thresholds(settings: ClassifierSettings, rows: TrainingRows) -> None:
    given = settings.decision_threshold
    unknown = sorted(set(given) - set(rows.names)) if isinstance(given, Mapping) else []
    if unknown:
        msg = f"decision_threshold names {unknown[0]}, which is no class of the labels."
        raise ParamsError(msg, f"Their classes are: {_named(rows)}.")


def _named(rows: TrainingRows) -> str:
    return ", ".join(f"{number} ({name})" for number, name in rows.names.items())


def _folds(
    rows: TrainingRows,
    n_folds: int,
    by: By,
    split: Mapping[str, str] | Mapping[str, int] | None,
    random_state: int,
    notes: list[str],
) -> Sequence[Fold]:
    if split is not None:
        return explicit_folds(rows.keys, split)
    check_n_folds(n_folds)
    units = len({key.group for key in rows.keys}) if by == "group" else len(rows.keys)
    possible = max(2, min(n_folds, units))
    if possible < n_folds:
        what = "groups" if by == "group" else "recordings"
        notes.append(f"{possible} folds instead of {n_folds}: {units} labelled {what}")
    return k_folds(rows.keys, possible, by, counts=rows.counts, random_state=random_state)


def _pictured(key: EntryKey, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Truth and prediction of each individual or pair of a recording that has labels."""
    identity = identity_of(table.columns)
    columns = [c for c in ("frame", "time", "label", "predicted_label") if c in table.columns]
    if not identity:
        return {str(key): table.select(columns)}
    return {
        f"{key} {'–'.join(str(value) for value in who[:2])}": part.select(columns)
        for who, part in table.partition_by(identity, as_dict=True, maintain_order=True).items()
        if part["label"].count()
    }
