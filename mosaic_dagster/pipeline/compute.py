"""One step over many entries, as a lazy stream of chunks.

Nothing is computed before the stream is drawn. Each chunk's results are in the content store
before the chunk is yielded; the one who draws it writes the registry, then announces it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.engine import Engine
from mosaic_dagster.pipeline.overlap import AFTER, BEFORE
from mosaic_dagster.pipeline.reasons import declared_params
from mosaic_dagster.pipeline.status import EntryStatus, made_state
from mosaic_dagster.pipeline.work import FeatureJob, Record, Table, Task, run_tasks
from mosaic_dagster.store import Outcome, RunRow

CHUNK_ENTRIES = 2000
CHUNK_SECONDS = 2.0

ChunkKind = Literal["reused", "made"]


@dataclass(frozen=True)
class Chunk:
    """Some outcomes of a step.

    Attributes
    ----------
    reused
        Up to date already; ``made`` is False on each.
    made
        Just computed, failures among them.
    computing
        Seconds spent inside the feature, over all workers.
    """

    reused: tuple[Outcome, ...] = ()
    made: tuple[Outcome, ...] = ()
    computing: float = 0.0

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """All of them."""
        return self.reused + self.made


@dataclass
class Progress:
    """Where a step stands while its stream is drawn."""

    step: str
    total: int
    done: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)


def adopt(step: BoundStep, pipeline: str, key: str, status: EntryStatus) -> Outcome:
    """The outcome of an entry whose result is there already."""
    result = status.result
    assert result is not None
    assert status.action_key is not None
    return Outcome(
        pipeline=pipeline,
        step=step.name,
        key=key,
        run_id=step.run_id,
        action_key=status.action_key,
        state="empty" if status.state == "empty" else "fresh",
        output_sha256=result.output_sha256,
        ext=result.ext,
        rows=result.rows,
        bytes=result.bytes,
        seconds=result.seconds,
        error=None,
        inputs=status.inputs,
        made=False,
    )


def to_make(step: BoundStep, pipeline: str, key: str, status: EntryStatus) -> Outcome:
    """The outcome, still without a result, of an entry that is about to be computed."""
    assert status.action_key is not None
    return Outcome(
        pipeline=pipeline,
        step=step.name,
        key=key,
        run_id=step.run_id,
        action_key=status.action_key,
        state="failed",
        output_sha256=None,
        ext="parquet",
        rows=0,
        bytes=0,
        seconds=0.0,
        error=None,
        inputs=status.inputs,
        made=True,
    )


def pass_through(
    step: BoundStep,
    pipeline: str,
    todo: Mapping[str, EntryStatus],
    sources: Mapping[str, EntryStatus],
) -> Iterator[Outcome]:
    """The input's own objects as results: nothing is stored twice."""
    for key, status in todo.items():
        source = sources[key].result
        assert source is not None
        yield replace(
            to_make(step, pipeline, key, status),
            state=made_state(key, source.rows),
            output_sha256=source.output_sha256,
            ext=source.ext,
            rows=source.rows,
            bytes=source.bytes,
        )


def run_start(step: BoundStep) -> RunRow:
    """The registry's row for an attempt at a step."""
    return RunRow(
        run_id=step.run_id,
        feature=step.feature_name,
        version=step.version,
        params_hash=step.declaration,
        params_json=declared_params(step),
        inputs_json=canonical_json(step.upstream()),
    )


def task_of(outcome: Outcome, status: EntryStatus) -> Task:
    """What a worker needs to compute an entry."""
    tables: dict[str, list[Table]] = {"input": [], BEFORE: [], AFTER: []}
    lookups = []
    for item in status.inputs:
        kind, _, rest = item.role.partition(":")
        if kind in tables:
            tables[kind].append((item.sha256, "parquet"))
        elif kind in ("lookup", "labels"):
            lookups.append((rest, (item.sha256, "parquet")))
    return Task(
        outcome,
        inputs=tuple(tables["input"]),
        lookups=tuple(lookups),
        before=tuple(tables[BEFORE]),
        after=tuple(tables[AFTER]),
    )


def compute_entries(job: FeatureJob, tasks: Sequence[Task], engine: Engine) -> Iterator[Chunk]:
    """Compute entries and yield them in chunks small enough that a killed run loses little."""
    parallel = job.feature_cls.parallelizable
    engine = engine if parallel else Engine("sequential")
    yield from in_chunks(engine.map(partial(run_tasks, job), tasks))


def in_chunks(records: Iterable[Record]) -> Iterator[Chunk]:
    """Gather records until there are many, or some seconds have passed."""
    gathered: list[Record] = []
    begun = time.monotonic()
    for record in records:
        gathered.append(record)
        if len(gathered) >= CHUNK_ENTRIES or time.monotonic() - begun > CHUNK_SECONDS:
            yield _chunk(gathered)
            gathered, begun = [], time.monotonic()
    if gathered:
        yield _chunk(gathered)


def _chunk(records: Sequence[Record]) -> Chunk:
    return Chunk(
        made=tuple(record.outcome for record in records),
        computing=sum(record.computing for record in records),
    )
