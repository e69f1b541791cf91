"""Find recordings by name, and labels by frame or individual."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import polars as pl

from mosaic_dagster.dataset.dataset import Dataset
from mosaic_dagster.dataset.label_reading import BEHAVIOR
from mosaic_dagster.dataset.labels.behavior import Labels
from mosaic_dagster.errors import LabelsError, ScopeError
from mosaic_dagster.keys import EntryKey

LEVELS = "__"
"""Separates the levels of a name, such as ``cohort1__day2__mouse3``."""

Match = Literal["contains", "startswith", "endswith"]


def list_groups(dataset: Dataset) -> list[str]:
    """Groups of a dataset, sorted."""
    return sorted({key.group for key in dataset.entries()})


def list_sequences(dataset: Dataset, group: str | None = None) -> list[str]:
    """Sequences of a group, or of all, sorted and without repeats."""
    return sorted({key.sequence for key in dataset.entries() if group in (None, key.group)})


def query_entries(
    dataset: Dataset, text: str, match: Match = "contains", within: str = "sequence"
) -> list[EntryKey]:
    """Entries whose group or sequence has a text in it.

    Parameters
    ----------
    dataset
        The dataset.
    text
        The text; upper and lower case differ.
    match
        Where in the name it must be.
    within
        ``sequence`` or ``group``.

    Raises
    ------
    ScopeError
        ``match`` or ``within`` is another word.
    """
    tests = {"contains": str.__contains__, "startswith": str.startswith, "endswith": str.endswith}
    if match not in tests or within not in ("group", "sequence"):
        msg = f"Entries cannot be found by match={match!r}, within={within!r}."
        raise ScopeError(msg, f"match is {', '.join(tests)}; within is group or sequence.")
    return [key for key in dataset.entries() if tests[match](getattr(key, within), text)]


def name_tree(names: Iterable[str]) -> dict[str, object]:
    """Names as a tree of their levels.

    Examples
    --------
    >>> name_tree(["c1__m1", "c1__m2", "c2"])
    {'c1': {'m1': {}, 'm2': {}}, 'c2': {}}
    """
    tree: dict[str, object] = {}
    for name in names:
        branch = tree
        for level in name.split(LEVELS):
            branch = branch.setdefault(level, {})  # type: ignore[assignment]
    return tree


def get_label_map(dataset: Dataset, key: EntryKey, kind: str = BEHAVIOR) -> dict[int, str]:
    """Name of each class of an entry's labels by its number."""
    return _behavior(dataset, key, kind).label_map


def get_labels_for_individual(
    dataset: Dataset,
    key: EntryKey,
    individual: int,
    frame_range: tuple[int, int] | None = None,
    kind: str = BEHAVIOR,
) -> pl.DataFrame:
    """Events of an individual; see :meth:`~mosaic_dagster.dataset.labels.Labels.of_individual`."""
    return _behavior(dataset, key, kind).of_individual(individual, frame_range)


def get_labels_at_frame(
    dataset: Dataset, key: EntryKey, frame: int, kind: str = BEHAVIOR
) -> pl.DataFrame:
    """Events of one frame of an entry."""
    return _behavior(dataset, key, kind).at_frame(frame)


def _behavior(dataset: Dataset, key: EntryKey, kind: str) -> Labels:
    found = dataset.labels(key, kind)
    if not isinstance(found, Labels):
        msg = f"The labels of kind {kind!r} are tags of individuals."
        raise LabelsError(msg, "Use load_id_labels.")
    return found
