"""What a step costs for one entry beside its own computing: through Dagster, and without.

    python -m benchmarks.overhead --entries 1000 --steps 6

Overhead = time on the clock - time inside the features, per (step, entry). The same work is timed
four ways in one run: through Dagster cold, asked for again, `Pipeline.run` cold, and status.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.toy import DATASET, add_recordings, study
from mosaic_dagster import Dataset
from mosaic_dagster.orchestration import EngineResource, WorkspaceResource, build_definitions
from mosaic_dagster.orchestration.partitions import register_entries
from mosaic_dagster.orchestration.progress import listening
from mosaic_dagster.orchestration.refresh import run_tags
from mosaic_dagster.orchestration.requests import RefreshRequest
from mosaic_dagster.orchestration.work import needed_work
from mosaic_dagster.pipeline import DatasetRun, Engine
from mosaic_dagster.pipeline.plan import status_of_run

INSTANCE = """
telemetry: {{enabled: false}}
python_logs: {{python_log_level: ERROR}}
storage:
  custom:
    module: mosaic_dagster.orchestration.event_log
    class: MosaicSqliteStorage
    config: {{base_dir: {home}}}
"""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it gives."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def through_dagster(
    folder: Path, entries: int, rows: int, steps: int, engine: str
) -> list[dict[str, Any]]:
    """Time the asset job over all entries: cold, then asked for again."""
    declared = study(steps)
    workspace = WorkspaceResource(database=str(folder / DATASET / "store.duckdb"))
    dataset = workspace.open(declared.dataset)
    add_recordings(dataset, entries, rows)
    home = folder / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE.format(home=home))
    resources = {DATASET: workspace, "engine": EngineResource(backend=engine)}
    definitions = build_definitions([declared], resources)
    job = definitions.resolve_job_def(DATASET)
    found = []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        register_entries(instance, DATASET, [str(key) for key in dataset.entries()])
        run = DatasetRun(dataset, declared.pipelines)
        work = needed_work(run, declared, {})
        tags = run_tags(declared, dataset, instance, work, RefreshRequest())
        again = {k: v for k, v in tags.items() if k != "mosaic/selection"}
        for what, used in (("Dagster, cold", tags), ("Dagster, again", again)):
            computing: dict[str, float] = {}

            def listen(stream: Any, _: int, seen: dict[str, float] = computing) -> None:
                seen[stream.step] = stream.report.computing

            with listening(listen):
                seconds, done = timed(
                    lambda used=used: job.execute_in_process(
                        instance=instance, tags=used, raise_on_error=False
                    )
                )
            assert done.success, "the benchmark's run failed"
            found.append(_row(what, seconds, sum(computing.values()), entries * steps))
    return found


def without_dagster(
    folder: Path, entries: int, rows: int, steps: int, engine: str
) -> list[dict[str, Any]]:
    """Time `Pipeline.run` cold and again, and the status of everything."""
    declared = study(steps)
    dataset = Dataset.ensure(folder / DATASET, declared.dataset)
    add_recordings(dataset, entries, rows)
    pipeline = declared.pipelines[0]
    pairs = entries * steps
    found = []
    for what in ("Pipeline.run, cold", "Pipeline.run, again"):
        run = DatasetRun(dataset, [pipeline], Engine(engine))  # type: ignore[arg-type]
        from mosaic_dagster.pipeline.execute import draw

        seconds, report = timed(lambda run=run: draw(run))
        found.append(_row(what, seconds, sum(step.computing for step in report), pairs))
    asked = [timed(lambda: status_of_run(DatasetRun(dataset, [pipeline])))[0] for _ in range(5)]
    seconds = statistics.median(asked)
    found.append(_row("status", seconds, 0.0, pairs))
    return found


def _row(what: str, seconds: float, computing: float, pairs: int) -> dict[str, Any]:
    return {
        "what": what,
        "seconds": round(seconds, 3),
        "computing_seconds": round(computing, 3),
        "overhead_ms_per_pair": round((seconds - computing) / pairs * 1e3, 4),
    }


def main() -> None:
    """Run the benchmark and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--engine", default="loky")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    rows: list[dict[str, Any]] = []
    for way in (through_dagster, without_dagster):
        with tempfile.TemporaryDirectory(prefix="mosaic-bench-") as folder:
            rows += way(Path(folder), given.entries, given.rows, given.steps, given.engine)
    if given.json:
        print(json.dumps(rows))
        return
    print(f"{given.entries} entries x {given.steps} steps, {given.rows} rows each, {given.engine}")
    for row in rows:
        print(
            "{what:<22} {seconds:>8.3f} s  computing {computing_seconds:>7.3f} s  "
            "overhead {overhead_ms_per_pair:>7.4f} ms per step and entry".format(**row)
        )


if __name__ == "__main__":
    main()
