"""Hidden Markov models over many sequences at once: posteriors, and the likeliest states.

The rows of all sequences are *packed*: sequences sorted by falling length, then all first rows,
all second rows and so on. One step of time is then one block of rows, without padding, and the
sequences that still run are the first rows of the block before it.

A message is held as its shape, which sums to one, and the logarithm of its size, so that neither
long sequences nor far-off rows underflow. Rabiner, Proceedings of the IEEE 77 (1989) 257.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray

States = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Packing:
    """Where the rows of sequences lie, packed by time.

    Attributes
    ----------
    rows
        Row, in the sequences laid end to end, of each packed row, shape (n_rows,).
    starts
        First packed row of each time, and the number of rows, shape (longest + 1,).
    """

    rows: IntArray
    starts: IntArray

    @property
    def counts(self) -> IntArray:
        """Number of sequences that run at each time, falling."""
        return np.diff(self.starts)

    @property
    def earlier(self) -> IntArray:
        """Packed row before each packed row of the second time and later."""
        if len(self.starts) < 2:
            return np.empty(0, dtype=np.int64)
        later = np.arange(self.starts[1], self.starts[-1])
        return later - np.repeat(self.counts[:-1], self.counts[1:])

    def unpack(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of packed rows in the order of the sequences laid end to end."""
        unpacked = np.empty_like(values)
        unpacked[self.rows] = values
        return unpacked


def pack(lengths: Sequence[int]) -> Packing:
    """Packing of sequences, each of at least one row.

    Parameters
    ----------
    lengths
        Number of rows of each sequence.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if not len(sizes):
        return Packing(np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
    firsts = np.cumsum(sizes) - sizes
    order = np.argsort(-sizes, kind="stable")
    sequence = np.repeat(np.arange(len(order)), sizes[order])
    time = np.concatenate([np.arange(size) for size in sizes[order]])
    by_time = np.lexsort((sequence, time))
    rows = firsts[order][sequence[by_time]] + time[by_time]
    counts = np.bincount(time)
    return Packing(rows, np.concatenate([[0], np.cumsum(counts)]))


@dataclass(frozen=True)
class Chain:
    """A Markov chain over k states.

    Attributes
    ----------
    start
        Probability of each state at the start, shape (k,); positive.
    transitions
        Probability of going from row to column, shape (k, k); positive.
    """

    start: FloatArray
    transitions: FloatArray


@dataclass(frozen=True)
class Posterior:
    """What the data say about the states.

    Attributes
    ----------
    states
        Probability of each state in each packed row, shape (n_rows, k).
    transitions
        Expected number of steps from row to column, shape (k, k).
    log_likelihood
        Of all sequences together.
    """

    states: FloatArray
    transitions: FloatArray
    log_likelihood: float


def posterior(chain: Chain, log_emissions: FloatArray, packing: Packing) -> Posterior:
    """Forward-backward over all sequences.

    Parameters
    ----------
    chain
        The chain.
    log_emissions
        Log density of each packed row in each state, shape (n_rows, k); finite.
    packing
        How the rows are packed.
    """
    peak = log_emissions.max(axis=1)
    density = np.exp(log_emissions - peak[:, None])
    forward, norms = _forward(chain, density, packing)
    backward = np.ones_like(density)
    # Density times backward message over normaliser: what a row tells the row before it.
    told = density / norms[:, None]
    counts, starts = packing.counts.tolist(), packing.starts.tolist()
    onward = chain.transitions.T.copy()
    for time in range(len(counts) - 1, 0, -1):
        here = told[starts[time] : starts[time + 1]]
        here *= backward[starts[time] : starts[time + 1]]
        np.matmul(here, onward, out=backward[starts[time - 1] : starts[time - 1] + counts[time]])
    first = starts[1] if counts else 0
    steps = chain.transitions * (forward[packing.earlier].T @ told[first:])
    return Posterior(forward * backward, steps, float(np.log(norms).sum() + peak.sum()))


def _forward(chain: Chain, density: FloatArray, packing: Packing) -> tuple[FloatArray, FloatArray]:
    forward = np.empty_like(density)
    norms = np.empty(len(density))
    counts, starts = packing.counts.tolist(), packing.starts.tolist()
    for time, count in enumerate(counts):
        here = slice(starts[time], starts[time + 1])
        message = forward[here]
        if time:
            before = forward[starts[time - 1] : starts[time - 1] + count]
            np.matmul(before, chain.transitions, out=message)
            message *= density[here]
        else:
            np.multiply(chain.start, density[here], out=message)
        norm = np.add.reduce(message, axis=1)
        norms[here] = norm
        message /= norm[:, None]
    return forward, norms


def likeliest_states(chain: Chain, log_emissions: FloatArray, packing: Packing) -> States:
    """The states that are likeliest together in each sequence (Viterbi), per packed row.

    Parameters
    ----------
    chain, log_emissions, packing
        As for :func:`posterior`. Of equally likely ways the one through lower states is taken.
    """
    counts, starts = packing.counts.tolist(), packing.starts.tolist()
    come_from = np.zeros(log_emissions.shape, dtype=np.int32)
    ends = np.zeros(len(log_emissions), dtype=np.int32)
    # Row: the state gone to, so that the maximum runs along memory.
    into = np.log(chain.transitions).T.copy()
    best = np.log(chain.start) + log_emissions[: starts[1] if counts else 0]
    for time in range(1, len(counts)):
        here = slice(starts[time], starts[time + 1])
        ends[starts[time - 1] : starts[time]] = best.argmax(axis=1)
        through = best[: counts[time], None, :] + into
        come_from[here] = through.argmax(axis=2)
        best = through.max(axis=2) + log_emissions[here]
    if counts:
        ends[starts[-2] :] = best.argmax(axis=1)
    for time in range(len(counts) - 1, 0, -1):
        rows = np.arange(starts[time], starts[time + 1])
        before = slice(starts[time - 1], starts[time - 1] + counts[time])
        ends[before] = come_from[rows, ends[rows]]
    return ends
