"""Announcing results through what Dagster documents, for any version of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from mosaic_dagster.errors import PipelineError
from mosaic_dagster.orchestration.event_types import (
    MODE_VARIABLE,
    EntryEvent,
    EventContext,
    EventMode,
    is_deferred,
    materialization,
    step_of,
)
from mosaic_dagster.orchestration.tags import DEFER_TAG, RANGE_END_TAG, RANGE_START_TAG


class FrameworkEventWriter:
    """Announces through what Dagster documents: ``log_event``, output metadata, data versions.

    Notes
    -----
    In a run with the tag ``dagster/defer_asset_events`` Dagster writes nothing by itself, and each
    entry is a ``log_event``. Without it Dagster writes one event for the output once it is
    handled, and the writer gives that event its metadata and data version; so

    - a run over one partition, from the UI or by tag, ends with Dagster's one event, and with
      none, as failed, if the entry failed: then :meth:`finish` raises before Dagster writes it,
      and the steps below, a report among them, are not run;
    - a range from the UI is one such run per partition, by :func:`backfill_policy`;
    - a range run by tags is refused, as it would announce its failed entries, too;
    - a selection (sensor, refresh, command line) has the tag: one event per good entry.

    Failed entries of a deferred run are in the report and the log, but are not red in the
    list of partitions: Dagster has no documented way to plan a partition from inside a run. Nor
    do entries of such a run turn stale in the UI when an upstream entry changes, as the id of the
    event that was read is not known; the project's own status is exact in either mode.
    """

    mode: EventMode = "framework"

    def output_metadata(self, context: EventContext) -> dict[str, Any]:
        """Nothing; Dagster writes its own event unless the run has the defer tag.

        Raises
        ------
        PipelineError
            The run is over a range of partitions and lacks the defer tag.
        """
        tags = step_of(context).dagster_run.tags
        start, end = tags.get(RANGE_START_TAG), tags.get(RANGE_END_TAG)
        if start != end and not is_deferred(context) and _is_partitioned(context):
            what = (
                f"The run is over the range {start} to {end} of partitions, "
                "which the event mode framework cannot announce one by one."
            )
            remedy = (
                f"Add the run tag {DEFER_TAG}=true, start one run per partition, "
                f"or set {MODE_VARIABLE}=batch."
            )
            raise PipelineError(what, remedy)
        return {}

    def materialized(
        self,
        context: EventContext,
        asset_key: dg.AssetKey,
        code_version: str,
        events: Sequence[EntryEvent],
    ) -> None:
        """Announce entries that are stored.

        Raises
        ------
        PipelineError
            More than one entry, in a run in which Dagster writes one event for the output.
        """
        if is_deferred(context):
            for event in events:
                context.log_event(materialization(asset_key, code_version, event))
            return
        if len(events) > 1:
            what = f"{asset_key.to_user_string()} has {len(events)} entries to announce at once."
            raise PipelineError(what, f"Add the run tag {DEFER_TAG}=true to the run.")
        for event in events:
            context.add_output_metadata(dict(event.metadata))
            _set_data_version(context, asset_key, event.digest)

    def planned(
        self,
        context: EventContext,
        asset_key: dg.AssetKey,
        partitions: Sequence[str],
    ) -> None:
        """Log the entries; a run over one partition is planned by Dagster, others are not."""
        if partitions:
            name = asset_key.to_user_string()
            context.log.error(f"{name}: {len(partitions)} not made: {', '.join(partitions[:20])}")

    def finish(
        self,
        context: EventContext,
        asset_key: dg.AssetKey,
        *,
        announced: int,
        failed: Sequence[str],
    ) -> None:
        """Fail the step where Dagster would announce a result that was not made.

        Raises
        ------
        dagster.Failure
            Nothing was announced in a run without the defer tag.
        """
        if announced or is_deferred(context):
            return
        name = asset_key.to_user_string()
        what = f"{name}: not made for {', '.join(failed)}." if failed else f"{name}: nothing made."
        raise dg.Failure(what, allow_retries=False)


def _is_partitioned(context: EventContext) -> bool:
    if isinstance(context, dg.OutputContext):
        return context.has_asset_partitions
    return context.assets_def.partitions_def is not None


def _set_data_version(context: EventContext, asset_key: dg.AssetKey, digest: str) -> None:
    # Read by Dagster after the output is handled, so a digest known only by then still counts.
    step: Any = context.step_context if isinstance(context, dg.OutputContext) else context
    step.set_data_version(asset_key, dg.DataVersion(digest))
