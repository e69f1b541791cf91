"""Applying what was fitted on templates, beside scikit-learn, scipy and numpy; fits not timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID251
import polars as pl
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from benchmarks.features.case import Case, Columns
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.inputs import InputStream
from mosaic_dagster.keys import EntryKey

State = Mapping[str, np.ndarray[Any, Any]]

_FITTED: dict[str, State] = {}
"""State of each feature, which a script would have kept in a variable since its fit."""


def body_shape(tracks: pl.DataFrame) -> pl.DataFrame:
    """Keypoints relative to the centre, beside the key columns."""
    names = [name for name in tracks.columns if name.startswith(("poseX", "poseY"))]
    keys = [c for c in ("frame", "time", "id", "fps", "group", "sequence") if c in tracks.columns]
    return tracks.select(*keys, *(pl.col(name) - pl.col(name[4]) for name in names))


def fit_on_templates(feature: Any, table: pl.DataFrame) -> None:
    """Fit on 1,500 rows spread over the table."""
    values = table.select(pl.selectors.starts_with("pose")).drop_nulls().drop_nans()
    feature.templates = values.gather_every(max(1, values.height // 1500))
    feature.fit(None)
    _FITTED[feature.name] = feature.fitted()


def fit_on_table(feature: Any, table: pl.DataFrame) -> None:
    """Fit on the first 4,000 rows."""
    stream = InputStream((EntryKey("g", "s"),), lambda _: table[:4000])
    feature.fit(stream)
    _FITTED[feature.name] = feature.state


def frame_of(table: pl.DataFrame, name: str) -> tuple[State, pd.DataFrame]:
    """The fitted state and the columns it was fitted on."""
    state = _FITTED[name]
    columns = [str(column) for column in state["columns"]]
    return state, pd.DataFrame({column: table[column].to_numpy() for column in columns})


def scale(table: pl.DataFrame) -> Columns:
    state, frame = frame_of(table, "global-scaler")
    scaled = (frame - state["mean"]) / state["scale"]
    return {name: scaled[name].to_numpy() for name in scaled.columns}


def components(table: pl.DataFrame) -> Columns:
    """The transform of scikit-learn, which refuses missing values."""
    state, frame = frame_of(table, "global-pca")
    pca = PCA()
    pca.components_, pca.mean_ = state["components"], state["mean"]
    points = frame.to_numpy()
    usable = np.isfinite(points).all(axis=1)
    scores = np.full((len(points), len(pca.components_)), np.nan)
    scores[usable] = pca.transform(points[usable])
    return {f"PC{k}": scores[:, k] for k in range(scores.shape[1])}


def nearest(points: np.ndarray, centers: np.ndarray, first: int = 0) -> Columns:
    """Number of the nearest centre, NaN where a value is missing."""
    found = np.full(len(points), np.nan)
    usable = np.isfinite(points).all(axis=1)
    found[usable] = cdist(points[usable], centers).argmin(axis=1) + first
    return {"cluster": found}


def kmeans(table: pl.DataFrame) -> Columns:
    state, frame = frame_of(table, "global-kmeans")
    return nearest(frame.to_numpy().astype(np.float32), state["centers"])


def ward(table: pl.DataFrame) -> Columns:
    _, frame = frame_of(table, "global-ward")
    return nearest(frame.to_numpy(), _FITTED["ward centers"]["centers"], first=1)


def fit_ward(feature: Any, table: pl.DataFrame) -> None:
    """Keep the centroids, too."""
    fit_on_templates(feature, table)
    state = feature.fitted()
    _FITTED["ward centers"] = {"centers": _centroids(state, feature.params.n_clusters)}


def _centroids(state: State, n_clusters: int) -> np.ndarray:
    from scipy.cluster.hierarchy import fcluster

    labels = fcluster(state["linkage"], n_clusters, criterion="maxclust")
    groups = pd.DataFrame(state["templates"]).groupby(labels)
    return groups.mean().to_numpy()


def hdbscan(table: pl.DataFrame) -> Columns:
    state, frame = frame_of(table, "global-hdbscan")
    points = frame.to_numpy()
    found = np.full(len(points), np.nan)
    usable = np.isfinite(points).all(axis=1)
    member = cdist(points[usable], state["members"]).argmin(axis=1)
    # Templates lie exactly at the reach of their neighbours, where cdist rounds otherwise.
    distances = np.linalg.norm(state["members"][member] - points[usable], axis=1)
    within = distances <= state["reach"][member]
    found[usable] = np.where(within, state["labels"][member], np.nan)
    return {"cluster": found}


def syllables(table: pl.DataFrame) -> Columns:
    """Viterbi of one lag, run by run and row by row."""
    state, frame = frame_of(table, "arhmm")
    frame = frame.replace([np.inf, -np.inf], np.nan).fillna(0.0)
    scaled = (frame - state["mean"]) / state["scale"]
    keys = pd.DataFrame({name: table[name].to_numpy() for name in ("id", "frame")})
    ordered = keys.sort_values(["id", "frame"], kind="stable")
    new = (ordered["frame"].diff() != 1) | (ordered["id"].diff() != 0)
    found = np.full(len(frame), np.nan)
    for _, run in ordered.groupby(new.cumsum()):
        if len(run) > 1:
            path = _viterbi(state, scaled.loc[run.index].to_numpy())
            found[run.index] = np.concatenate([path[:1], path])
    return {"syllable": found}


def _viterbi(state: State, rows: np.ndarray) -> np.ndarray:
    before = np.hstack([rows[:-1], np.ones((len(rows) - 1, 1))])
    emissions = np.stack(
        [
            multivariate_normal(cov=noise).logpdf(rows[1:] - before @ law.T)
            for law, noise in zip(state["coefficients"], state["noise"], strict=True)
        ],
        axis=1,
    ).reshape(len(rows) - 1, -1)
    steps = np.log(state["transitions"])
    best = np.log(state["start"]) + emissions[0]
    sources = np.zeros(emissions.shape, dtype=int)
    for time in range(1, len(emissions)):
        ways = best[:, None] + steps
        sources[time] = ways.argmax(axis=0)
        best = ways.max(axis=0) + emissions[time]
    path = [int(best.argmax())]
    for time in range(len(emissions) - 1, 0, -1):
        path.append(int(sources[time, path[-1]]))
    return np.array(path[::-1])


def _on_templates(
    feature: str,
    reference: Callable[[pl.DataFrame], Columns],
    ready: Callable[[Any, pl.DataFrame], None] = fit_on_templates,
    **params: Any,
) -> Case:
    return Case(
        feature=feature,
        reference=reference,
        params={"templates": StepRef("templates", "templates.parquet"), **params},
        prepare=body_shape,
        ready=ready,
    )


CASES: tuple[Case, ...] = (
    _on_templates("global-scaler", scale),
    _on_templates("global-pca", components),
    _on_templates("global-kmeans", kmeans),
    _on_templates("global-ward", ward, fit_ward),
    _on_templates("global-hdbscan", hdbscan),
    Case(
        feature="arhmm",
        reference=syllables,
        params={"n_states": 20, "n_iter": 5},
        prepare=body_shape,
        ready=fit_on_table,
    ),
)
