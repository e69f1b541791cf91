"""The Dagster instance of a project: can it be opened, and is anything in it left hanging."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from mosaic_dagster.errors import MosaicError
from mosaic_dagster.health.finding import Finding
from mosaic_dagster.health.project import instance_folder

DAGSTER = "dagster"
LARGE_BYTES = 2_000_000_000
"""Size of an instance from which on deleting old runs is worth the while."""

HEARTBEAT_SECONDS = 300.0
"""Silence after which Dagster itself takes a daemon for dead."""

_OURS = "BatchSqliteEventLogStorage"
_RUNS_FILE = Path("history") / "runs.db"
_RUN_FILES = Path("history") / "runs"
_SHOWN = 3


def check_instance(root: Path, settings: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Open the instance that the environment names and look at its runs.

    Parameters
    ----------
    root
        The folder that holds its ``dagster.yaml``.
    settings
        What that file says; None when it cannot be read.
    """
    if settings is None:
        what = f"The instance was not looked at, since {root / 'dagster.yaml'} cannot be read."
        yield Finding(DAGSTER, what, "warning", "Mend or restore that file and look again.")
        return
    folder = instance_folder(root, settings)
    if folder is not None:
        if not (folder / _RUNS_FILE).is_file():
            what = f"There is no Dagster instance in {folder} yet."
            yield Finding(DAGSTER, what, remedy="The first `mosaic run` or `dagster dev` makes it.")
            return
        yield from _check_size(folder)
    stray = root / _RUNS_FILE
    if folder is not None and folder.resolve() != root.resolve() and stray.is_file():
        what = f"{stray} is of another instance, which the settings do not name."
        remedy = f"It may be removed when you need none of its runs: {root / 'history'}."
        yield Finding(DAGSTER, what, "warning", remedy)
    facts = _facts()
    if isinstance(facts, Finding):
        yield facts
        return
    yield Finding(DAGSTER, f"The instance can be opened: {facts.runs} runs, {facts.event_log}.")
    yield from _check_event_log(facts)
    yield from _check_open_runs(facts)
    yield from _check_daemon(facts)
    yield from _check_clock(facts)
    if folder is not None:
        yield from _check_pruned(folder, facts)


def _facts() -> Any:
    """What is known about the instance, or a finding that says why nothing is."""
    try:
        # Dagster takes seconds to import, and may be what is broken.
        facts = import_module("mosaic_dagster.orchestration.instance_facts")
    except Exception as error:  # noqa: BLE001 - whatever an installation can be broken by
        what = f"Dagster cannot be imported: {type(error).__name__}: {error}"
        remedy = "Install it anew: pip install --force-reinstall dagster dagster-duckdb"
        return Finding(DAGSTER, what, "error", remedy)
    try:
        return facts.instance_facts()
    except MosaicError as error:
        return Finding(DAGSTER, error.what, "error", error.remedy)
    except Exception as error:  # noqa: BLE001 - whatever Dagster and its storage raise
        told = " ".join(str(error).split())
        what = f"The instance cannot be opened: {type(error).__name__}: {told}"
        remedy = (
            "Correct dagster.yaml; after an update of Dagster, `dagster instance migrate`. Its "
            "folder may also be removed: results are not in it."
        )
        return Finding(DAGSTER, what, "error", remedy)


def _check_size(folder: Path) -> Iterator[Finding]:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    told = f"{folder} takes {size / 1e6:.0f} MB"
    if size > LARGE_BYTES:
        remedy = "Delete old runs in the user interface, or the folder: results are not in it."
        yield Finding(DAGSTER, f"{told}.", "warning", remedy)
    else:
        yield Finding(DAGSTER, f"{told}.")


def _check_event_log(facts: Any) -> Iterator[Finding]:
    if not facts.in_batches:
        what = f"Events are kept by {facts.event_log}, at about 10 ms per entry and step."
        remedy = (
            f"{_OURS} takes 0.2 ms: `storage: {{custom: …}}` as in the dagster.yaml that "
            "`mosaic init` writes."
        )
        yield Finding(DAGSTER, what, remedy=remedy)


def _check_open_runs(facts: Any) -> Iterator[Finding]:
    gone = [run for run in facts.open_runs if run.is_gone]
    unknown = [run for run in facts.open_runs if run.is_gone is None]
    alive = len(facts.open_runs) - len(gone) - len(unknown)
    if alive:
        yield Finding(DAGSTER, f"{alive} runs are under way.")
    if gone:
        named = ", ".join(f"{run.run_id[:8]} ({run.job})" for run in gone[:_SHOWN])
        what = f"{len(gone)} runs say they are under way, and their process is gone: {named}."
        remedy = (
            "Nothing stored is lost: `mosaic run` goes on where they stopped. In the user "
            "interface, *Terminate* and *Force* marks them as canceled."
        )
        yield Finding(DAGSTER, what, "warning", remedy)
    if unknown:
        named = ", ".join(run.run_id[:8] for run in unknown[:_SHOWN])
        what = f"{len(unknown)} runs are under way, in a process that is not known here: {named}."
        yield Finding(DAGSTER, what, "warning", "Look at them in the user interface.")


def _check_daemon(facts: Any) -> Iterator[Finding]:
    last = max(facts.heartbeats.values(), default=None)
    is_alive = last is not None and time.time() - last < HEARTBEAT_SECONDS
    if is_alive:
        yield Finding(DAGSTER, "The daemon is alive.")
        return
    heard = f", last heard of {datetime.fromtimestamp(last):%Y-%m-%d %H:%M}" if last else ""
    waiting = [*facts.running, *([f"{facts.queued} queued runs"] if facts.queued else [])]
    if waiting:
        what = f"No daemon is running{heard}, and these wait for one: {', '.join(waiting)}."
        yield Finding(DAGSTER, what, "warning", "Start `dagster dev` in the project's folder.")
    else:
        what = f"No daemon is running{heard}; no sensor, schedule or queued run needs one."
        yield Finding(DAGSTER, what)


def _check_clock(facts: Any) -> Iterator[Finding]:
    last = facts.last_started
    if last is not None and last > datetime.now() + timedelta(minutes=5):
        what = f"A run is dated in the future: {last:%Y-%m-%d %H:%M}."
        remedy = "Set the clock of this machine; new runs are listed below that one until then."
        yield Finding(DAGSTER, what, "warning", remedy)


def _check_pruned(folder: Path, facts: Any) -> Iterator[Finding]:
    files = folder / _RUN_FILES
    if not files.is_dir():
        return
    without = [run for run in facts.run_ids if not (files / f"{run}.db").is_file()]
    if without:
        what = f"{len(without)} of the last {len(facts.run_ids)} runs have no events any more."
        remedy = "`mosaic executions show` has only their outcome; no result is concerned."
        yield Finding(DAGSTER, what, remedy=remedy)
