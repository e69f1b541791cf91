"""Partition keys deleted many at once, which Dagster's public interface does one by one.

Of Dagster's internals this module uses the table ``DynamicPartitionsTable`` with its columns
``partitions_def_name`` and ``partition``, and ``index_connection`` of its SQL event logs. Without
them, or on another storage, keys are deleted through the public interface: the same, slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import dagster as dg
from dagster._core.storage.event_log import schema
from sqlalchemy import bindparam

from mosaic_dagster.orchestration.event_log import BatchSqliteEventLogStorage

_TABLE: Any = getattr(schema, "DynamicPartitionsTable", None)
_COLUMNS: Final = ("partitions_def_name", "partition")


def missing_internals() -> list[str]:
    """Names used here that this version of Dagster lacks; empty when all is well."""
    if _TABLE is None:
        return ["DynamicPartitionsTable"]
    return [f"DynamicPartitionsTable.{name}" for name in _COLUMNS if name not in _TABLE.c]


def delete_partitions(instance: dg.DagsterInstance, definition: str, keys: Sequence[str]) -> None:
    """Delete keys of a dynamic partition definition, all or none where the storage allows.

    Parameters
    ----------
    instance
        The Dagster instance.
    definition
        Name of the partition definition.
    keys
        The keys; those that are not there are passed over.
    """
    storage = instance.event_log_storage
    if missing_internals() or not isinstance(storage, BatchSqliteEventLogStorage):
        for key in keys:
            instance.delete_dynamic_partition(definition, key)
    elif keys:
        # One statement that is run with each key: no list of keys could be too long for it.
        gone = _TABLE.delete().where(
            _TABLE.c.partitions_def_name == definition, _TABLE.c.partition == bindparam("gone")
        )
        with storage.index_connection() as conn:
            conn.execute(gone, [{"gone": key} for key in keys])
