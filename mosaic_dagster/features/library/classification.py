"""Classifiers of rows: how one is asked for, fitted, kept and used.

:class:`ClassifierSettings` say what is wanted, :func:`fit_classifier` makes a
:class:`TrainedClassifier` of arrays, and that predicts, row by row, and becomes bytes and back.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from threadpoolctl import threadpool_limits

from mosaic_dagster.errors import FitError, ParamsError, StoreError, UntrustedArtifactError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.class_balance import (
    balanced_weights,
    oversample,
    positive_weights,
    undersample,
)
from mosaic_dagster.features.kernels.class_decisions import decide
from mosaic_dagster.features.kernels.levels import round_to_levels
from mosaic_dagster.features.library.estimators import (
    EstimatorName,
    build_estimator,
    estimator_options,
    has_converged,
    row_probabilities,
    takes_missing,
)
from mosaic_dagster.store.formats import decode, encode

Strategy = Literal["multiclass", "one_vs_rest"]
Share = Annotated[float, Field(ge=0, le=1)]
Thresholds = Share | dict[int, Share]

_LARGEST = float(np.finfo(np.float32).max)
_KEYS = frozenset(
    {"columns", "classes", "strategy", "estimator", "estimators", "scaler", "thresholds"}
    | {"default_class", "counts", "converged"}
)


class ClassifierSettings(BaseModel):
    """What is fitted, on which rows, and how its probabilities become classes.

    Parameters that None is given for take the default of the estimator; one that the estimator
    does not take is refused.

    Attributes
    ----------
    estimator
        ``hist_gradient_boosting`` uses rows with missing values, the others do not;
        ``logistic_regression`` and ``mlp`` (a multi-layer perceptron) see standardised values.
    strategy
        ``multiclass``: one estimator, probabilities add up to 1. ``one_vs_rest``: one for each
        class, whose probabilities are independent of each other.
    decision_threshold
        Least probability of every class, or of those named; None takes the most probable class.
    default_class
        Class of the rows that are below all thresholds or cannot be predicted.
    class_weight
        ``balanced`` gives all classes the same weight; None gives it to all rows.
    oversample
        Whether rows of small classes are repeated until all classes are as large as the largest.
    undersample_ratio
        Most rows of a class, as a multiple of the smallest one; comes before ``oversample``.
    n_estimators, max_depth, colsample_bytree
        Of the trees: how many (100), how deep (6), and the share of the columns that each split
        looks at (0.8).
    learning_rate
        Of ``hist_gradient_boosting`` (0.1) and ``mlp`` (0.001).
    subsample
        Share of the rows that each tree of ``random_forest`` sees (0.8).
    max_iter
        Most iterations of ``logistic_regression`` (1000) and ``mlp`` (200).
    hidden_layer_sizes
        Of ``mlp`` (64, 32).
    random_state
        Seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: EstimatorName = "hist_gradient_boosting"
    strategy: Strategy = "multiclass"
    decision_threshold: Thresholds | None = None
    default_class: int | None = None
    class_weight: Literal["balanced"] | None = "balanced"
    oversample: bool = False
    undersample_ratio: float | None = Field(default=None, gt=0)
    n_estimators: int | None = Field(default=None, ge=1)
    max_depth: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    subsample: float | None = Field(default=None, gt=0, le=1)
    colsample_bytree: float | None = Field(default=None, gt=0, le=1)
    max_iter: int | None = Field(default=None, ge=1)
    hidden_layer_sizes: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None, min_length=1
    )
    random_state: int = Field(default=42, ge=0)

    @model_validator(mode="after")
    def _fill_options(self) -> Self:
        given = {name: getattr(self, name) for name in _OPTIONS}
        for name, value in estimator_options(self.estimator, given).items():
            object.__setattr__(self, name, value)
        return self


_OPTIONS = (
    *("n_estimators", "max_depth", "learning_rate", "subsample", "colsample_bytree"),
    *("max_iter", "hidden_layer_sizes"),
)


@dataclass(frozen=True)
class TrainedClassifier:
    """A fitted classifier.

    Attributes
    ----------
    columns
        Names of the columns of the values.
    classes
        Classes in ascending order, any whole numbers, shape (n_classes,).
    estimator, strategy
        As in :class:`ClassifierSettings`.
    estimators
        One fitted estimator, or one for each class.
    default_class
        See :class:`ClassifierSettings`.
    thresholds
        Least probability of each class, shape (n_classes,); None means none.
    scaler
        Mean and scale of each column, shape (2, n_columns); None where values are used as they
        are.
    counts
        Rows of each class that the fit used, after under- and oversampling, shape (n_classes,).
    converged
        Whether every iterative fit ended before its last iteration.
    """

    columns: tuple[str, ...]
    classes: IntArray
    estimator: EstimatorName
    strategy: Strategy
    estimators: Sequence[Any]
    default_class: int
    thresholds: FloatArray | None = None
    scaler: FloatArray | None = None
    counts: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    converged: bool = True

    def probabilities(self, values: FloatArray) -> FloatArray:
        """Probability of each class, shape (n_rows, n_classes).

        The probabilities of a row depend on that row alone, to the last bit. They are NaN in rows
        that cannot be predicted: all values missing, or for estimators other than
        ``hist_gradient_boosting`` any value.

        Parameters
        ----------
        values
            Shape (n_rows, n_columns); NaN where missing, never infinite.
        """
        found = np.full((len(values), len(self.classes)), np.nan)
        usable = usable_rows(values, self.estimator)
        if usable.any():
            points = _scaled(values if usable.all() else values[usable], self.scaler)
            # Rows are few: threads would wait for each other. The others have none to limit.
            threaded = self.estimator == "hist_gradient_boosting"
            with threadpool_limits(1) if threaded else nullcontext():
                parts = [row_probabilities(fitted, points) for fitted in self.estimators]
            found[usable] = (
                parts[0] if self.strategy == "multiclass" else np.stack([p[:, 1] for p in parts], 1)
            )
        return found

    def decide(self, probabilities: FloatArray) -> IntArray:
        """Class of each row from :meth:`probabilities`, shape (n_rows,)."""
        return decide(probabilities, self.classes, self.default_class, self.thresholds)

    def with_decision(
        self, default_class: int | None, decision_threshold: Thresholds | None
    ) -> TrainedClassifier:
        """The same classifier with another default class or thresholds; None leaves them."""
        changes: dict[str, Any] = {}
        if default_class is not None:
            changes["default_class"] = default_class
        if decision_threshold is not None:
            changes["thresholds"] = class_thresholds(decision_threshold, self.classes)
        return replace(self, **changes)

    def encode(self) -> bytes:
        """Bytes of a skops file that holds a plain mapping; the same for equal classifiers."""
        state = {name: getattr(self, name) for name in sorted(_KEYS)}
        state |= {"columns": list(self.columns), "estimators": list(self.estimators)}
        return encode(state, "skops").data

    @classmethod
    def decode(cls, data: bytes, name: str = "The file") -> TrainedClassifier:
        """The classifier of :meth:`encode`; only types of a closed list are ever made.

        Parameters
        ----------
        data
            Content of the file.
        name
            Its name, for messages.

        Raises
        ------
        ParamsError
            The bytes are no classifier.
        UntrustedArtifactError
            They hold other types.
        """
        remedy = "Refer to a classifier.skops that a classifier step or a training step made."
        try:
            state = decode(data, "skops", trusted=False)
        except UntrustedArtifactError:
            raise
        except StoreError as error:
            msg = f"{name} is not a classifier: {error.what}"
            raise ParamsError(msg, remedy) from error
        if not isinstance(state, Mapping) or set(state) != _KEYS:
            msg = f"{name} holds no classifier."
            raise ParamsError(msg, remedy)
        return cls(**{**state, "columns": tuple(state["columns"])})


def fit_classifier(
    values: FloatArray, labels: IntArray, columns: Sequence[str], settings: ClassifierSettings
) -> TrainedClassifier:
    """Fit a classifier of rows.

    Parameters
    ----------
    values
        Shape (n_rows, n_columns); NaN where missing, never infinite. Rows that the estimator
        cannot use are left out.
    labels
        Class of each row, shape (n_rows,); any whole numbers.
    columns
        Names of the columns.
    settings
        What to fit. Equal settings and rows give equal bytes under a limit of one thread.

    Raises
    ------
    ParamsError
        There is no default class, or a threshold is for a class that no row has.
    FitError
        Fewer than two classes have usable rows.
    """
    if settings.default_class is None:
        msg = "The classifier has no default_class."
        raise ParamsError(msg, "Name the class of rows that cannot be decided.")
    rows = np.flatnonzero(usable_rows(values, settings.estimator))
    classes = np.unique(labels[rows]).astype(np.int64)
    if len(classes) < 2:
        found = f"only class {classes[0]}" if len(classes) else "no class at all"
        msg = f"A classifier needs two classes; the {len(rows)} usable rows hold {found}."
        raise FitError(msg, "Label more recordings, or check which templates are for training.")
    thresholds = class_thresholds(settings.decision_threshold, classes)
    rows = rows[resample(labels[rows], settings)]
    codes = np.searchsorted(classes, labels[rows])
    points = values[rows]
    # No tree splits a constant column, and one without a single value cannot be binned.
    points[:, np.isnan(points).all(axis=0)] = 0.0
    scaler = None if settings.estimator in _UNSCALED else _mean_and_scale(points)
    estimators = _fit_estimators(_scaled(points, scaler), codes, len(classes), settings)
    return TrainedClassifier(
        columns=tuple(columns),
        classes=classes,
        estimator=settings.estimator,
        strategy=settings.strategy,
        estimators=estimators,
        default_class=settings.default_class,
        thresholds=thresholds,
        scaler=scaler,
        counts=np.bincount(codes, minlength=len(classes)).astype(np.int64),
        converged=all(map(has_converged, estimators)),
    )


def resample(labels: IntArray, settings: ClassifierSettings) -> IntArray:
    """Positions of the rows to fit on, ascending, after under- and oversampling.

    Parameters
    ----------
    labels
        Class of each row, shape (n_rows,).
    settings
        Its ``undersample_ratio``, ``oversample`` and ``random_state`` count.
    """
    rng = np.random.default_rng(settings.random_state)
    rows = np.arange(len(labels), dtype=np.int64)
    if settings.undersample_ratio is not None:
        rows = rows[undersample(labels, settings.undersample_ratio, rng)]
    if settings.oversample:
        rows = rows[oversample(labels[rows], rng)]
    return rows


def class_thresholds(given: Thresholds | None, classes: IntArray) -> FloatArray | None:
    """Threshold of each class, shape (n_classes,); 0 for classes that are not named.

    Raises
    ------
    ParamsError
        A class is named that is not among the classes.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        return np.full(len(classes), float(given))
    known = [int(c) for c in classes]
    unknown = sorted(set(given) - set(known))
    if unknown:
        msg = f"decision_threshold names the class {unknown[0]}, which has no rows to train on."
        raise ParamsError(msg, f"The classes are: {', '.join(map(str, known))}.")
    return np.array([given.get(c, 0.0) for c in known], dtype=np.float64)


def usable_rows(values: FloatArray, estimator: EstimatorName) -> BoolArray:
    """Whether an estimator can use a row, shape (n_rows,).

    Parameters
    ----------
    values
        Shape (n_rows, n_columns); NaN where missing.
    estimator
        Those that take missing values need one value, the others all.
    """
    if takes_missing(estimator):
        return np.asarray(~np.isnan(values).all(axis=1))
    return np.asarray((np.abs(values) <= _LARGEST).all(axis=1))


_MOST_BINS = 255
_UNSCALED = frozenset({"hist_gradient_boosting", "random_forest"})


def _fit_estimators(
    points: FloatArray, codes: IntArray, n_classes: int, settings: ClassifierSettings
) -> list[Any]:
    balanced = settings.class_weight == "balanced"
    targets: list[tuple[IntArray, FloatArray | None]]
    if settings.strategy == "multiclass":
        targets = [(codes, balanced_weights(codes) if balanced else None)]
    else:
        splits = [codes == code for code in range(n_classes)]
        targets = [
            (split.astype(np.int64), positive_weights(split) if balanced else None)
            for split in splits
        ]
    from sklearn.exceptions import ConvergenceWarning

    options = {name: getattr(settings, name) for name in _OPTIONS}
    if settings.estimator == "hist_gradient_boosting" and balanced:
        # scikit-learn looks for its bins with the weights, which takes longer than all trees,
        # unless a column has no more values than bins.
        points = round_to_levels(points, _MOST_BINS)
    fitted = []
    for target, weights in targets:
        estimator = build_estimator(settings.estimator, options, settings.random_state)
        with warnings.catch_warnings():
            # What did not converge is said by has_converged.
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(points, target, sample_weight=weights)
        fitted.append(estimator)
    return fitted


def _mean_and_scale(points: FloatArray) -> FloatArray:
    scale = points.std(axis=0)
    return np.stack([points.mean(axis=0), np.where(scale > 0, scale, 1.0)])


def _scaled(values: FloatArray, scaler: FloatArray | None) -> FloatArray:
    return values if scaler is None else (values - scaler[0]) / scaler[1]
