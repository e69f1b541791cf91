"""How far a run is: bars on a terminal, a line for each step elsewhere."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from mosaic_dagster.pipeline.selection import StepStream

Listener = Callable[[StepStream, int], None]
"""Told of each chunk: the stream, and how many outcomes the chunk has."""


@contextmanager
def progress() -> Iterator[Listener]:
    """A listener that draws on standard error, which is kept apart from results.

    Dagster redirects the descriptors of the process while it runs steps, so lines go to a copy
    that was made before.
    """
    with _own_copy(sys.stderr) as out:
        if out.isatty():
            yield from _bars(out)
        else:
            lines = _Lines(out)
            try:
                yield lines.tell
            finally:
                lines.close()


@contextmanager
def held_output(to: TextIO, apart: Collection[str] = ()) -> Iterator[None]:
    """Keep what goes to standard output until the end, so that bars do not overwrite it.

    Parameters
    ----------
    to
        Where it is written then.
    apart
        Lines that are left out, since they are told elsewhere; what it holds at the end counts.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as held:
        try:
            with _redirected(held):
                yield
        finally:
            held.seek(0)
            to.writelines(line for line in held if line.rstrip("\n") not in apart)
            to.flush()


@contextmanager
def _redirected(target: TextIO) -> Iterator[None]:
    """Send the descriptor elsewhere, since Dagster copies what is written to descriptors."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        with redirect_stdout(target):
            yield
        return
    sys.stdout.flush()
    before = os.dup(descriptor)
    os.dup2(target.fileno(), descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(before, descriptor)
        os.close(before)


def label_of(stream: StepStream) -> str:
    """Name of a stream's step, with its pipeline."""
    step = stream.report.step
    return f"{stream.pipeline}/{step}" if stream.pipeline else step


@contextmanager
def _own_copy(stream: TextIO) -> Iterator[TextIO]:
    try:
        descriptor = os.dup(stream.fileno())
    except (OSError, ValueError):
        # No real file: a test or a notebook has put something else there.
        yield stream
        return
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as copy:
        yield copy


def _bars(out: TextIO) -> Iterator[Listener]:
    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), Elapsed())
    console = Console(file=out)
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bars:

        def tell(stream: StepStream, count: int) -> None:
            label = label_of(stream)
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=stream.total)
            bars.update(tasks[label], advance=count)

        yield tell


class _Lines:
    """One line for each step, when it is over."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._stream: StepStream | None = None

    def tell(self, stream: StepStream, _count: int) -> None:
        """Take in a chunk."""
        if stream is not self._stream:
            self.close()
            self._stream = stream

    def close(self) -> None:
        """Print the line of the step that was heard last."""
        if self._stream is None:
            return
        report = self._stream.report
        counts = {"made": report.made, "up to date": report.fresh, "found": report.adopted,
                  "failed": len(report.failures), "blocked": len(report.blocked)}  # fmt: skip
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        with suppress(ValueError):
            self._out.write(f"{label_of(self._stream)}: {told or 'nothing to do'}\n")
            self._out.flush()
        self._stream = None
