"""What a run did, step by step, in numbers and names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mosaic_dagster.errors import RunFailedError
from mosaic_dagster.pipeline.status import EntryStatus
from mosaic_dagster.pipeline.work import error_message
from mosaic_dagster.store import Outcome

MODEL_LABEL = "(fit)"
"""How a step's fitted state is called among its entries."""


@dataclass
class StepReport:
    """What a run did in one step.

    Attributes
    ----------
    pipeline, step
        Where; the pipeline is empty for the tracks.
    made, fresh, adopted, empty
        Entries computed now, up to date already, found under another head, and without rows.
    failures, blocked
        Entry and message, or entry and what stopped it.
    computing, elapsed
        Seconds inside the features over all workers, and seconds on the clock.
    """

    pipeline: str
    step: str
    made: int = 0
    fresh: int = 0
    adopted: int = 0
    empty: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    computing: float = 0.0
    elapsed: float = 0.0

    def add(
        self,
        outcomes: Iterable[Outcome],
        adopted: Iterable[str] = (),
        refused: Mapping[str, str] | None = None,
    ) -> None:
        """Count outcomes.

        Parameters
        ----------
        outcomes
            What was made or found.
        adopted
            Keys of those that were found, not made.
        refused
            Keys of those that a check refused, with what it found.
        """
        taken, bad = set(adopted), refused or {}
        for outcome in outcomes:
            if outcome.state == "failed" or outcome.key in bad:
                words = bad.get(outcome.key) or error_message(outcome.error)
                self.failures[outcome.key or MODEL_LABEL] = words
                continue
            self.rows += outcome.rows
            self.bytes += outcome.bytes
            self.empty += outcome.state == "empty"
            if outcome.made:
                self.made += 1
            elif outcome.key in taken:
                self.adopted += 1
            else:
                self.fresh += 1

    def leave_out(self, entry: str, status: EntryStatus) -> None:
        """Note an entry that is not computed: refused by a check, or kept by what stands above."""
        if status.error:
            self.failures[entry] = status.error
        else:
            self.blocked[entry] = status.reason or status.state

    @property
    def is_good(self) -> bool:
        """Whether nothing failed and nothing was blocked."""
        return not self.failures and not self.blocked

    def row(self) -> dict[str, Any]:
        """The numbers as a row."""
        return {
            "step": self.step,
            "made": self.made,
            "fresh": self.fresh,
            "adopted": self.adopted,
            "empty": self.empty,
            "failed": len(self.failures),
            "blocked": len(self.blocked),
            "seconds": round(self.elapsed, 3),
        }


@dataclass
class RunReport:
    """What a run did in all its steps, in the order in which they ran."""

    steps: list[StepReport] = field(default_factory=list)

    def __iter__(self) -> Iterator[StepReport]:
        return iter(self.steps)

    @property
    def is_good(self) -> bool:
        """Whether nothing failed and nothing was blocked."""
        return all(step.is_good for step in self.steps)

    @property
    def made(self) -> int:
        """Number of results computed."""
        return sum(step.made for step in self.steps)

    def table(self) -> pl.DataFrame:
        """One row per step: made, fresh, adopted, empty, failed, blocked, seconds."""
        return pl.DataFrame([step.row() for step in self.steps])

    def failures(self) -> pl.DataFrame:
        """One row per entry that failed or was blocked, with the reason."""
        rows = [
            {"step": step.step, "entry": entry, "state": state, "message": message}
            for step in self.steps
            for state, entries in (("failed", step.failures), ("blocked", step.blocked))
            for entry, message in entries.items()
        ]
        schema = {"step": pl.String, "entry": pl.String, "state": pl.String, "message": pl.String}
        return pl.DataFrame(rows, schema=schema)

    def failure_message(self) -> str:
        """One sentence about what failed, with the first examples."""
        failed = [(s.step, e, m) for s in self.steps for e, m in s.failures.items()]
        blocked = sum(len(step.blocked) for step in self.steps)
        shown = "; ".join(f"{step} {entry}: {message}" for step, entry, message in failed[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        return f"{len(failed)} failed, {blocked} blocked. {shown}{more}"

    def raise_if_failed(self) -> None:
        """Raise when anything failed or was blocked.

        Raises
        ------
        RunFailedError
            Carries this report; everything good is stored by then.
        """
        if not self.is_good:
            error = RunFailedError(
                self.failure_message(),
                "Everything good is stored; `mosaic status` and `mosaic why` tell more.",
            )
            error.report = self
            raise error
