"""Who wants to hear how far a step is; the command line draws a bar with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mosaic_dagster.pipeline.selection import StepStream

Listener = Callable[[StepStream, int], None]

_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener(stream, count)`` after each chunk of steps that run in this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def report_progress(stream: StepStream, count: int) -> None:
    """Tell everyone who listens."""
    for listener in _listeners:
        listener(stream, count)
