"""Class of each row, learned from labelled templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from pydantic import model_validator

from mosaic_dagster.errors import FeatureError, FitError, MissingColumnError, ParamsError
from mosaic_dagster.features.inputs import InputStream
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.class_decisions import score_classes
from mosaic_dagster.features.library.classification import (
    ClassifierSettings,
    TrainedClassifier,
    fit_classifier,
)
from mosaic_dagster.features.library.rows import matrix, order_rows
from mosaic_dagster.features.library.template_fit import TemplateInputs, TemplateParams
from mosaic_dagster.features.output import feature_columns, values_schema, with_values
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.references import ArtifactSpec, ParquetLoadSpec, StepRef
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import read_table

STATE_FILE = "classifier.skops"

_REPORTS = "reports.json"
_SUMMARY = "summary.csv"
# Rows are predicted in blocks of so many, fewer where a row has many values.
_BLOCK_ROWS = 1 << 14
_BLOCK_VALUES = 1 << 22
_DECISION = frozenset({"default_class", "decision_threshold"})


class ClassifierParams(TemplateParams, ClassifierSettings):
    """Parameters of :class:`Classifier`: those of :class:`ClassifierSettings` and a file.

    With ``templates``, ``default_class`` is needed. With ``model``, ``default_class`` and
    ``decision_threshold`` replace those of the model, and nothing else may be given.

    Attributes
    ----------
    templates
        Labelled templates, such as ``StepRef("tmpl", "templates.parquet")`` of an
        extract-labeled-templates step.
    model
        A classifier fitted before, such as ``StepRef("cls", "classifier.skops")``; that of a
        training step is ``StepRef("train", "artifacts/classifier.skops")``.
    """

    @model_validator(mode="after")
    def _fits_or_is_fitted(self) -> Self:
        if self.templates is not None and self.default_class is None:
            msg = "default_class is needed: the class of rows that cannot be decided"
            raise ValueError(msg)
        if self.model is not None:
            unset = ClassifierSettings()
            for name in type(unset).model_fields.keys() - _DECISION:
                if getattr(self, name) != getattr(unset, name):
                    msg = f"{name} says how to fit, and model is fitted already"
                    raise ValueError(msg)
        return self


@register
class Classifier(Feature[ClassifierParams]):
    """Probability of each class and the predicted class, row by row.

    Columns ``prob_<class>`` (float64) for every class in ascending order, and
    ``predicted_label`` (int64): the most probable class, or with thresholds the most probable of
    those that reach theirs, or ``default_class``.

    Fitted on the templates with a label and, where there is a column ``split``, with split
    ``train``. Rows with all values missing, and for estimators other than
    ``hist_gradient_boosting`` with any, have NaN probabilities and the default class. A row's
    result does not depend on other rows.

    State: ``classifier.skops``; after a fit also ``reports.json`` and ``summary.csv``, which
    score the labelled templates with split ``test``. A score that is undefined is null; without
    such templates there are none.

    Notes
    -----
    An identity has at most one row per frame, so that predictions can be joined.
    """

    name = "classifier"
    version = "1.0"
    category = "global"
    fits = "templates"
    Inputs = TemplateInputs
    Params = ClassifierParams

    trained: TrainedClassifier | None = None
    templates: pl.DataFrame | None = None
    report: Mapping[str, Any] | None = None
    _state: bytes = b""

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Own state, else the classifier that ``model`` refers to, else the templates."""
        del lookups
        if folder is not None:
            self._take_up(folder / STATE_FILE)
            report = folder / _REPORTS
            self.report = json.loads(report.read_text()) if report.exists() else None
        elif "model" in artifacts:
            self._take_up(artifacts["model"])
        elif "templates" in artifacts:
            self.templates = _read_templates(artifacts["templates"], self.params.templates)
        else:
            msg = f"{self.name} was given neither the file of its templates nor that of its model."
            raise FeatureError(msg, "Give templates or model a StepRef.")
        return self.trained is not None

    def fit(self, stream: InputStream) -> None:
        """Fit on the templates for training; the stream is not read."""
        del stream
        if self.templates is None:
            msg = f"{self.name} has no templates to fit on."
            raise FitError(msg, "Call load_state with the file of the templates first.")
        labelled = self.templates.filter(pl.col("label").is_not_null())
        columns = feature_columns(labelled)
        training = _of_split(labelled, "train")
        self.trained = fit_classifier(
            matrix(training, columns), _labels(training), columns, self.params
        )
        self._state = self.trained.encode()
        self.report = _report(self.trained, _of_split(labelled, "test"))

    def save_state(self, folder: Path) -> None:
        """Write the classifier and, after a fit, how it does on the templates for testing."""
        self._fitted()
        (folder / STATE_FILE).write_bytes(self._state)
        if self.report is None:
            return
        (folder / _REPORTS).write_text(json.dumps(self.report, indent=1, sort_keys=True))
        _summary(self.report).write_csv(folder / _SUMMARY)

    def input_columns(self) -> tuple[str, ...]:
        """Columns that the classifier was fitted on, once they are known."""
        return () if self.trained is None else self.trained.columns

    def output_schema(self, schema: pl.Schema) -> pl.Schema | None:
        """The key columns, the probabilities and the predicted class; None before the fit."""
        if self.trained is None:
            return None
        values: dict[str, pl.DataType] = {f"prob_{c}": pl.Float64() for c in self.trained.classes}
        return values_schema(schema, values | {"predicted_label": pl.Int64()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Predict the rows of one recording."""
        trained = self._fitted()
        self.check_columns(table.schema)
        if "frame" in table.columns:
            order_rows(table)
        step = max(1, min(_BLOCK_ROWS, _BLOCK_VALUES // len(trained.columns)))
        probabilities = np.empty((table.height, len(trained.classes)))
        for start in range(0, table.height, step):
            rows = matrix(table.slice(start, step), trained.columns)
            probabilities[start : start + step] = trained.probabilities(rows)
        values = {f"prob_{c}": probabilities[:, i] for i, c in enumerate(trained.classes)}
        return with_values(table, values | {"predicted_label": trained.decide(probabilities)})

    def state_notes(self) -> dict[str, Any]:
        """What was fitted on how many rows, and the scores on the templates for testing."""
        trained = self._fitted()
        notes: dict[str, Any] = {
            "estimator": trained.estimator,
            "n_train": {
                str(c): int(n) for c, n in zip(trained.classes, trained.counts, strict=True)
            },
        }
        if self.report is not None:
            notes |= {name: self.report[name] for name in ("n_test", "accuracy", "macro_f1")}
        if not trained.converged:
            notes["warning"] = "the fit did not converge; raise max_iter"
        return notes

    def _fitted(self) -> TrainedClassifier:
        if self.trained is None:
            msg = f"{self.name} is not fitted."
            raise FeatureError(msg, "Call load_state, and fit where it returns False.")
        return self.trained

    def _take_up(self, path: Path) -> None:
        self._state = path.read_bytes()
        trained = TrainedClassifier.decode(self._state, path.name)
        self.trained = trained
        if self.params.model is not None:
            self.trained = trained.with_decision(
                self.params.default_class, self.params.decision_threshold
            )


def _read_templates(path: Path, reference: StepRef | ArtifactSpec | None) -> pl.DataFrame:
    """Value columns, ``label`` and, where there is one, ``split`` of the templates."""
    spec = reference.load if isinstance(reference, ArtifactSpec) else ParquetLoadSpec()
    if not isinstance(spec, ParquetLoadSpec) or spec.transpose:
        msg = "classifier reads templates with column names and labels, not bare arrays."
        raise ParamsError(msg, "Refer to templates.parquet.")
    table = read_table(path)
    if "label" not in table.columns or not table["label"].dtype.is_integer():
        msg = f"{path.name} has no column 'label' of whole numbers; it has {table.schema}."
        remedy = "Refer to the templates.parquet of an extract-labeled-templates step."
        raise MissingColumnError(msg, remedy)
    chosen = spec.columns or feature_columns(table.drop(spec.drop_columns, strict=False))
    missing = [column for column in chosen if column not in table.columns]
    if missing or not chosen:
        what = f"no column {missing[0]!r}" if missing else "no numeric column"
        msg = f"{path.name} has {what}; it has {', '.join(table.columns)}."
        raise MissingColumnError(msg, "Name columns that it has.")
    kept = {"label", "split"} & set(table.columns)
    return table.select(*[c for c in chosen if c not in kept], *sorted(kept))


def _of_split(templates: pl.DataFrame, split: str) -> pl.DataFrame:
    """Rows of one split; without a column ``split`` all are for training."""
    if "split" in templates.columns:
        return templates.filter(pl.col("split") == split)
    return templates if split == "train" else templates.clear()


def _labels(table: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    return table["label"].cast(pl.Int64).to_numpy()


def _report(trained: TrainedClassifier, table: pl.DataFrame) -> dict[str, Any]:
    """Scores on rows that were not trained on, as JSON; null where undefined."""
    truth = _labels(table)
    predicted = trained.decide(trained.probabilities(matrix(table, trained.columns)))
    scores = score_classes(truth, predicted, trained.classes)
    columns: dict[str, FloatArray] = {n: getattr(scores, n) for n in ("precision", "recall", "f1")}
    classes = {
        str(number): {
            **{name: _number(values[i]) for name, values in columns.items()},
            "support": int(scores.support[i]),
        }
        for i, number in enumerate(scores.classes)
    }
    seen = scores.f1[scores.support > 0]
    return {
        "n_test": len(truth),
        "accuracy": float((truth == predicted).mean()) if len(truth) else None,
        "macro_f1": float(seen.mean()) if len(seen) else None,
        "classes": classes,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _summary(report: Mapping[str, Any]) -> pl.DataFrame:
    rows = [{"class": int(number), **scores} for number, scores in report["classes"].items()]
    schema = {"class": pl.Int64, "precision": pl.Float64, "recall": pl.Float64, "f1": pl.Float64}
    return pl.DataFrame(rows, schema={**schema, "support": pl.Int64}).sort("class")
