"""The schedules of a code location: everything nightly, the stores weekly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from mosaic_dagster.orchestration.automation.settings import Automation
from mosaic_dagster.orchestration.upkeep import STORE_UPKEEP

NIGHTLY_REFRESH = "nightly_refresh"
WEEKLY_STORE_UPKEEP = f"weekly_{STORE_UPKEEP}"


def schedules(
    refresh: dg.JobDefinition,
    upkeep: Any,
    checks: Sequence[dg.AssetChecksDefinition],
    automation: Automation,
) -> list[dg.ScheduleDefinition]:
    """The schedules.

    Parameters
    ----------
    refresh, upkeep
        The jobs that they start.
    checks
        Those of the stores, which say what the weekly run may remove.
    automation
        When, and whether they run by themselves.
    """
    # A job without its own configuration only counts what is left over.
    removing = {"ops": {check.node_def.name: {"config": {"apply": True}} for check in checks}}
    return [
        dg.ScheduleDefinition(
            name=NIGHTLY_REFRESH,
            job=refresh,
            cron_schedule=automation.nightly,
            execution_timezone=automation.timezone,
            default_status=automation.schedule_status,
            description="Brings everything up to date, and tries again what failed.",
        ),
        dg.ScheduleDefinition(
            name=WEEKLY_STORE_UPKEEP,
            job=upkeep,
            cron_schedule=automation.weekly,
            execution_timezone=automation.timezone,
            default_status=automation.schedule_status,
            run_config=removing if automation.collect_garbage else None,
            description="Reads every stored object and compares files, tables and journals; "
            + ("removes" if automation.collect_garbage else "counts")
            + " what nothing names.",
        ),
    ]
