"""Hidden Markov models: wrong posteriors fit a wrong model, wrong paths tell wrong syllables."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.hmm import Chain, likeliest_states, pack, posterior


def random_chain(rng: np.random.Generator, k: int) -> Chain:
    return Chain(rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), size=k))


def log_of_path(chain: Chain, emissions: np.ndarray, path: tuple[int, ...]) -> float:
    total = np.log(chain.start[path[0]]) + emissions[0, path[0]]
    for time in range(1, len(path)):
        total += np.log(chain.transitions[path[time - 1], path[time]]) + emissions[time, path[time]]
    return float(total)


def by_enumeration(chain: Chain, sequences: list[np.ndarray]):
    """Posteriors, transitions, log-likelihood and best path from every path there is."""
    k = len(chain.start)
    states, best, steps, total = [], [], np.zeros((k, k)), 0.0
    for emissions in sequences:
        paths = list(product(range(k), repeat=len(emissions)))
        logs = np.array([log_of_path(chain, emissions, path) for path in paths])
        likelihood = np.logaddexp.reduce(logs)
        shares = np.zeros((len(emissions), k))
        for path, weight in zip(paths, np.exp(logs - likelihood), strict=True):
            shares[np.arange(len(path)), path] += weight
            for a, b in pairwise(path):
                steps[a, b] += weight
        states.append(shares)
        best.append(paths[int(logs.argmax())])
        total += likelihood
    return np.concatenate(states), steps, total, np.concatenate(best)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 3))
def test_posteriors_and_paths_are_those_of_every_possible_path(lengths, k):
    rng = np.random.default_rng([*lengths, k])
    chain = random_chain(rng, k)
    sequences = [3 * rng.normal(size=(n, k)) for n in lengths]
    packing = pack(lengths)
    emissions = np.concatenate(sequences)[packing.rows]
    states, steps, likelihood, best = by_enumeration(chain, sequences)
    seen = posterior(chain, emissions, packing)
    np.testing.assert_allclose(packing.unpack(seen.states), states, atol=1e-12)
    np.testing.assert_allclose(seen.transitions, steps, atol=1e-12)
    np.testing.assert_allclose(seen.log_likelihood, likelihood, rtol=1e-12)
    found = packing.unpack(likeliest_states(chain, emissions, packing))
    np.testing.assert_array_equal(found, best)


def test_packed_rows_go_by_time_with_the_longest_sequence_first():
    """Lengths 1, 3, 2 laid end to end are rows 0 | 1 2 3 | 4 5."""
    packing = pack([1, 3, 2])
    assert packing.rows.tolist() == [1, 4, 0, 2, 5, 3]
    assert packing.starts.tolist() == [0, 3, 5, 6]
    assert packing.earlier.tolist() == [0, 1, 3]
    assert packing.unpack(packing.rows).tolist() == list(range(6))


def test_rows_that_fit_no_state_do_not_break_the_numbers():
    """Densities of e^-100000 and a jump that the chain all but forbids."""
    chain = Chain(np.array([1 - 1e-17, 1e-17]), np.array([[1 - 1e-17, 1e-17], [0.5, 0.5]]))
    emissions = np.array([[-1e5, -3e5], [-4e5, -1e5], [-1e5, -1e5]])
    packing = pack([3])
    seen = posterior(chain, emissions, packing)
    np.testing.assert_allclose(seen.states[:2], [[1, 0], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(seen.states[2], [0.5, 0.5])
    np.testing.assert_allclose(seen.log_likelihood, -3e5 + np.log(1e-17), rtol=1e-12)
    assert likeliest_states(chain, emissions, packing).tolist() == [0, 1, 0]


def test_a_long_sequence_does_not_underflow():
    """10,000 rows that say nothing: the log-likelihood is their sum of -50."""
    chain = Chain(np.full(2, 0.5), np.full((2, 2), 0.5))
    seen = posterior(chain, np.full((10_000, 2), -50.0), pack([10_000]))
    np.testing.assert_allclose(seen.log_likelihood, -500_000)
    np.testing.assert_allclose(seen.states, 0.5)


def test_a_run_is_decoded_the_same_beside_others():
    rng = np.random.default_rng(4)
    chain = random_chain(rng, 4)
    lengths = [30, 7, 50]
    emissions = rng.normal(size=(sum(lengths), 4))
    packing = pack(lengths)
    together = packing.unpack(likeliest_states(chain, emissions[packing.rows], packing))
    alone = likeliest_states(chain, emissions[30:37], pack([7]))
    np.testing.assert_array_equal(together[30:37], alone)


@pytest.mark.parametrize("lengths", [[], [1]])
def test_nothing_and_one_row_are_defined(lengths):
    chain = Chain(np.array([0.25, 0.75]), np.full((2, 2), 0.5))
    emissions = np.zeros((len(lengths), 2))
    seen = posterior(chain, emissions, pack(lengths))
    assert seen.states.tolist() == [[0.25, 0.75]] * len(lengths)
    assert not seen.transitions.any()
    assert likeliest_states(chain, emissions, pack(lengths)).tolist() == [1] * len(lengths)
