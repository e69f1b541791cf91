"""What the training of a behaviour classifier leaves: files, figures, models, predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import polars as pl

from mosaic_dagster.charts.confusion import confusion
from mosaic_dagster.charts.ethogram import ethogram_pairs
from mosaic_dagster.features.library.classification import TrainedClassifier
from mosaic_dagster.models.evaluation import Evaluation
from mosaic_dagster.models.replayable import as_artifact
from mosaic_dagster.models.splits import Fold
from mosaic_dagster.models.training_rows import TrainingRows
from mosaic_dagster.store import StepOutput, TrainedChain
from mosaic_dagster.store.formats import decode

METRIC = "f1_macro"
"""Metric by which the models are ranked."""

ARTIFACT = "classifier"
"""Name of the artifact that the feature of this name reads."""


@dataclass(frozen=True)
class TrainingReport:
    """A finished training.

    Attributes
    ----------
    dataset
        Name of the dataset.
    rows
        What was learned from.
    config
        How it was asked for, as JSON takes it.
    folds, evaluations, classifiers
        Each fold with the scores of its held-out recordings and its classifier.
    kept
        The classifier that learned from all recordings.
    pictures
        Truth and prediction of some individuals, by name.
    notes
        Sentences about what was left out or is doubtful.
    """

    MOST_PICTURED: ClassVar[int] = 24

    dataset: str
    rows: TrainingRows
    config: Mapping[str, Any]
    folds: Sequence[Fold]
    evaluations: Sequence[Evaluation]
    classifiers: Sequence[TrainedClassifier]
    kept: TrainedClassifier
    pictures: Mapping[str, pl.DataFrame]
    notes: Sequence[str]

    @cached_property
    def pooled(self) -> Evaluation:
        """Scores of all held-out recordings, in the order of their keys."""
        entries = [entry for evaluation in self.evaluations for entry in evaluation.entries]
        return Evaluation(self.rows.names, tuple(sorted(entries, key=lambda entry: entry.key)))

    @cached_property
    def per_entry(self) -> pl.DataFrame:
        """Scores of each held-out recording, its fold, and its place among ``sample_indices``."""
        table = self.pooled.per_entry
        fold_of = {key: fold.name for fold in self.folds for key in fold.test}
        return table.with_columns(
            pl.Series("fold", [fold_of[e.key] for e in self.pooled.entries], dtype=pl.String),
            pl.Series("first_row", list(self._first_rows.values()), dtype=pl.Int64),
        )

    @cached_property
    def _first_rows(self) -> dict[Any, int]:
        ends = np.cumsum([0, *(entry.rows for entry in self.pooled.entries)])
        starts = ends[:-1].tolist()
        return {e.key: start for e, start in zip(self.pooled.entries, starts, strict=True)}

    def output(self, prefix: str = "") -> StepOutput:
        """All of it as a step returns it."""
        # The artifact is the mapping inside the bytes, since artifacts are encoded when stored.
        kept = decode(self.kept.encode(), "skops")
        estimators = {
            f"{ARTIFACT}_{fold.name}": (as_artifact(trained), "skops")
            for fold, trained in zip(self.folds, self.classifiers, strict=True)
        }
        return StepOutput(
            outputs=[
                (self.metrics(), f"{prefix}metrics", "json"),
                (self.pooled.per_class, f"{prefix}per_class", "csv"),
                (self.pooled.per_class, f"{prefix}per_class", "parquet"),
                (self.per_entry, f"{prefix}per_entry", "parquet"),
                (self._confusion(), f"{prefix}confusion", "png"),
                (self._ethogram(), f"{prefix}ethogram", "png"),
            ],
            metadata=self.metadata(),
            artifacts={ARTIFACT: (kept, "skops"), **estimators},
            chains=[self._chain()],
        )

    def metrics(self) -> dict[str, Any]:
        """Scores of every held-out labelled frame, pooled, by class, recording and fold."""
        return {
            **self.pooled.report(),
            "folds": [
                {
                    "fold": fold.name,
                    "train": [str(key) for key in fold.train],
                    "test": [str(key) for key in fold.test],
                    **evaluation.scores,
                }
                for fold, evaluation in zip(self.folds, self.evaluations, strict=True)
            ],
            "training": {
                "labelled": {str(name): count for name, count in self.rows.totals.items()},
                "sampled": _counts(self.rows.labels),
                "fitted": dict(
                    zip(map(str, self.kept.classes), self.kept.counts.tolist(), strict=True)
                ),
                "columns": list(self.rows.columns),
            },
            "config": dict(self.config),
            "notes": list(self.notes),
        }

    def metadata(self) -> dict[str, Any]:
        """Small facts: scores, numbers of rows and recordings, what is doubtful."""
        scores = {n: v for n, v in self.pooled.scores.items() if v is not None}
        by_class = {
            f"f1 {row['name']}": row["f1"]
            for row in self.pooled.per_class.iter_rows(named=True)
            if row["f1"] is not None
        }
        labelled = sum(self.rows.totals.values())
        facts: dict[str, Any] = {
            **scores,
            **by_class,
            "folds": len(self.folds),
            "recordings": len(self.rows.keys),
            "labelled rows": labelled,
            "rows sampled for training": len(self.rows.labels),
            "default_class": self.kept.default_class,
        }
        if self.rows.conflicts:
            facts["rows with several labels"] = self.rows.conflicts
        for fact, keys in (
            ("recordings whose labels match no row", self.rows.unmatched),
            ("recordings whose labels cannot be read", self.rows.unreadable),
            ("labelled recordings without a table", self.rows.without_table),
        ):
            if keys:
                facts[fact] = ", ".join(map(str, keys))
        if self.notes:
            facts["notes"] = "; ".join(self.notes)
        return facts

    def _chain(self) -> TrainedChain:
        model = type(self.kept.estimators[0]).__name__
        settings = self.config["settings"]
        # The name is what an error of replay tells.
        operator = model if self.kept.strategy == "multiclass" else f"one_vs_rest of {model}"
        return TrainedChain(
            steps=[
                {
                    "step_idx": 0,
                    "operator_class": operator,
                    "params": settings,
                    "artifact_id": None,
                    "stateless": False,
                    "role": "model",
                    "feature_names": list(self.rows.columns),
                }
            ],
            model_step_idx=0,
            model_class=model,
            fold_artifacts={fold.name: f"{ARTIFACT}_{fold.name}" for fold in self.folds},
            preprocessings="" if self.kept.scaler is None else "StandardScaler",
            name=settings["estimator"],
            config=self.config,
            predictions=[
                self._prediction(fold, evaluation)
                for fold, evaluation in zip(self.folds, self.evaluations, strict=True)
            ],
        )

    def _prediction(self, fold: Fold, evaluation: Evaluation) -> dict[str, Any]:
        truth, predicted, probabilities = evaluation.arrays()
        places = [self._first_rows[e.key] + e.positions for e in evaluation.entries]
        return {
            "dataset_name": self.dataset,
            "fold_id": fold.name,
            "partition": "val",
            "val_score": evaluation.scores[METRIC],
            "metric": METRIC,
            "task_type": "classification",
            "n_samples": len(truth),
            "n_features": len(self.rows.columns),
            "scores": {"val": evaluation.scores},
            "arrays": {
                "y_true": truth,
                "y_pred": predicted,
                "y_proba": probabilities,
                "sample_indices": np.concatenate(places),
            },
        }

    def _confusion(self) -> bytes:
        names = list(self.rows.names.values())
        title = "Held-out recordings, every labelled frame"
        return confusion(self.pooled.confusion, names, title=title)

    def _ethogram(self) -> bytes:
        shown = dict(sorted(list(self.pictures.items())[: self.MOST_PICTURED]))
        return ethogram_pairs(shown, shown, "Held-out recordings", names=self.rows.names)


def _counts(labels: Any) -> dict[str, int]:
    classes, counts = np.unique(labels, return_counts=True)
    return {str(name): int(count) for name, count in zip(classes, counts, strict=True)}
