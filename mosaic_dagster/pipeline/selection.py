"""What a run is asked for, and the streams in which it gives it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from mosaic_dagster.pipeline.binding import BoundPipeline
from mosaic_dagster.pipeline.compute import Chunk
from mosaic_dagster.pipeline.report import StepReport
from mosaic_dagster.pipeline.status import EntryStatus
from mosaic_dagster.store import Outcome, RunRow


@dataclass(frozen=True)
class Selection:
    """What a run is asked for; None means everything.

    Attributes
    ----------
    steps
        Per pipeline name, the steps that this run makes.
    keys
        Entries of partitioned steps.
    ingested
        What is read from files: ``tracks``, ``labels/<kind>``.
    forced
        Per pipeline name, steps that are made even when they are up to date.
    overwrite
        Whether the option of this name counts; it is about making, not about what is there.
    retries
        Whether what failed before, and would be made from the same inputs, is tried again.
    unsettled
        Source files (absolute paths) that may still be written: a new one counts as not there
        yet, and of a known one what is recorded counts.
    """

    steps: Mapping[str, Collection[str]] | None = None
    keys: Collection[str] | None = None
    ingested: Collection[str] | None = None
    forced: Mapping[str, Collection[str]] = field(default_factory=dict)
    overwrite: bool = True
    retries: bool = True
    unsettled: AbstractSet[Path] = frozenset()

    def tries(self, status: EntryStatus) -> bool:
        """Whether the run computes an entry of this status."""
        return status.is_computable and (self.retries or status.state != "failed")

    def makes_ingested(self, asset: str) -> bool:
        """Whether the run reads the source files of an asset."""
        return self.ingested is None or asset in self.ingested

    def forced_steps(self, bound: BoundPipeline) -> set[str]:
        """Steps of a pipeline that are made even when they are up to date."""
        overwritten = {name for name, step in bound.steps.items() if step.options.overwrite}
        return {*self.forced.get(bound.name, ()), *(overwritten if self.overwrite else ())}


@dataclass
class StepStream:
    """A step's chunks, still to be drawn, and the report that fills while they are.

    Attributes
    ----------
    derived
        Whether it shows a part of a result that another stream of the step records.
    gated
        Whether a check can refuse what is made, which is known when all of it is.
    held
        What was drawn and waits for the checks, with the keys that were adopted.
    """

    pipeline: str
    step: str
    chunks: Iterator[Chunk]
    report: StepReport
    total: int
    starts: RunRow | None = None
    derived: bool = False
    gated: bool = False
    held: list[tuple[Sequence[Outcome], Sequence[str]]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def take(self, outcomes: Sequence[Outcome], adopted: Sequence[str]) -> None:
        """Count what was drawn, or keep it until the checks have judged it."""
        if self.gated:
            self.held.append((outcomes, adopted))
        else:
            self.report.add(outcomes, adopted)
