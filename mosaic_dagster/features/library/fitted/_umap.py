"""The one module that calls umap-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from mosaic_dagster.extras import need
from mosaic_dagster.features.kernels.arrays import FloatArray

Single = npt.NDArray[np.float32]

_LARGEST = float(np.finfo(np.float32).max)


def require() -> Any:
    """The package.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    with warnings.catch_warnings():
        # The package says at import that a part which nothing here uses lacks its own packages.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        return need("umap", "embedding", "global-umap")


def new_map(*, n_neighbors: int, min_dist: float, metric: str, random_state: int) -> Any:
    """A map without a fit, with one thread, as the random numbers of several would interleave."""
    return require().UMAP(
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        metric=metric,
        random_state=random_state,
        transform_seed=random_state,
        n_jobs=1,
    )


def fit_map(unfitted: Any, points: FloatArray) -> Single:
    """Coordinates of the templates, shape (n_points, 2)."""
    with threadpool_limits(1), warnings.catch_warnings():
        # Templates that are all alike have no spectral start; a random one is taken then.
        warnings.filterwarnings("ignore", message="Spectral initialisation failed")
        fitted = unfitted.fit(points.astype(np.float32))
    return np.asarray(fitted.embedding_, dtype=np.float32)


def restore_map(unfitted: Any, points: FloatArray, coordinates: Single) -> Any:
    """A fitted map from its templates and their coordinates, without optimising anything."""
    unfitted.transform_mode = "graph"
    with threadpool_limits(1):
        fitted = unfitted.fit(points.astype(np.float32))
    fitted.transform_mode = "embedding"
    fitted.embedding_ = coordinates
    return fitted


def place_rows(fitted: Any, values: FloatArray) -> Single:
    """Coordinates of rows, shape (n_rows, 2); they depend on all rows and their order.

    Rows with a value beyond float32, which the package computes in, are NaN.
    """
    places = np.full((len(values), 2), np.nan, dtype=np.float32)
    near = (np.abs(values) <= _LARGEST).all(axis=1)
    if near.any():
        with threadpool_limits(1):
            places[near] = fitted.transform(values[near].astype(np.float32))
    return places
