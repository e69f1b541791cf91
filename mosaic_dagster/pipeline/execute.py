"""Run a pipeline in this process, without Dagster."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from mosaic_dagster.dataset import Dataset, EntryKey, Scope
from mosaic_dagster.pipeline.engine import Backend, Engine
from mosaic_dagster.pipeline.report import RunReport
from mosaic_dagster.pipeline.results import StepResult
from mosaic_dagster.pipeline.run import DatasetRun
from mosaic_dagster.pipeline.selection import Selection, StepStream

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.pipeline import Pipeline

OnChunk = Callable[[StepStream, int], None]
"""Called after each committed chunk with the number of its outcomes."""


def run_pipeline(
    dataset: Dataset,
    pipeline: Pipeline,
    *,
    engine: Backend = "loky",
    workers: int | None = None,
    force_from: str | None = None,
    dry_run: bool = False,
    entries: Collection[str] | None = None,
    on_chunk: OnChunk | None = None,
) -> dict[str, StepResult]:
    """Compute what is out of date; see :meth:`Pipeline.run`."""
    graph = pipeline.graph()
    forced: set[str] = set()
    if force_from is not None:
        graph.require(force_from)
        forced = graph.below([force_from])
    selection = Selection(
        keys=None if entries is None else {str(key) for key in entries},
        forced={pipeline.name: forced},
    )
    run = DatasetRun(dataset, [pipeline], Engine(engine, workers), selection)
    if selection.keys is not None:
        known = run.evaluations[pipeline.name].bound.entries
        Scope(entries=sorted(selection.keys)).select([EntryKey.parse(key) for key in known])
    if not dry_run:
        draw(run, on_chunk).raise_if_failed()
    return results_of(run, pipeline)


def draw(run: DatasetRun, on_chunk: OnChunk | None = None) -> RunReport:
    """Draw every stream of a run and commit what it yields."""
    try:
        for stream in run.streams():
            for chunk in stream.chunks:
                run.commit(stream, chunk)
                if on_chunk is not None:
                    on_chunk(stream, len(chunk.outcomes))
            run.finish(stream)
    except BaseException as error:
        run.store_run.end(f"{type(error).__name__}: {error}")
        raise
    report = run.report()
    run.store_run.end(None if report.is_good else report.failure_message())
    return report


def load_results(dataset: Dataset, pipeline: Pipeline) -> dict[str, StepResult]:
    """What is stored for each step now."""
    looking = Selection(overwrite=False)
    return results_of(DatasetRun(dataset, [pipeline], selection=looking), pipeline)


def results_of(run: DatasetRun, pipeline: Pipeline) -> dict[str, StepResult]:
    """Result of each step as a run knows it."""
    evaluation = run.evaluations[pipeline.name]
    return {name: StepResult.of(evaluation, name) for name in evaluation.bound.steps}
