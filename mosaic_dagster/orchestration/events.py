"""How a step tells Dagster which entries it made: one materialization per good entry.

There are two ways, chosen by :func:`event_mode`.

``batch``
    :class:`BatchEventWriter` makes the events and hands them to the event log storage in slices,
    about 0.2 ms per event, and Dagster's own asset events are switched off on the output
    (:data:`OWN_EVENTS`). It holds for a run over one partition, a range or a selection alike.
    Of Dagster's internals it uses the metadata key
    ``SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION`` and the classes ``StepMaterializationData``
    and ``AssetMaterializationPlannedData``, besides building ``DagsterEvent`` and
    ``EventLogEntry``, which are exported but not meant to be built by others, and the methods
    ``store_event_batch`` and ``get_latest_storage_id_by_partition`` of the event log storage.
``framework``
    :class:`~mosaic_dagster.orchestration.framework_events.FrameworkEventWriter` uses nothing
    internal, so it works with any Dagster and any storage, at several ms per event. Its notes
    say what differs.

If one of the internals is missing, ``batch`` becomes ``framework`` with one warning.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration.event_types import (
    MODE_VARIABLE,
    EntryEvent,
    EventContext,
    EventMode,
    EventWriter,
    StepContext,
    is_deferred,
    materialization,
    step_of,
)
from mosaic_dagster.orchestration.framework_events import FrameworkEventWriter

__all__ = [
    "MODE_VARIABLE",
    "OWN_EVENTS",
    "SLICE",
    "BatchEventWriter",
    "EntryEvent",
    "EventContext",
    "EventMode",
    "EventWriter",
    "FrameworkEventWriter",
    "StepContext",
    "backfill_policy",
    "event_mode",
    "event_writer",
    "is_deferred",
    "materialization",
    "step_of",
]

_log = logging.getLogger(__name__)

_OWN_EVENTS_KEY: str
_MaterializationData: Any
_PlannedData: Any
_missing = ""
try:
    from dagster._core.definitions.source_asset import (
        SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION as _OWN_EVENTS_KEY,
    )
    from dagster._core.events import AssetMaterializationPlannedData as _PlannedData
    from dagster._core.events import StepMaterializationData as _MaterializationData
except ImportError as error:
    _missing = str(error)
    _OWN_EVENTS_KEY = ""
    _MaterializationData = _PlannedData = None

OWN_EVENTS: Final[Mapping[str, bool]] = {_OWN_EVENTS_KEY: True} if _OWN_EVENTS_KEY else {}
"""Metadata of an output for which Dagster writes no asset events of its own."""

SLICE: Final = 1000
"""Events per call to the storage."""

_DEBUG = 10
_fallback_warned = False


def event_mode(mode: str | None = None) -> EventMode:
    """Resolve the event mode: as given, else ``MOSAIC_EVENTS``, else ``batch``.

    Returns ``framework``, and warns once, where this version of Dagster lacks what ``batch`` needs.

    Raises
    ------
    ProjectError
        There is no such mode.
    """
    global _fallback_warned
    chosen = mode if mode is not None else os.environ.get(MODE_VARIABLE) or "batch"
    if chosen == "framework":
        return "framework"
    if chosen != "batch":
        what = f"The event mode is {chosen!r}."
        raise ProjectError(what, f"Set {MODE_VARIABLE} to batch or framework, or leave it out.")
    if not _missing:
        return "batch"
    if not _fallback_warned:
        _fallback_warned = True
        text = (
            f"Dagster {dg.__version__} lacks what the event mode batch needs ({_missing}); "
            f"framework is used instead, slower. Set {MODE_VARIABLE}=framework to silence this."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    return "framework"


def event_writer(mode: str | None = None) -> EventWriter:
    """Return the writer of an event mode, resolved as :func:`event_mode` does."""
    return BatchEventWriter() if event_mode(mode) == "batch" else FrameworkEventWriter()


def backfill_policy(mode: str | None = None) -> dg.BackfillPolicy:
    """How a request for many partitions becomes runs.

    One run over the whole range in ``batch``; one run per partition in ``framework``, since
    Dagster gives all events of an output the same data version.
    """
    if event_mode(mode) == "batch":
        return dg.BackfillPolicy.single_run()
    return dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


class BatchEventWriter:
    """Writes events to the storage in slices, past Dagster's logger.

    The events do not appear on the console. If a slice cannot be written, its events are
    stored one by one.
    """

    mode: EventMode = "batch"

    def output_metadata(self, context: EventContext) -> dict[str, Any]:  # noqa: ARG002
        """Metadata that switches Dagster's own asset events off."""
        return dict(OWN_EVENTS)

    def materialized(
        self,
        context: EventContext,
        asset_key: dg.AssetKey,
        code_version: str,
        events: Sequence[EntryEvent],
    ) -> None:
        """Announce entries that are stored."""
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        storage = step_of(context).instance.event_log_storage
        for start in range(0, len(events), SLICE):
            part = events[start : start + SLICE]
            read = _read_events(storage, part)
            data = [
                _MaterializationData(
                    materialization(asset_key, code_version, event, read.get(event.partition))
                )
                for event in part
            ]
            self._store(context, kind, asset_key, data, [event.partition for event in part])

    def planned(
        self, context: EventContext, asset_key: dg.AssetKey, partitions: Sequence[str]
    ) -> None:
        """Mark entries that this run was to make, so that they show as failed when it fails."""
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        for start in range(0, len(partitions), SLICE):
            part = partitions[start : start + SLICE]
            data = [_PlannedData(asset_key, partition=partition) for partition in part]
            self._store(context, kind, asset_key, data, part)

    def finish(
        self,
        context: EventContext,
        asset_key: dg.AssetKey,
        *,
        announced: int,
        failed: Sequence[str],
    ) -> None:
        """Do nothing: what was announced is all that Dagster knows."""

    @staticmethod
    def _store(
        context: EventContext,
        kind: dg.DagsterEventType,
        asset_key: dg.AssetKey,
        data: Sequence[Any],
        partitions: Sequence[str | None],
    ) -> None:
        step = step_of(context)
        now = time.time()
        name = asset_key.to_user_string()
        entries = [
            _log_entry(step, kind, item, partition or name, now)
            for item, partition in zip(data, partitions, strict=True)
        ]
        _store_slice(step.instance.event_log_storage, entries)


def _read_events(
    storage: Any, events: Sequence[EntryEvent]
) -> Mapping[str | None, Mapping[str, int]]:
    """Return per partition the storage id of the latest event of each of its upstream assets."""
    wanted: dict[str, set[str]] = {}
    for event in events:
        for upstream in event.inputs:
            if event.partition is not None:
                wanted.setdefault(upstream, set()).add(event.partition)
    found: dict[str | None, dict[str, int]] = {}
    for upstream, partitions in wanted.items():
        ids = storage.get_latest_storage_id_by_partition(
            dg.AssetKey.from_user_string(upstream),
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            partitions,
        )
        for partition, storage_id in ids.items():
            found.setdefault(partition, {})[upstream] = storage_id
    return found


def _log_entry(
    step: StepContext, kind: dg.DagsterEventType, data: Any, message: str, timestamp: float
) -> dg.EventLogEntry:
    event = dg.DagsterEvent(
        event_type_value=kind.value,
        job_name=step.job_name,
        step_handle=step.step.handle,
        node_handle=None,
        step_kind_value=step.step.kind.value,
        logging_tags=None,
        event_specific_data=data,
        message=message,
        pid=os.getpid(),
    )
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=_DEBUG,
        user_message=message,
        run_id=step.run_id,
        timestamp=timestamp,
        step_key=step.step.key,
        job_name=step.job_name,
        dagster_event=event,
    )


def _store_slice(storage: Any, entries: Sequence[dg.EventLogEntry]) -> None:
    try:
        storage.store_event_batch(entries)
    except Exception as error:  # noqa: BLE001 - storages raise what their database raises
        _log.warning("%d events are stored one by one: %s", len(entries), error)
        for entry in entries:
            storage.store_event(entry)
