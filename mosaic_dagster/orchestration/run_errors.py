"""What went wrong in a Dagster run, in the words of the code that failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mosaic_dagster.errors import RunFailedError


def step_errors(done: dg.ExecuteInProcessResult) -> Iterator[str]:
    """Why steps failed, in the order in which they did."""
    for event in done.all_events:
        if event.is_step_failure and (text := failure_text(event)):
            yield text


def failure_text(event: dg.DagsterEvent) -> str:
    """Why a step or a run failed; empty when the event does not say."""
    if event.is_step_failure:
        failure = event.step_failure_data
        told = failure.user_failure_data
        if told is not None and told.description:
            return told.description
        return inner_message(failure.error) if failure.error is not None else ""
    error = event.job_failure_data.error if event.is_job_failure else None
    return inner_message(error) if error is not None else ""


def unexpected_errors(done: dg.ExecuteInProcessResult) -> list[str]:
    """What stopped a run or a step of it, apart from entries that failed, which are reported."""
    found = []
    for event in done.all_events:
        error = None
        if event.is_step_failure and event.step_failure_data.user_failure_data is None:
            error = event.step_failure_data.error
        elif event.is_job_failure and not any(e.is_step_failure for e in done.all_events):
            error = event.job_failure_data.error
        if error is not None and _innermost(error).cls_name != RunFailedError.__name__:
            where = f"{event.step_key}: " if event.step_key else ""
            found.append(where + inner_message(error))
    return found


def inner_message(error: Any) -> str:
    """The message of the code inside, not Dagster's sentence around it."""
    message = str(_innermost(error).message)
    return message.partition(": ")[2].strip() or message.strip()


def _innermost(error: Any) -> Any:
    # One step down is the error itself; below that are the errors that caused it.
    return error.cause or error
