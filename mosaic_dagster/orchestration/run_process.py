"""Which process works at a Dagster run, and whether it is still there.

Dagster itself only knows this of runs that its own daemon launched; a run of ``mosaic run`` or
``dagster job execute`` would stay started for ever when its process is killed.
"""

from __future__ import annotations

import json

import dagster as dg

from mosaic_dagster.orchestration.tags import PROCESS_TAG
from mosaic_dagster.store.workspace.process import has_ended, this_process


def note_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Write into the tags of a run that this process works at it."""
    instance.add_run_tags(run.run_id, {PROCESS_TAG: json.dumps(this_process())})


def is_abandoned(run: dg.DagsterRun) -> bool:
    """Whether the process that worked at a run is gone; a run of which none is known is not."""
    noted = run.tags.get(PROCESS_TAG)
    return noted is not None and has_ended(json.loads(noted))
