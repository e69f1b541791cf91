"""The workspace store's run beside a Dagster run: when it ends, and how."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mosaic_dagster.orchestration.run_session import RunSession
from mosaic_dagster.pipeline import TrainingStep


@contextmanager
def ending_store_run(
    session: RunSession, pipeline: str, *, unless_reported: bool = False
) -> Iterator[None]:
    """End the store's run after the block if nothing is left to train; failed if a block raised.

    Parameters
    ----------
    session
        The session of the Dagster run.
    pipeline
        The pipeline that the block belongs to; empty for the tracks.
    unless_reported
        Leave a good ending to the pipeline's report, where the run makes one.
    """
    store_run = session.run.store_run
    try:
        yield
    except Exception as error:
        store_run.errors.append(str(error))
        if not trainings_left(session):
            store_run.end()
        raise
    reported = unless_reported and session.reports(pipeline)
    if not reported and not trainings_left(session):
        store_run.end()


def trainings_left(session: RunSession) -> list[str]:
    """Training steps that the run selects and has not come to yet."""
    run = session.run
    return [
        f"{pipeline.name}/{step.name}"
        for pipeline in session.study.pipelines
        for step in pipeline.steps
        if isinstance(step, TrainingStep)
        and step.name in run.steps_of(run.evaluations[pipeline.name].bound)
        and (pipeline.name, f"{step.name}/model") not in run.reports
    ]
