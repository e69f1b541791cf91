"""Which process works at a Dagster run, and whether it is still there.

Dagster itself only knows this of runs that its own daemon launched; a run of ``mosaic run`` or
``dagster job execute`` would stay started for ever when its process is killed.
"""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import psutil

from mosaic_dagster.orchestration.tags import PROCESS_TAG
from mosaic_dagster.store.workspace.process import has_ended, this_process


def note_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Write into the tags of a run that this process works at it."""
    instance.add_run_tags(run.run_id, {PROCESS_TAG: json.dumps(this_process())})


def is_abandoned(run: dg.DagsterRun) -> bool:
    """Whether the process that worked at a run is gone; a run of which none is known is not."""
    noted = run.tags.get(PROCESS_TAG)
    return noted is not None and has_ended(json.loads(noted))


def process_is_gone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool | None:
    """Whether the process that works at a run is gone; None when nobody here can tell.

    A run that has not come to its first asset has no tag yet. Then what Dagster logged counts,
    which does not say on which machine; so such a run may be disregarded, but not closed.
    """
    if PROCESS_TAG in run.tags:
        return is_abandoned(run)
    logged = None
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event: Any = entry.dagster_event
        value = event.event_specific_data.metadata.get("pid") if event is not None else None
        if value is not None and str(value.value).isdigit():
            logged = int(str(value.value))
    return None if logged is None else not psutil.pid_exists(logged)
