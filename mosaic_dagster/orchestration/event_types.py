"""What a step announces to Dagster, and the seam between the two ways of announcing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import dagster as dg

from mosaic_dagster.orchestration.tags import DEFER_TAG

EventMode = Literal["batch", "framework"]
"""Who writes the events, see :mod:`mosaic_dagster.orchestration.events`."""

MODE_VARIABLE: Final = "MOSAIC_EVENTS"
"""Environment variable that sets the event mode of a project."""

_DATA_VERSION = "dagster/data_version"
_CODE_VERSION = "dagster/code_version"
NEVER_MADE = "INITIAL"
"""Data version of an input that was not there, and which Dagster does not know either."""

_INPUT_DATA_VERSION = "dagster/input_data_version/"
_INPUT_EVENT_POINTER = "dagster/input_event_pointer/"
_NO_POINTER = "NULL"


@dataclass(frozen=True)
class EntryEvent:
    """One result to announce.

    Parameters
    ----------
    partition
        Key of the entry; None for an asset without partitions, such as a fitted model.
    digest
        Digest of the stored result, Dagster's data version.
    metadata
        A few numbers or short texts; they are stored with each event, twice. A picture or a
        small table belongs on one event of a step, not on each.
    inputs
        Upstream asset key as text (``larvae/tracks``) to the digest that was read. Without
        it Dagster shows the partition as stale.
    """

    partition: str | None
    digest: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


class StepContext(Protocol):
    """What is used of Dagster's context of a running step."""

    @property
    def instance(self) -> dg.DagsterInstance:
        """The Dagster instance of the run."""

    @property
    def run_id(self) -> str:
        """Dagster's id of the run."""

    @property
    def job_name(self) -> str:
        """Name of the job that runs."""

    @property
    def step(self) -> Any:
        """The step, with its ``key``, ``handle`` and ``kind``."""

    @property
    def dagster_run(self) -> Any:
        """The run, with its ``tags``."""


EventContext = dg.OutputContext | dg.AssetExecutionContext | dg.OpExecutionContext
"""Where events come from: an IO manager that handles an output, or the body of an asset."""


def step_of(context: EventContext) -> StepContext:
    """Return the context of the running step, from inside an IO manager or an asset body."""
    if isinstance(context, dg.OutputContext):
        return context.step_context
    return context.get_step_execution_context()


def is_deferred(context: EventContext) -> bool:
    """Whether the run has the tag by which Dagster writes no asset events of its own."""
    return str(step_of(context).dagster_run.tags.get(DEFER_TAG, "")).lower() == "true"


class EventWriter(Protocol):
    """Announces the results of a step, however the run was started.

    An asset body yields ``Output(stream, metadata=writer.output_metadata(context))``. The IO
    manager calls :meth:`materialized` for each chunk it has stored, then :meth:`finish`. A body
    that is about to fail calls :meth:`planned` with its failed and blocked entries.
    """

    @property
    def mode(self) -> EventMode:
        """Name of the way of writing."""

    def output_metadata(self, context: EventContext) -> dict[str, Any]:
        """Metadata for the output, which decides whether Dagster writes events for it.

        Raises
        ------
        PipelineError
            The run has a form for which the events cannot come out right.
        """

    def materialized(
        self,
        context: EventContext,
        asset_key: dg.AssetKey,
        code_version: str,
        events: Sequence[EntryEvent],
    ) -> None:
        """Announce entries that are stored."""

    def planned(
        self, context: EventContext, asset_key: dg.AssetKey, partitions: Sequence[str]
    ) -> None:
        """Mark entries that this run was to make, so that they show as failed when it fails."""

    def finish(
        self,
        context: EventContext,
        asset_key: dg.AssetKey,
        *,
        announced: int,
        failed: Sequence[str],
    ) -> None:
        """Close an output of which ``announced`` entries were announced and ``failed`` were not.

        Raises
        ------
        dagster.Failure
            Dagster would otherwise announce a result that does not exist.
        """


def materialization(
    asset_key: dg.AssetKey,
    code_version: str,
    event: EntryEvent,
    pointers: Mapping[str, int] | None = None,
) -> dg.AssetMaterialization:
    """Build the materialization of one entry, with the tags by which Dagster knows it as fresh.

    Parameters
    ----------
    asset_key
        Asset that was made.
    code_version
        Code version of the asset.
    event
        The entry.
    pointers
        Upstream asset key as text to the storage id of its event that was read. Where it is not
        known Dagster does not see a later change of a partitioned upstream.
    """
    known = pointers or {}
    tags = {_DATA_VERSION: event.digest}
    if code_version:  # without one, Dagster goes by the times of events instead of versions
        tags[_CODE_VERSION] = code_version
    for upstream, digest in event.inputs.items():
        tags[_INPUT_DATA_VERSION + upstream] = digest
        tags[_INPUT_EVENT_POINTER + upstream] = str(known.get(upstream, _NO_POINTER))
    return dg.AssetMaterialization(
        asset_key, partition=event.partition, metadata=dict(event.metadata), tags=tags
    )
