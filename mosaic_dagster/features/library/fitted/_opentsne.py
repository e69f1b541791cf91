"""The one module that calls openTSNE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mosaic_dagster.extras import need
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

_MAX_GRADIENT = 0.25
"""Longest gradient of a row that is mapped: one that starts on a template is not thrown away."""


@dataclass(frozen=True)
class Descent:
    """One phase of gradient descent."""

    iters: int
    exaggeration: float
    momentum: float
    learning_rate: float | str


@dataclass(frozen=True)
class Neighbors:
    """Nearest templates of rows, and the perplexity of the affinities to them.

    Attributes
    ----------
    positions, distances
        Shape (n_rows, k), the nearest first.
    perplexity
        At most k.
    """

    positions: IntArray
    distances: FloatArray
    perplexity: float


def require() -> Any:
    """The package.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    return need("openTSNE", "embedding", "global-tsne")


def fit_map(
    points: FloatArray,
    neighbors: Neighbors,
    phases: tuple[Descent, Descent],
    random_state: int,
) -> tuple[FloatArray, float]:
    """Coordinates of the templates, shape (n_points, 2), and the divergence that is left.

    One thread works: the sums of several come together in an order that differs from run to run.

    Parameters
    ----------
    points
        Templates, shape (n_points, n_columns).
    neighbors
        Nearest other templates of each.
    phases
        The exaggerated phase and the one after it; both have one learning rate.
    random_state
        Seed of the jitter at the start.
    """
    package = require()
    first, second = phases
    affinities = package.affinity.PrecomputedAffinities(
        package.affinity.joint_probabilities_nn(
            neighbors.positions, neighbors.distances, [neighbors.perplexity], n_jobs=1
        ),
        normalize=False,
    )
    # A single column has no second component; the start is spread by a small jitter anyway.
    wide = points if points.shape[1] > 1 else np.pad(points, ((0, 0), (0, 1)))
    start = package.initialization.pca(wide, svd_solver="full", random_state=random_state)
    embedding = package.TSNE(
        learning_rate=first.learning_rate,
        early_exaggeration_iter=first.iters,
        early_exaggeration=first.exaggeration,
        initial_momentum=first.momentum,
        n_iter=second.iters,
        exaggeration=second.exaggeration,
        final_momentum=second.momentum,
        n_jobs=1,
        random_state=random_state,
    ).fit(affinities=affinities, initialization=start)
    return np.array(embedding, dtype=np.float64), float(embedding.kl_divergence)


def place_rows(
    fixed: FloatArray, start: FloatArray, neighbors: Neighbors, descent: Descent, n_jobs: int
) -> FloatArray:
    """Coordinates of rows that are optimised against a fixed map, each on its own.

    Parameters
    ----------
    fixed
        Coordinates of the templates, shape (n_points, 2).
    start
        First coordinates of the rows, shape (n_rows, 2).
    neighbors
        Nearest templates of each row.
    descent
        The phase.
    n_jobs
        Number of threads.
    """
    package = require()
    affinities = package.affinity.joint_probabilities_nn(
        neighbors.positions,
        neighbors.distances,
        [neighbors.perplexity],
        symmetrize=False,
        normalization="point-wise",
        n_reference_samples=len(fixed),
        n_jobs=n_jobs,
    )
    placed = package.tsne.PartialTSNEEmbedding(start, _fixed_map(package, fixed), affinities)
    placed.optimize(
        n_iter=descent.iters,
        learning_rate=descent.learning_rate,
        exaggeration=descent.exaggeration,
        momentum=descent.momentum,
        # The interpolating gradient would depend on where the other rows are.
        negative_gradient_method="bh",
        max_grad_norm=_MAX_GRADIENT,
        max_step_norm=None,
        n_jobs=n_jobs,
        inplace=True,
    )
    return np.array(placed, dtype=np.float64)


def _fixed_map(package: Any, fixed: FloatArray) -> Any:
    from scipy.sparse import csr_matrix

    # Mapping reads the coordinates alone, so the affinities among the templates stay empty.
    nothing = csr_matrix((len(fixed), len(fixed)))
    affinities = package.affinity.PrecomputedAffinities(nothing, normalize=False)
    return package.TSNEEmbedding(fixed, affinities)
