"""Run the job ``refresh`` in this process, as the command line does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration.jobs import REFRESH
from mosaic_dagster.orchestration.run_errors import step_errors

QUIET: dict[str, Any] = {"console": {"config": {"log_level": "CRITICAL"}}}
"""Logger configuration for a console that only shows what a person asked for."""


@dataclass(frozen=True)
class RefreshRun:
    """How a refresh ended.

    Attributes
    ----------
    succeeded
        Whether nothing failed.
    run_id
        The Dagster run.
    errors
        What stopped it, in words.
    """

    succeeded: bool
    run_id: str
    errors: list[str]


def run_refresh(definitions: dg.Definitions, config: Mapping[str, Any]) -> RefreshRun:
    """Run ``refresh`` with the instance that the environment names.

    Parameters
    ----------
    definitions
        Those of the code location.
    config
        Values of :class:`~mosaic_dagster.orchestration.jobs.RefreshConfig`.

    Raises
    ------
    ProjectError
        The instance cannot be opened, or the resources or jobs are wrong.
    """
    run_config = {
        "ops": {"bring_up_to_date": {"config": dict(config)}},
        "loggers": QUIET,
    }
    try:
        job = definitions.resolve_job_def(REFRESH)
        with dg.DagsterInstance.get() as instance:
            done = job.execute_in_process(
                instance=instance, run_config=run_config, raise_on_error=False
            )
    except dg.DagsterError as error:
        msg = f"Dagster could not run {REFRESH!r}: {error}"
        raise ProjectError(msg, "Check dagster.yaml, assets/ and resources/.") from error
    return RefreshRun(done.success, done.run_id, list(step_errors(done)))
