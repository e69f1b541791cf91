"""Products and distances in which a row's result depends on that row alone, to the last bit.

A matrix product from BLAS may round a row differently when other rows stand beside it or when
another number of threads works on it. Results that are stored by digest must not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mosaic_dagster.features.kernels.arrays import FloatArray

_BLOCK = 4096


def project(values: FloatArray, directions: FloatArray) -> FloatArray:
    """``values @ directions.T``, shape (n_rows, n_directions); NaN rows give NaN.

    Parameters
    ----------
    values
        Shape (n_rows, n_columns).
    directions
        Shape (n_directions, n_columns).
    """
    columns = [
        np.einsum("ij,j->i", np.ascontiguousarray(values), np.ascontiguousarray(direction))
        for direction in directions
    ]
    return np.stack(columns, axis=1) if columns else np.empty((len(values), 0))


def nearest_center(values: FloatArray, centers: FloatArray) -> npt.NDArray[np.int32]:
    """Position of the nearest center of each row (Euclidean), the first of equals.

    Parameters
    ----------
    values
        Finite, shape (n_rows, n_columns).
    centers
        Finite, shape (n_centers, n_columns).

    Notes
    -----
    BLAS finds the candidates within its rounding error; where there are several, their distances
    are summed again row by row.
    """
    labels = np.empty(len(values), dtype=np.int32)
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        labels[block] = _nearest_in_block(values[block], centers)
    return labels


def _nearest_in_block(values: FloatArray, centers: FloatArray) -> npt.NDArray[np.int32]:
    value_norms = np.einsum("ij,ij->i", values, values)
    center_norms = np.einsum("ij,ij->i", centers, centers)
    rough = center_norms[None, :] - 2.0 * (values @ centers.T)
    error = 16.0 * (values.shape[1] + 4) * np.finfo(np.float64).eps
    margin = error * (value_norms + center_norms.max())
    candidates = rough <= (rough.min(axis=1) + margin)[:, None]
    labels: npt.NDArray[np.int32] = candidates.argmax(axis=1).astype(np.int32)
    for row in np.flatnonzero(candidates.sum(axis=1) > 1):
        among = np.flatnonzero(candidates[row])
        squared = ((centers[among] - values[row]) ** 2).sum(axis=1)
        labels[row] = among[squared.argmin()]
    return labels
