"""Products in which a row's result depends on that row alone, to the last bit.

A matrix product from BLAS may round a row differently when other rows stand beside it or when
another number of threads works on it. Results that are stored by digest must not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mosaic_dagster.features.kernels.arrays import FloatArray

_BLOCK = 2048
_LANES = 64
"""Rows are worked on in multiples of this, so that none is the odd one at the end of a loop."""


def project(values: FloatArray, directions: FloatArray) -> FloatArray:
    """``values @ directions.T``, shape (n_rows, n_directions); NaN rows give NaN.

    Parameters
    ----------
    values
        Shape (n_rows, n_columns).
    directions
        Shape (n_directions, n_columns).
    """
    return np.ascontiguousarray(project_columns(values.T, directions).T)


def project_columns(columns: FloatArray, directions: FloatArray) -> FloatArray:
    """``directions @ columns``, shape (n_directions, n_rows); NaN rows give NaN.

    Parameters
    ----------
    columns
        Shape (n_columns, n_rows).
    directions
        Shape (n_directions, n_columns).

    Notes
    -----
    The innermost loop runs over rows, and adds one product to each: the terms of a row are summed
    in the order of the columns, wherever the row stands.
    """
    n_rows = columns.shape[1]
    directions = np.ascontiguousarray(directions)
    scores = np.empty((len(directions), n_rows))
    padded = np.zeros((len(columns), min(_BLOCK, -(-n_rows // _LANES) * _LANES)))
    for start in range(0, n_rows, _BLOCK):
        block = columns[:, start : start + _BLOCK]
        n_block = block.shape[1]
        padded[:, :n_block] = block
        used = padded[:, : -(-n_block // _LANES) * _LANES]
        products = np.einsum("ji,kj->ki", used, directions, optimize=False)
        scores[:, start : start + _BLOCK] = products[:, :n_block]
    return scores


def project_to_float32(
    columns: FloatArray, directions: FloatArray, origin: FloatArray
) -> npt.NDArray[np.float32]:
    """``directions @ columns - origin`` rounded to float32, shape (n_directions, n_rows).

    Parameters
    ----------
    columns
        Finite, shape (n_columns, n_rows); some thousand rows at a time are fastest.
    directions
        Finite, shape (n_directions, n_columns).
    origin
        Finite, shape (n_directions,).

    Notes
    -----
    BLAS is exact enough for float32, but where its rounding error reaches the middle between two
    float32 numbers; these rows are summed again as in :func:`project_columns`.
    """
    shift = origin[:, None]
    rough = directions @ columns - shift
    largest = max(columns.max(initial=0.0), -columns.min(initial=0.0))
    reach = np.abs(directions).sum(axis=1, keepdims=True) * largest + np.abs(shift)
    margin = 4.0 * (len(columns) + 2) * np.finfo(np.float64).eps * reach
    scores: npt.NDArray[np.float32] = (rough - margin).astype(np.float32)
    unsure = np.flatnonzero((scores != (rough + margin).astype(np.float32)).any(axis=0))
    if len(unsure):
        scores[:, unsure] = project_columns(columns[:, unsure], directions) - shift
    return scores
