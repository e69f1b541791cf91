"""States of entries and steps: the words people read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mosaic_dagster.store import Dependency, Head, Outcome, StoredResult
from mosaic_dagster.store.feature_registry.records import OutcomeState

State = Literal["fresh", "empty", "stale", "missing", "failed", "blocked"]
StepState = Literal["fresh", "partial", "stale", "missing", "failed", "empty"]

MODEL = ""
"""Key of a step's fitted state, beside the keys of its entries."""

DONE: frozenset[State] = frozenset({"fresh", "empty"})
"""States in which there is nothing to do."""

PENDING: frozenset[State] = frozenset({"stale", "missing"})
"""States in which a run would compute."""

STOPPED: frozenset[State] = frozenset({"failed", "blocked"})
"""States that keep everything below from being made."""


@dataclass(slots=True, unsafe_hash=True)
class EntryStatus:
    """Where one entry of one step (or a step's fitted state) stands.

    Never changed once it is made. It is not frozen, since that takes three times as long to make
    and a status makes tens of thousands.

    Attributes
    ----------
    state
        fresh, empty (fresh without rows), stale, missing, failed, or blocked (something it
        needs failed).
    reason
        Why it is not fresh: ``params``, ``version``, ``input``, ``model``, ``upstream``,
        ``source changed``, ``object missing``, ``forced``, ``new``, or which step stopped it.
    action_key
        The key the result has or would have; None while something above is not made yet.
    result
        What is stored under that key.
    inputs
        Role, digest and action key of what it is made from; empty while not known.
    head
        What the registry last recorded for it.
    error
        What a blocking check found in the result, which is there and counts as failed.
    """

    state: State
    reason: str = ""
    action_key: str | None = None
    result: StoredResult | None = None
    inputs: tuple[Dependency, ...] = ()
    head: Head | None = None
    error: str = ""

    @property
    def is_computable(self) -> bool:
        """Whether everything it needs is there; what a check refused would come out the same."""
        return self.action_key is not None and self.state not in DONE and not self.error

    @property
    def needs_adoption(self) -> bool:
        """Whether a result made elsewhere is not yet this step's recorded one."""
        head = self.head
        return self.state in DONE and (
            head is None or head.action_key != self.action_key or head.state not in DONE
        )


def made_state(key: str, rows: int) -> OutcomeState:
    """State of what was made: a table without rows is empty, a fitted state never is."""
    return "fresh" if rows or key == MODEL else "empty"


def step_state(states: Iterable[State]) -> StepState:
    """One word for a step: the first that holds of failed, partial, stale, missing, empty, fresh.

    Examples
    --------
    >>> step_state(["fresh", "failed"]), step_state(["failed", "blocked"]), step_state([])
    ('partial', 'failed', 'missing')
    """
    found = set(states)
    if found & STOPPED:
        good = found & (DONE | PENDING)
        return "partial" if good else "failed"
    if "stale" in found:
        return "stale"
    if "missing" in found:
        return "partial" if found & DONE else "missing"
    if found == {"empty"}:
        return "empty"
    return "fresh" if found else "missing"


def status_of(outcome: Outcome) -> EntryStatus:
    """The status that an outcome leaves behind."""
    if outcome.state == "failed":
        return EntryStatus("failed", "failed now", outcome.action_key, inputs=outcome.inputs)
    result = StoredResult(
        outcome.action_key, outcome.output_sha256, outcome.ext, outcome.rows, outcome.bytes,
        outcome.seconds, outcome.run_id, outcome.key,
    )  # fmt: skip
    return EntryStatus(outcome.state, "", outcome.action_key, result, outcome.inputs)


def result_of(head: Head) -> StoredResult:
    """The result that a head points to."""
    return StoredResult(
        head.action_key, head.output_sha256, head.ext, head.rows, head.bytes, head.seconds,
        head.run_id, head.key,
    )  # fmt: skip
