"""Autoregressive states: a law that is off explains no movement."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.features.kernels.arhmm import (
    RIDGE,
    FitSettings,
    Model,
    fit,
    log_densities,
    regression,
)
from mosaic_dagster.features.kernels.hmm import Chain

ONE = Chain(np.ones(1), np.ones((1, 1)))


def test_rows_stand_beside_their_lags():
    """Lag 2 of 1 2 3 4: rows (3 | 2 1 | 1) and (4 | 3 2 | 1); sequences do not mix."""
    runs = [np.arange(1.0, 5.0)[:, None], np.array([[7.0], [8.0], [9.0]])]
    data = regression(runs, 2)
    assert data.joint.tolist() == [[3, 2, 1, 1], [4, 3, 2, 1], [9, 8, 7, 1]]
    assert data.targets.tolist() == [[3], [4], [9]]


def test_the_density_is_that_of_the_normal_distribution():
    """x_t = 0.5 x_{t-1} + 1 with variance 4: from 2 to 6 the residual is 4, so z = 2."""
    model = Model(ONE, np.array([[[0.5, 1.0]]]), np.array([[[4.0]]]))
    data = regression([np.array([[2.0], [6.0]])], 1)
    expected = -0.5 * (np.log(2 * np.pi) + np.log(4.0) + 2.0**2)
    np.testing.assert_allclose(log_densities(model, data), [[expected]])


def test_correlated_noise_is_whitened():
    """Against the inverse and the determinant written out."""
    noise = np.array([[2.0, 0.6], [0.6, 1.0]])
    model = Model(ONE, np.zeros((1, 2, 3)), noise[None])
    row = np.array([0.7, -1.2])
    quadratic = row @ np.linalg.inv(noise) @ row
    expected = -0.5 * (2 * np.log(2 * np.pi) + np.log(np.linalg.det(noise)) + quadratic)
    data = regression([np.array([[9.0, 9.0], row])], 1)
    np.testing.assert_allclose(log_densities(model, data), [[expected]])


def test_one_state_is_least_squares():
    """x = 0, 1, 1.5, 1.75, … follows x_t = 0.5 x_{t-1} + 1 without noise, so Q is the floor."""
    x = 2 - 2.0 * 0.5 ** np.arange(12)
    data = regression([x[:, None]], 1)
    found = fit(data, [11], np.zeros(11, dtype=np.int64), 1, FitSettings(0.0, 3, 0.0))
    np.testing.assert_allclose(found.model.coefficients, [[[0.5, 1.0]]], atol=1e-5)
    np.testing.assert_allclose(found.model.noise, [[[RIDGE]]], rtol=1e-6)
    assert (found.n_iter, found.converged) == (3, False)
    assert found.usage.tolist() == [1.0]


def two_laws() -> tuple[np.ndarray, np.ndarray]:
    """A spiral to the right and one to the left, in turn for 40 rows each."""
    rng = np.random.default_rng(0)
    turn = np.array([[0.95, 0.3], [-0.3, 0.95]])
    states = np.repeat(np.arange(8) % 2, 40)
    rows = np.ones((len(states), 2))
    for time in range(1, len(states)):
        law = turn if states[time] else turn.T
        rows[time] = law @ rows[time - 1] + 0.02 * rng.normal(size=2)
    return rows, states[1:]


@pytest.mark.parametrize("rounds", [1, 5])
def test_iterations_raise_the_likelihood(rounds):
    rows, states = two_laws()
    data = regression([rows], 1)
    labels = np.where(np.arange(len(states)) % 7 == 0, 1 - states, states)
    before = fit(data, [len(labels)], labels, 2, FitSettings(0.0, rounds - 1, 0.0))
    after = fit(data, [len(labels)], labels, 2, FitSettings(0.0, rounds, 0.0))
    assert after.log_likelihood > before.log_likelihood - 1e-3


def test_two_laws_are_told_apart():
    rows, states = two_laws()
    data = regression([rows], 1)
    labels = np.where(np.arange(len(states)) % 7 == 0, 1 - states, states)
    found = fit(data, [len(labels)], labels, 2, FitSettings(10.0, 50, 1e-6))
    assert found.converged
    turn = found.model.coefficients[:, 0, 1]
    np.testing.assert_allclose(turn, [-0.3, 0.3], atol=0.02)
    np.testing.assert_allclose(found.usage, [0.5, 0.5], atol=0.02)


def test_stickiness_counts_as_that_many_steps_in_place():
    """One state's rows in order 0 0 1: start and steps of the first model with +1 and +sticky.

    Steps 0-0 and 0-1 give counts [[1+1+8, 1+1], [1, 1+8]]: rows 10/12, 2/12 and 1/10, 9/10.
    """
    data = regression([np.array([[0.0], [1.0], [2.0], [3.0]])], 1)
    found = fit(data, [3], np.array([0, 0, 1]), 2, FitSettings(8.0, 0, 0.0))
    np.testing.assert_allclose(found.model.chain.transitions, [[10 / 12, 2 / 12], [0.1, 0.9]])
    np.testing.assert_allclose(found.model.chain.start, [2 / 3, 1 / 3])


def test_states_with_too_few_rows_begin_as_slow_decay():
    """Two regressors need three rows; state 0 has two: A = 0.9 without constant, Q = 1."""
    data = regression([np.array([[0.0], [1.0], [2.0], [3.0]])], 1)
    found = fit(data, [3], np.array([0, 0, 1]), 2, FitSettings(8.0, 0, 0.0))
    np.testing.assert_allclose(found.model.coefficients, [[[0.9, 0.0]]] * 2)
    np.testing.assert_allclose(found.model.noise, [[[1.0]]] * 2)


def test_keeping_some_states_leaves_probabilities():
    """Of (0.5, 0.3, 0.2) the third and first are 2/7 and 5/7; rows of transitions likewise."""
    chain = Chain(
        np.array([0.5, 0.3, 0.2]), np.array([[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3]])
    )
    model = Model(chain, np.arange(6.0).reshape(3, 1, 2), np.ones((3, 1, 1)))
    kept = model.keep(np.array([2, 0]))
    np.testing.assert_allclose(kept.chain.start, [2 / 7, 5 / 7])
    np.testing.assert_allclose(kept.chain.transitions, [[0.5, 0.5], [0.25, 0.75]])
    assert kept.coefficients.tolist() == [[[4, 5]], [[0, 1]]]
