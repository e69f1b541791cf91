"""Which recordings are for training and which for testing; no recording is ever cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.sampling import named_generator, smallest
from mosaic_dagster.keys import EntryKey

Split = Literal["train", "test"]
SplitRule = Literal["random", "stratified", "group"]

SPLITS: tuple[Split, ...] = ("train", "test")


def split_entries(
    keys: Sequence[EntryKey],
    counts: IntArray,
    rule: SplitRule | Mapping[str, Split],
    test_fraction: float,
    random_state: int,
) -> list[Split | None]:
    """Split of each entry.

    Parameters
    ----------
    keys
        The entries.
    counts
        Labelled rows of each class, shape (n_entries, n_classes).
    rule
        ``random``: :func:`count_for_testing` of the entries. ``stratified``: as many, chosen so
        that each class has the same share of its rows among them. ``group``: whole groups, as many
        of them as :func:`count_for_testing` says. A mapping gives the split of each entry by the
        text of its key; entries that it does not name have none.
    test_fraction
        Wanted share of the test entries (or groups).
    random_state
        Seed. The lot of an entry or group depends on the seed and its own name alone.
    """
    if isinstance(rule, Mapping):
        return [rule.get(str(key)) for key in keys]
    if rule == "group":
        groups = sorted({key.group for key in keys})
        drawn = _draw([f"group {group}" for group in groups], test_fraction, random_state)
        tested = {groups[i] for i in np.flatnonzero(drawn)}
        return ["test" if key.group in tested else "train" for key in keys]
    names = [str(key) for key in keys]
    if rule == "random":
        chosen = _draw(names, test_fraction, random_state)
    else:
        chosen = _stratify(
            counts, count_for_testing(len(keys), test_fraction), _lots(names, random_state)
        )
    return ["test" if tested else "train" for tested in chosen]


def count_for_testing(n: int, fraction: float) -> int:
    """How many of n are for testing: at least one and not all, unless the fraction is 0 or 1.

    Of one, none is.
    """
    if fraction <= 0 or n <= 1:
        return 0
    if fraction >= 1:
        return n
    return min(max(round(fraction * n), 1), n - 1)


def _lots(names: Sequence[str], random_state: int) -> FloatArray:
    return np.array([named_generator(random_state, name).random() for name in names])


def _draw(names: Sequence[str], fraction: float, random_state: int) -> BoolArray:
    chosen = np.zeros(len(names), dtype=np.bool_)
    chosen[smallest(_lots(names, random_state), count_for_testing(len(names), fraction))] = True
    return chosen


def _stratify(counts: IntArray, n_test: int, lots: FloatArray) -> BoolArray:
    """Add the entry that brings the shares of all classes closest to the wanted ones, n_test times.

    Closest is the smallest sum over classes of squared differences of shares; among equals the
    smallest lot.
    """
    shares = counts / counts.sum(axis=0)
    wanted = n_test / max(1, len(counts))
    chosen = np.zeros(len(counts), dtype=np.bool_)
    order = np.argsort(lots, kind="stable")
    for _ in range(n_test):
        reached = shares[chosen].sum(axis=0)
        distance = ((reached + shares - wanted) ** 2).sum(axis=1)
        distance[chosen] = np.inf
        # Equal up to rounding counts as equal.
        best = distance[order] <= distance.min() * (1 + 1e-9) + 1e-12
        chosen[order[best.argmax()]] = True
    return chosen
