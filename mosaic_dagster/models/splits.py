"""Which recordings a model learns from, and which it is tried on.

A recording is never cut: neighbouring frames say nearly the same, so a model that has seen one
half of a recording would be flattered by the other. All functions take entry keys and give entry
keys, sorted; equal arguments give equal splits, in whatever order the keys come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import FitError, ParamsError, ScopeError
from mosaic_dagster.keys import EntryKey

By = Literal["entry", "group", "stratified"]
"""What stays together: a recording, a whole group; stratified deals out recordings by class."""

ClassCounts = Mapping[EntryKey, Mapping[int, int]]
"""Number of labelled rows by class, of each recording."""


@dataclass(frozen=True)
class Fold:
    """One division of recordings.

    Attributes
    ----------
    number
        Number of the fold, from 0.
    train, test
        Recordings, sorted; no recording is in both, and both have at least one.
    """

    number: int
    train: tuple[EntryKey, ...]
    test: tuple[EntryKey, ...]

    def __post_init__(self) -> None:
        for name in ("train", "test"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name))))
            if not getattr(self, name):
                msg = f"Fold {self.number} has no recording to {name} on."
                raise FitError(msg, "Give more recordings, fewer folds or another split.")
        if both := set(self.train) & set(self.test):
            msg = f"Fold {self.number} has {min(both)} among its training and test recordings."
            raise ParamsError(msg, "Put each recording in one of them.")

    @property
    def name(self) -> str:
        """Name under which scores of the fold are kept."""
        return f"fold_{self.number}"


def k_folds(
    keys: Iterable[EntryKey],
    n_folds: int = 5,
    by: By = "entry",
    *,
    counts: ClassCounts | None = None,
    random_state: int = 42,
) -> tuple[Fold, ...]:
    """Folds in which every recording is tried once, by a model that has not seen it.

    Parameters
    ----------
    keys
        The recordings.
    n_folds
        Number of folds, at least 2.
    by
        ``entry`` deals out shuffled recordings; ``group`` whole groups, the largest first, each
        to the fold with the fewest recordings; ``stratified`` recordings so that each fold gets
        about the same share of every class, see :func:`stratified_parts`.
    counts
        Rows by class of each recording, for ``stratified``.
    random_state
        Seed of the shuffling; ``stratified`` needs none.

    Raises
    ------
    FitError
        There are fewer recordings (or groups) than folds.
    ParamsError
        ``n_folds`` is no whole number from 2, ``by`` is unknown, or ``counts`` are missing.
    """
    check_n_folds(n_folds)
    ordered = _sorted_once(keys)
    parts = _parts(ordered, [1.0] * n_folds, by, counts, random_state)
    return tuple(
        Fold(number, tuple(key for key in ordered if key not in set(part)), tuple(part))
        for number, part in enumerate(parts)
    )


def train_test_split(
    keys: Iterable[EntryKey],
    test_fraction: float = 0.2,
    by: By = "entry",
    *,
    counts: ClassCounts | None = None,
    random_state: int = 42,
) -> Fold:
    """One division of whole recordings.

    Parameters
    ----------
    keys
        The recordings.
    test_fraction
        Share of the recordings to be tried on, above 0 and below 1; at least one is, and at
        least one is left.
    by, counts, random_state
        As for :func:`k_folds`.

    Raises
    ------
    FitError
        There are fewer than two recordings (or groups).
    ParamsError
        The share is not between 0 and 1, ``by`` is unknown, or ``counts`` are missing.
    """
    if not 0.0 < test_fraction < 1.0:
        msg = f"test_fraction is {test_fraction}."
        raise ParamsError(msg, "Give a share above 0 and below 1.")
    ordered = _sorted_once(keys)
    shares = [1.0 - test_fraction, test_fraction]
    train, test = _parts(ordered, shares, by, counts, random_state)
    return Fold(0, tuple(train), tuple(test))


def explicit_folds(
    keys: Iterable[EntryKey], assignment: Mapping[str, str] | Mapping[str, int]
) -> tuple[Fold, ...]:
    """Folds as somebody wrote them down.

    Parameters
    ----------
    keys
        The recordings.
    assignment
        By ``group/sequence`` either ``train`` or ``test``, which makes one fold, or the number of
        the fold in which it is tried. Every recording has to be there.

    Raises
    ------
    ScopeError
        A recording is named that is not there, or one is not named.
    ParamsError
        It is no mapping, a value is something else, or both kinds are used.
    FitError
        A fold has no recording to learn from, or none to be tried on.
    """
    _check_mapping(assignment)
    ordered = _sorted_once(keys)
    named = {str(key): key for key in ordered}
    _check_named(list(assignment), named)
    parts: dict[Any, list[EntryKey]] = {}
    for text, key in named.items():
        part: Any = assignment[text]
        # What has no hash is no part either, and is refused below by what it looks like.
        parts.setdefault(part if isinstance(part, str | int) else repr(part), []).append(key)
    if set(parts) <= {"train", "test"}:
        return (Fold(0, tuple(parts.get("train", ())), tuple(parts.get("test", ()))),)
    wrong = [part for part in parts if isinstance(part, bool) or not isinstance(part, int)]
    if wrong:
        msg = f"A recording is assigned to {wrong[0]!r}."
        raise ParamsError(msg, "Use 'train' and 'test', or a whole number for every recording.")
    return tuple(
        Fold(number, tuple(key for key in ordered if key not in set(parts[part])), tuple(test))
        for number, (part, test) in enumerate(sorted(parts.items()))
    )


def check_n_folds(n_folds: object) -> None:
    """Refuse what is no number of folds.

    Raises
    ------
    ParamsError
        It is no whole number, or below 2.
    """
    if isinstance(n_folds, bool) or not isinstance(n_folds, int) or n_folds < 2:
        msg = f"n_folds is {n_folds!r}."
        raise ParamsError(msg, "Give a whole number from 2, to learn from one and try on another.")


def stratified_parts(
    keys: Sequence[EntryKey], shares: Sequence[float], counts: ClassCounts
) -> list[list[EntryKey]]:
    """Deal out recordings so that each part has about its share of every class.

    Greedy: recordings come in the order of the largest share that they hold of any class, the
    largest first; each goes to the part for which Σ over parts and classes of load² / share grows
    least, load being the part's share of the class. Ties go to the part with the fewest
    recordings, then to the first. No part stays empty.

    Parameters
    ----------
    keys
        The recordings; those without labelled rows only even out the numbers.
    shares
        Wanted share of each part; they need not sum to 1.
    counts
        Rows by class of each recording.

    Raises
    ------
    FitError
        There are fewer recordings than parts.
    """
    _check_enough(len(keys), len(shares), "recordings")
    classes = sorted({name for key in keys for name in counts.get(key, {})})
    held = np.array([[counts.get(key, {}).get(c, 0) for c in classes] for key in keys], float)
    held = held.reshape(len(keys), len(classes))
    totals = held.sum(axis=0)
    held = held[:, totals > 0] / totals[totals > 0]
    wanted = np.asarray(shares, float) / np.sum(shares)
    loads = np.zeros((len(shares), held.shape[1]))
    parts: list[list[EntryKey]] = [[] for _ in shares]
    largest = held.max(axis=1, initial=0.0)
    order = sorted(range(len(keys)), key=lambda row: (-largest[row], keys[row]))
    for left, row in zip(range(len(order), 0, -1), order, strict=True):
        empty = [number for number, part in enumerate(parts) if not part]
        allowed = empty if len(empty) == left else range(len(parts))
        grows = ((2 * loads * held[row] + held[row] ** 2) / wanted[:, None]).sum(axis=1)
        # Rounding would otherwise decide between parts that are equally good.
        chosen = min(
            allowed, key=lambda n: (round(float(grows[n]), 12), len(parts[n]) / wanted[n], n)
        )
        parts[chosen].append(keys[row])
        loads[chosen] += held[row]
    return [sorted(part) for part in parts]


def _parts(
    keys: list[EntryKey],
    shares: Sequence[float],
    by: By,
    counts: ClassCounts | None,
    random_state: int,
) -> list[list[EntryKey]]:
    match by:
        case "entry":
            units = [[key] for key in _shuffled(keys, random_state)]
        case "group":
            groups: dict[str, list[EntryKey]] = {}
            for key in keys:
                groups.setdefault(key.group, []).append(key)
            units = sorted(_shuffled(list(groups.values()), random_state), key=len, reverse=True)
        case "stratified":
            if counts is None:
                msg = "A stratified split was asked for without class counts."
                raise ParamsError(msg, "Give counts, or split by 'entry' or 'group'.")
            return stratified_parts(keys, shares, counts)
        case _:
            msg = f"Recordings cannot be split by {by!r}."
            raise ParamsError(msg, "Use 'entry', 'group' or 'stratified'.")
    _check_enough(len(units), len(shares), "groups" if by == "group" else "recordings")
    return _dealt(units, shares)


def _dealt(units: Sequence[list[EntryKey]], shares: Sequence[float]) -> list[list[EntryKey]]:
    """Give each unit to the part that has least of what it should have; none stays empty."""
    wanted = np.asarray(shares, float) / np.sum(shares) * sum(len(unit) for unit in units)
    parts: list[list[EntryKey]] = [[] for _ in shares]
    for left, unit in zip(range(len(units), 0, -1), units, strict=True):
        empty = [number for number, part in enumerate(parts) if not part]
        allowed = empty if len(empty) == left else range(len(parts))
        fill = [
            (len(part) + len(unit) / 2) / want for part, want in zip(parts, wanted, strict=True)
        ]
        parts[min(allowed, key=lambda n: (round(fill[n], 12), n))].extend(unit)
    return [sorted(part) for part in parts]


def _shuffled(items: list[Any], random_state: int) -> list[Any]:
    order = np.random.default_rng(random_state).permutation(len(items))
    return [items[place] for place in order]


def _sorted_once(keys: Iterable[EntryKey]) -> list[EntryKey]:
    ordered = sorted(keys)
    for first, second in pairwise(ordered):
        if first == second:
            msg = f"The recording {first} is given twice."
            raise ParamsError(msg, "Give each recording once.")
    return ordered


def _check_enough(units: int, parts: int, what: str) -> None:
    if units < parts:
        msg = f"{units} labelled {what} cannot be divided into {parts} parts."
        raise FitError(msg, "Label more, or ask for fewer folds; no recording is ever cut.")


def _check_mapping(assignment: object) -> None:
    if not isinstance(assignment, Mapping) or any(not isinstance(k, str) for k in assignment):
        msg = f"The split is {str(assignment)[:80]!r}."
        remedy = "Give a mapping of texts, such as {'group/one': 'train', 'group/two': 'test'}."
        raise ParamsError(msg, remedy)


def _check_named(given: Sequence[str], named: Mapping[str, EntryKey]) -> None:
    unknown = [text for text in given if text not in named]
    if unknown:
        msg = f"The split names {unknown[0]!r}, which is none of the labelled recordings."
        raise ScopeError(msg, nearest(unknown[0], named) or "Keys are group/sequence.")
    missing = [text for text in named if text not in given]
    if missing:
        msg = f"The split does not name {missing[0]!r} ({len(missing)} in all)."
        raise ScopeError(msg, "Assign every labelled recording.")
