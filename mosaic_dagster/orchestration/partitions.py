"""Entries as Dagster partitions: one dynamic definition per dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from mosaic_dagster.errors import ScopeError
from mosaic_dagster.orchestration.partition_rows import delete_partitions
from mosaic_dagster.orchestration.tags import RANGE_END_TAG, RANGE_START_TAG

PARTITION_TAG = "dagster/partition"
"""Partition of a run over one entry."""

_AT_ONCE = 5000
"""Keys per request: a database allows only so many variables in a statement."""


def entries_definition(dataset: str) -> dg.DynamicPartitionsDefinition:
    """The partition definition that all steps of a dataset share."""
    return dg.DynamicPartitionsDefinition(name=f"{dataset}_entries")


def register_entries(instance: dg.DagsterInstance, dataset: str, keys: Sequence[str]) -> list[str]:
    """Add the keys that the instance does not know yet, in the order given; returns them."""
    name = f"{dataset}_entries"
    known = set(instance.get_dynamic_partitions(name))
    new = [key for key in keys if key not in known]
    for start in range(0, len(new), _AT_ONCE):
        instance.add_dynamic_partitions(name, new[start : start + _AT_ONCE])
    return new


def forget_entries(instance: dg.DagsterInstance, dataset: str, keys: Sequence[str]) -> list[str]:
    """Remove the keys that the dataset does not have any more; returns them."""
    name = f"{dataset}_entries"
    known = set(keys)
    gone = [key for key in instance.get_dynamic_partitions(name) if key not in known]
    delete_partitions(instance, name, gone)
    return gone


def range_tags(instance: dg.DagsterInstance, dataset: str, keys: Sequence[str]) -> dict[str, str]:
    """The tags of the shortest range that holds all keys.

    Ranges follow the order of registration, which is not that of the keys.
    """
    wanted = set(keys)
    registered = [k for k in instance.get_dynamic_partitions(f"{dataset}_entries") if k in wanted]
    return {RANGE_START_TAG: registered[0], RANGE_END_TAG: registered[-1]}


def keys_of_run(
    instance: dg.DagsterInstance, dataset: str, tags: Mapping[str, str]
) -> list[str] | None:
    """Entries that a run's partition tags name; None when it has none.

    Raises
    ------
    ScopeError
        The range names a key that is not registered.
    """
    if PARTITION_TAG in tags:
        return [tags[PARTITION_TAG]]
    if RANGE_START_TAG not in tags:
        return None
    registered = list(instance.get_dynamic_partitions(f"{dataset}_entries"))
    ends = tags[RANGE_START_TAG], tags[RANGE_END_TAG]
    for end in ends:
        if end not in registered:
            msg = f"{end!r} is not a registered entry of {dataset!r}."
            raise ScopeError(msg, "Run the job `refresh` once, which registers new entries.")
    first, last = (registered.index(end) for end in ends)
    return registered[first : last + 1]
