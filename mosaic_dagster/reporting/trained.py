"""What training steps reached: scores of held-out recordings, and what was taken for what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.models.metrics import class_scores
from mosaic_dagster.pipeline.training import CHAINS, PREDICTIONS
from mosaic_dagster.reporting.behaviour import class_names
from mosaic_dagster.reporting.subject import Subject, Trace, one_line
from mosaic_dagster.store.chains import higher_is_better
from mosaic_dagster.store.content.codecs import read_table

_PARTITIONS = ("test", "val", "train")
_MOST_MODELS = 6
_MOST_CLASSES = 60
_MOST_POINTS = 4000
_COLUMNS = (
    "chain", "model_name", "fold_id", "partition", "metric", "task_type", "n_samples",
    "val_score", "test_score", "train_score",
)  # fmt: skip

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Score:
    """Scores of one model in one partition: the mean over folds, the lowest and the highest."""

    model: str
    partition: str
    metric: str
    mean: float | None
    lowest: float | None
    highest: float | None
    folds: int
    samples: int


@dataclass(frozen=True)
class Confusion:
    """Rows by true class (first axis) and predicted class, with the names of both."""

    model: str
    names: tuple[str, ...]
    counts: Array

    def by_class(self) -> list[dict[str, Any]]:
        """Precision, recall and F1 of each class; None where one is not defined."""
        scores = class_scores(self.counts)
        columns = zip(scores.precision, scores.recall, scores.f1, strict=True)
        return [
            {"class": name, "rows": int(self.counts[i].sum())}
            | {
                what: None if np.isnan(value) else float(value)
                for what, value in zip(("precision", "recall", "f1"), values, strict=True)
            }
            for i, (name, values) in enumerate(zip(self.names, columns, strict=True))
        ]


@dataclass(frozen=True)
class Training:
    """What a training step reached.

    Attributes
    ----------
    step
        Its name.
    trace
        What stands behind the numbers.
    partition
        Which rows confusions and measured values are of: ``test``, ``val`` or ``train``.
    scores
        By model and partition.
    confusions
        Of classifiers.
    measured
        Measured and predicted values of regressions by model; of many, an evenly spaced part.
    """

    step: str
    trace: Trace
    partition: str
    scores: tuple[Score, ...]
    confusions: tuple[Confusion, ...] = ()
    measured: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)

    def best(self) -> Score | None:
        """The best model by the metric of the first; None without a score."""
        scores = [s for s in self.scores if s.partition == self.partition and s.mean is not None]
        same = [score for score in scores if score.metric == scores[0].metric]
        better = higher_is_better(same[0].metric) if same else None
        if better is None:  # an unknown metric ranks nothing
            return same[0] if len(same) == 1 else None
        return max(same, key=lambda s: (s.mean or 0.0) if better else -(s.mean or 0.0))


def trainings(subject: Subject) -> Iterator[Training]:
    """Every training step whose models are up to date."""
    for name, bound in subject.steps.items():
        members = subject.members(name) if bound.trains else {}
        if PREDICTIONS in members and CHAINS in members:
            yield _training(subject, name, members[CHAINS][1], members[PREDICTIONS][1])


def _training(subject: Subject, step: str, chains: Path, predictions: Path) -> Training:
    rows = read_table(predictions, _COLUMNS)
    models = _models(json.loads(chains.read_bytes())["chains"], rows)
    rows = rows.with_columns(
        pl.col("chain").replace_strict(models, default="", return_dtype=pl.String).alias("model")
    )
    there = set(rows["partition"].drop_nulls().to_list())
    partition = next((name for name in _PARTITIONS if name in there), "")
    trace = subject.trace_of_fit(step, step)
    classified = rows.filter(pl.col("task_type").fill_null("").str.contains("classif"))
    chosen = dict(list(models.items())[:_MOST_MODELS])
    confusions: list[Confusion] = []
    measured: dict[str, tuple[Array, Array]] = {}
    for number, model in chosen.items():
        if number in set(classified["chain"].to_list()):
            confusions += _confusion(predictions, number, model, partition, class_names(subject))
        else:
            measured |= _measured(predictions, number, model, partition)
    scores = tuple(_scores(rows))
    return Training(step, trace, partition, scores, tuple(confusions), measured)


def _models(chains: list[dict[str, Any]], rows: pl.DataFrame) -> dict[int, str]:
    """A name for each chain, told apart by number where several have one name."""
    named = dict(rows.select("chain", "model_name").unique("chain", keep="first").iter_rows())
    names: dict[int, str] = {}
    for number, chain in enumerate(chains):
        told = named.get(number) or chain.get("name") or chain.get("model_class") or "model"
        steps = chain.get("preprocessings") or ""
        told = one_line(f"{told} after {steps}" if steps else str(told))
        names[number] = told if told not in names.values() else f"{told} ({number + 1})"
    return names


def _scores(rows: pl.DataFrame) -> Iterator[Score]:
    by = ["chain", "model", "partition", "metric"]
    for (_, model, partition, metric), part in rows.group_by(by, maintain_order=True):
        column = f"{partition}_score"
        known = part[column].drop_nulls().drop_nans() if column in part.columns else pl.Series()
        numbers = known.cast(pl.Float64).to_list()
        yield Score(
            str(model), one_line(str(partition or "")), one_line(str(metric or "")),
            sum(numbers) / len(numbers) if numbers else None,
            min(numbers, default=None), max(numbers, default=None),
            part["fold_id"].n_unique(), int(part["n_samples"].sum() or 0),
        )  # fmt: skip


def _rows_of(path: Path, chain: int, partition: str) -> pl.LazyFrame:
    held_out = (pl.col("chain") == chain) & (pl.col("partition") == partition)
    whole = pl.col("y_true").list.len() == pl.col("y_pred").list.len()
    return pl.scan_parquet(path).filter(held_out & whole).select("y_true", "y_pred")


def _confusion(
    path: Path, chain: int, model: str, partition: str, names: Mapping[int, str]
) -> Iterator[Confusion]:
    pairs = _rows_of(path, chain, partition).explode("y_true", "y_pred").drop_nulls().drop_nans()
    counted = pairs.group_by("y_true", "y_pred").len().collect()
    classes = sorted({*counted["y_true"].to_list(), *counted["y_pred"].to_list()})
    if not classes or len(classes) > _MOST_CLASSES:
        return
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for truth, predicted, count in counted.iter_rows():
        counts[classes.index(truth), classes.index(predicted)] = count
    yield Confusion(model, tuple(_class_name(value, names) for value in classes), counts)


def _class_name(value: float, names: Mapping[int, str]) -> str:
    if not float(value).is_integer():
        return f"{value:g}"
    return names.get(int(value), str(int(value)))


def _measured(path: Path, chain: int, model: str, partition: str) -> dict[str, tuple[Array, Array]]:
    lengths = _rows_of(path, chain, partition).select(pl.col("y_true").list.len().sum()).collect()
    every = -(-int(lengths.item() or 0) // _MOST_POINTS) or 1
    thinned = _rows_of(path, chain, partition).select(pl.all().list.gather_every(every))
    values = thinned.explode("y_true", "y_pred").drop_nulls().collect()
    if not values.height:
        return {}
    return {model: (values["y_true"].to_numpy(), values["y_pred"].to_numpy())}
