"""How the entries of a step are spread over processes: through joblib, or one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeVar

from mosaic_dagster.errors import PipelineError

Backend = Literal["sequential", "loky", "dask"]

T = TypeVar("T")
R = TypeVar("R")

_ALONE_SECONDS = 1.0
_MOST_PER_CALL = 64
_CALLS_PER_WORKER = 8

_pools: set[int] = set()
"""Processes that have started workers; joblib keeps those for the next call."""


@dataclass(frozen=True)
class Engine:
    """Where tasks run; never part of an identity, since results do not depend on it.

    Attributes
    ----------
    backend
        ``sequential`` (debugging), ``loky`` (processes on this machine) or ``dask`` (the cluster
        of the process's dask client).
    workers
        Number of processes; None means all cores.
    """

    backend: Backend = "loky"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.backend not in ("sequential", "loky", "dask"):
            msg = f"There is no engine {self.backend!r}."
            raise PipelineError(msg, "Use sequential, loky or dask.")
        if self.workers is not None and self.workers < 1:
            msg = f"{self.workers} workers cannot compute anything."
            raise PipelineError(msg, "Give at least one, or None for all cores.")

    @property
    def n_workers(self) -> int:
        """Number of processes that compute."""
        return 1 if self.backend == "sequential" else self.workers or os.cpu_count() or 1

    def map(self, run: Callable[[Sequence[T]], list[R]], tasks: Sequence[T]) -> Iterator[R]:
        """Run tasks in any order and yield each result as it comes.

        Until there are worker processes, the first second of work is done in this process:
        starting a pool costs more than many a step needs.
        """
        waiting = iter(tasks)
        begun = time.perf_counter()
        alone = 0.0 if self._has_pool(len(tasks)) else _ALONE_SECONDS
        for task in waiting:
            yield from run([task])
            spent = time.perf_counter() - begun
            if self.n_workers > 1 and spent > alone:
                break
        rest = list(waiting)
        if rest:
            yield from self._side_by_side(run, rest)

    def _has_pool(self, n_tasks: int) -> bool:
        """Whether workers wait from an earlier step, and there is something for each to do."""
        return self.backend == "loky" and os.getpid() in _pools and n_tasks > 4 * self.n_workers

    def _side_by_side(
        self, run: Callable[[Sequence[T]], list[R]], tasks: Sequence[T]
    ) -> Iterator[R]:
        # Who only asks never gets here, and should not wait for the import.
        import joblib

        size = len(tasks) // (self.n_workers * _CALLS_PER_WORKER)
        size = min(max(size, 1), _MOST_PER_CALL)
        calls = (joblib.delayed(run)(part) for part in _slices(tasks, size))
        config: Any = nullcontext()
        if self.backend == "loky":
            _pools.add(os.getpid())
        if self.backend == "dask":
            config = joblib.parallel_config(backend="dask", wait_for_workers_timeout=60)
        with config:
            pool = joblib.Parallel(
                n_jobs=self.n_workers if self.backend == "loky" else -1,
                backend="loky" if self.backend == "loky" else None,
                return_as="generator_unordered",
            )
            for results in pool(calls):
                yield from results


def _slices(items: Sequence[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
