"""Which process began a run, so that the runs of dead ones are not open for ever."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from mosaic_dagster.store.workspace.store import WorkspaceStore

PROCESS = "_mosaic_process"
"""Key of a run's configuration under which its process stands."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> dict[str, Any]:
    """Host, number and boot of the process that runs."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "boot": _boot()}


def fail_abandoned_runs(store: WorkspaceStore) -> list[str]:
    """Fail running runs whose process on this machine is gone; their identifiers."""
    failed = []
    for run_id in store.list_runs(status="running", limit=None)["run_id"]:
        run = store.get_run(run_id) or {}
        config = run.get("config")
        process = config.get(PROCESS) if isinstance(config, dict) else None
        if process and has_ended(process):
            store.fail_run(run_id, f"Its process {process['pid']} ended without a word.")
            failed.append(run_id)
    return failed


def has_ended(process: Mapping[str, Any]) -> bool:
    """Whether a process of this machine is gone; of another machine nobody here can tell.

    Starting times move with the clock, so a number that is in use again counts as alive.
    """
    if process["host"] != socket.gethostname():
        return False
    return bool(process["boot"] != _boot() or not psutil.pid_exists(process["pid"]))


def _boot() -> str:
    """What the system calls the time since it was started; empty where it has no name for it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
