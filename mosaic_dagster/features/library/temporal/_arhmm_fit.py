"""From the runs of all recordings to the arrays of a fitted arhmm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mosaic_dagster.errors import FitError
from mosaic_dagster.features.kernels.arhmm import Fit, FitSettings, Regression, fit, regression
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.rowwise import project

Arrays = dict[str, np.ndarray[Any, Any]]

_CONSTANT = 1e-10
"""A column whose standard deviation is below this is only centred."""


class Settings(Protocol):
    """The parameters that the fit reads; see ``ArhmmParams``."""

    pca_dim: int | None
    n_states: int
    n_lags: int
    sticky_weight: float
    n_iter: int
    tol: float
    n_restarts: int
    standardize: bool
    prune_threshold: float
    random_state: int


@dataclass(frozen=True)
class Scaling:
    """How columns become what is modelled.

    Attributes
    ----------
    mean, scale
        Shape (n_columns,).
    center, components
        Mean and axes of the principal components of the scaled columns, shapes (n_columns,) and
        (n_components, n_columns); no axes leave the columns as they are.
    """

    mean: FloatArray
    scale: FloatArray
    center: FloatArray
    components: FloatArray

    def apply(self, values: FloatArray) -> FloatArray:
        """Scaled or projected rows; each depends on itself alone."""
        scaled = (values - self.mean) / self.scale
        return project(scaled - self.center, self.components) if len(self.components) else scaled


def fit_states(runs: Sequence[FloatArray], settings: Settings) -> Arrays:
    """Fit on runs of finite rows.

    Parameters
    ----------
    runs
        Each of shape (n_rows, n_columns).
    settings
        The parameters.

    Raises
    ------
    FitError
        No run is longer than the lags, there are fewer different rows than states, or fewer
        columns than principal components.
    """
    used = [rows for rows in runs if len(rows) > settings.n_lags]
    if not used:
        msg = f"arhmm found no run of more than {settings.n_lags} successive rows."
        raise FitError(msg, "Lower n_lags or downsample_rate, or fill gaps first.")
    scaling = _scaling(np.concatenate(used), settings)
    data = regression([scaling.apply(rows) for rows in used], settings.n_lags)
    lengths = [len(rows) - settings.n_lags for rows in used]
    best = _best_fit(data, lengths, settings)
    falling = np.argsort(-best.usage, kind="stable")
    kept = falling[best.usage[falling] >= settings.prune_threshold]
    kept = kept if len(kept) else falling[:1]
    model = best.model.keep(kept)
    report = [
        best.log_likelihood,
        best.n_iter,
        best.converged,
        len(data.joint),
        len(used),
        len(falling) - len(kept),
    ]
    return {
        "mean": scaling.mean,
        "scale": scaling.scale,
        "center": scaling.center,
        "components": scaling.components,
        "start": model.chain.start,
        "transitions": model.chain.transitions,
        "coefficients": model.coefficients,
        "noise": model.noise,
        "usage": best.usage[kept],
        "report": np.array(report, dtype=np.float64),
    }


def _scaling(rows: FloatArray, settings: Settings) -> Scaling:
    n_columns = rows.shape[1]
    mean, scale = np.zeros(n_columns), np.ones(n_columns)
    if settings.standardize:
        mean, deviation = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(deviation < _CONSTANT, 1.0, deviation)
    if settings.pca_dim is None:
        return Scaling(mean, scale, np.zeros(n_columns), np.empty((0, n_columns)))
    if settings.pca_dim > min(rows.shape):
        msg = f"arhmm cannot find {settings.pca_dim} component(s) in {rows.shape[0]} rows of"
        raise FitError(f"{msg} {n_columns} column(s).", "Lower pca_dim.")
    scaled = (rows - mean) / scale
    center = scaled.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(scaled, rowvar=False, ddof=0).reshape(n_columns, n_columns))
    components = axes.T[::-1][: settings.pca_dim].copy()
    largest = np.abs(components).argmax(axis=1)
    components *= np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)[:, None]
    return Scaling(mean, scale, center, components)


def _best_fit(data: Regression, lengths: Sequence[int], settings: Settings) -> Fit:
    different = len(np.unique(data.targets, axis=0))
    if different < settings.n_states:
        msg = f"arhmm cannot begin with {settings.n_states} states of {different} different rows"
        raise FitError(f"{msg} ({len(data.joint)} rows).", "Lower n_states, or widen the scope.")
    stop = FitSettings(settings.sticky_weight, settings.n_iter, settings.tol)
    fits = []
    for restart in range(settings.n_restarts):
        labels = _first_labels(data.targets, settings.n_states, settings.random_state + restart)
        fits.append(fit(data, lengths, labels, settings.n_states, stop))
    return max(fits, key=lambda one: one.log_likelihood)


def _first_labels(targets: FloatArray, n_states: int, random_state: int) -> IntArray:
    from sklearn.cluster import KMeans

    kmeans = KMeans(n_clusters=n_states, n_init=1, random_state=random_state)
    return np.asarray(kmeans.fit_predict(targets), dtype=np.int64)
