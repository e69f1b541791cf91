"""Autoregressive hidden Markov models: each hidden state is a linear law of motion with noise.

In state k a row follows ``x_t = A_k [x_{t-1}, …, x_{t-L}, 1] + N(0, Q_k)``. Fitted by expectation
maximisation with a sticky prior on staying in a state: Fox, Sudderth, Jordan, Willsky, Annals of
Applied Statistics 5 (2011) 1020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.hmm import Chain, Packing, Posterior, pack, posterior

RIDGE = 1e-6
"""Added to the diagonal of the regressors' moments, and the least variance of any noise."""

_LEAST_STEPS = 1e-10
"""Added to every expected number of transitions."""

_BLOCK = 1024


@dataclass(frozen=True)
class Model:
    """A fitted model over k states, d columns and lags L.

    Attributes
    ----------
    chain
        Start and transitions.
    coefficients
        A, shape (k, d, L d + 1); lag 1 first, the constant last.
    noise
        Q, shape (k, d, d).
    """

    chain: Chain
    coefficients: FloatArray
    noise: FloatArray

    def keep(self, states: IntArray) -> Model:
        """The model with some of its states, in the order given."""
        start = self.chain.start[states]
        transitions = self.chain.transitions[np.ix_(states, states)]
        chain = Chain(start / start.sum(), transitions / transitions.sum(axis=1, keepdims=True))
        return Model(chain, self.coefficients[states], self.noise[states])


@dataclass(frozen=True)
class Regression:
    """Rows beside the rows before them.

    Attributes
    ----------
    joint
        ``[x_t, x_{t-1}, …, x_{t-L}, 1]``, shape (n_rows, d (L + 1) + 1).
    d
        Number of columns of a row.
    """

    joint: FloatArray
    d: int

    @property
    def targets(self) -> FloatArray:
        """``x_t``, shape (n_rows, d)."""
        return self.joint[:, : self.d]


@dataclass(frozen=True)
class FitSettings:
    """When to stop, and how strongly states stay.

    Attributes
    ----------
    sticky
        Added to the count of each state's transitions to itself.
    n_iter
        Most iterations.
    tol
        Relative change of the log-likelihood at which the fit ends.
    """

    sticky: float
    n_iter: int
    tol: float


@dataclass(frozen=True)
class Fit:
    """A model and how it was reached.

    Attributes
    ----------
    model
        The model.
    log_likelihood
        Of the data under the model.
    usage
        Share of rows that each state explains, shape (k,).
    n_iter, converged
        Number of iterations, and whether the last one changed little.
    """

    model: Model
    log_likelihood: float
    usage: FloatArray
    n_iter: int
    converged: bool


def regression(sequences: Sequence[FloatArray], lags: int) -> Regression:
    """Rows that have all their lags, sequence after sequence.

    Parameters
    ----------
    sequences
        Each of shape (n_rows, d), with more than ``lags`` rows.
    lags
        Number of earlier rows, at least 1.
    """
    d = sequences[0].shape[1]
    parts = []
    for rows in sequences:
        shifted = [rows[lags - lag : len(rows) - lag] for lag in range(lags + 1)]
        parts.append(np.hstack([*shifted, np.ones((len(rows) - lags, 1))]))
    return Regression(np.concatenate(parts), d)


def log_densities(model: Model, data: Regression) -> FloatArray:
    """Log density of each row in each state, shape (n_rows, k).

    Rounding may depend on the number of rows; rows that must not influence each other, such as
    those of different sequences, are given in calls of their own.

    Parameters
    ----------
    model, data
        The model and the rows.
    """
    k, d = len(model.noise), data.d
    factors = np.linalg.cholesky(model.noise)
    laws = np.concatenate([np.broadcast_to(np.eye(d), (k, d, d)), -model.coefficients], axis=2)
    whiten = np.linalg.solve(factors, laws).reshape(k * d, -1).T.copy()
    logs = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    densities = np.empty((len(data.joint), k))
    for first in range(0, len(data.joint), _BLOCK):
        block = slice(first, first + _BLOCK)
        residuals = (data.joint[block] @ whiten).reshape(-1, k, d)
        densities[block] = np.einsum("nkd,nkd->nk", residuals, residuals)
    densities *= -0.5
    densities -= 0.5 * d * np.log(2 * np.pi) + logs
    return densities


def fit(
    data: Regression,
    lengths: Sequence[int],
    labels: IntArray,
    n_states: int,
    settings: FitSettings,
) -> Fit:
    """Expectation maximisation from a first assignment of rows to states.

    Parameters
    ----------
    data
        The rows.
    lengths
        Number of these rows in each sequence.
    labels
        First state of each row, shape (n_rows,).
    n_states
        Number of states.
    settings
        See :class:`FitSettings`.
    """
    packing = pack(lengths)
    packed = Regression(data.joint[packing.rows], data.d)
    model = _first_model(packed, packing, labels[packing.rows], n_states, settings.sticky)
    seen = posterior(model.chain, log_densities(model, packed), packing)
    converged, done = False, 0
    while done < settings.n_iter and not converged:
        model = _maximise(model, packed, packing, seen, settings.sticky)
        before = seen.log_likelihood
        seen = posterior(model.chain, log_densities(model, packed), packing)
        done += 1
        converged = abs(seen.log_likelihood - before) < settings.tol * abs(before)
    return Fit(model, seen.log_likelihood, seen.states.mean(axis=0), done, converged)


def _first_model(
    data: Regression, packing: Packing, labels: IntArray, n_states: int, sticky: float
) -> Model:
    weights = np.zeros((len(labels), n_states))
    weights[np.arange(len(labels)), labels] = 1.0
    begin = int(packing.starts[1])
    steps = np.zeros((n_states, n_states))
    np.add.at(steps, (labels[packing.earlier], labels[begin:]), 1.0)
    first = np.bincount(labels[:begin], minlength=n_states) + 1.0
    transitions = steps + 1.0 + sticky * np.eye(n_states)
    chain = Chain(first / first.sum(), transitions / transitions.sum(axis=1, keepdims=True))
    n_regressors = data.joint.shape[1] - data.d
    still = np.zeros((data.d, n_regressors))
    still[:, : data.d] = 0.9 * np.eye(data.d)
    model = Model(
        chain, np.tile(still, (n_states, 1, 1)), np.tile(np.eye(data.d), (n_states, 1, 1))
    )
    return _regress(model, data, weights, least=n_regressors + 1)


def _maximise(
    model: Model, data: Regression, packing: Packing, seen: Posterior, sticky: float
) -> Model:
    k = len(model.noise)
    steps = seen.transitions + _LEAST_STEPS + sticky * np.eye(k)
    start = seen.states[: packing.starts[1]].sum(axis=0) + _LEAST_STEPS
    chain = Chain(start / start.sum(), steps / steps.sum(axis=1, keepdims=True))
    # A state that explains less than one row keeps its law.
    return _regress(Model(chain, model.coefficients, model.noise), data, seen.states, least=1.0)


def _regress(model: Model, data: Regression, weights: FloatArray, least: float) -> Model:
    """Weighted least squares of each state that has at least ``least`` rows."""
    moments = _moments(data.joint, weights)
    totals = weights.sum(axis=0)
    d = data.d
    coefficients, noise = model.coefficients.copy(), model.noise.copy()
    for state in np.flatnonzero(totals >= least):
        moment = moments[state]
        regressors = moment[d:, d:] + RIDGE * np.eye(len(moment) - d)
        law = np.linalg.solve(regressors, moment[d:, :d]).T
        coefficients[state] = law
        noise[state] = _floored((moment[:d, :d] - law @ moment[d:, :d]) / totals[state])
    return Model(model.chain, coefficients, noise)


def _moments(joint: FloatArray, weights: FloatArray) -> FloatArray:
    """``sum_t w_t[k] z_t z_tᵀ``, shape (k, n_columns, n_columns)."""
    n_columns = joint.shape[1]
    left, right = np.triu_indices(n_columns)
    sums = np.zeros((weights.shape[1], len(left)))
    for first in range(0, len(joint), _BLOCK):
        rows = joint[first : first + _BLOCK]
        sums += weights[first : first + _BLOCK].T @ (rows[:, left] * rows[:, right])
    moments = np.empty((weights.shape[1], n_columns, n_columns))
    moments[:, left, right] = sums
    moments[:, right, left] = sums
    return moments


def _floored(covariance: FloatArray) -> FloatArray:
    """The symmetric part with no eigenvalue below the floor."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    floored: FloatArray = (vectors * np.maximum(values, RIDGE)) @ vectors.T
    return (floored + floored.T) / 2
