"""Rows that go in and out of the feature registry.

Times are UTC without a zone, sizes in bytes, durations in seconds. Digests are 64 hex digits.

None of them is changed once it is made. Those that a status makes by tens of thousands are not
frozen, since that takes twice as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

OutcomeState = Literal["fresh", "empty", "failed"]
"""What computing an entry led to; empty is a table without rows, and a success."""

RunStatus = Literal["running", "finished", "failed"]
"""Where an attempt of a run stands."""

SourceState = Literal["present", "vanished"]
"""Whether a raw file was there when it was last looked for."""


@dataclass(slots=True, unsafe_hash=True)
class Dependency:
    """One input of a result.

    Parameters
    ----------
    role
        Name of the input in the step; ``member:<name>`` for a file that a state consists of.
    sha256
        Digest of the object that was read.
    action_key
        Result that it was, or None for raw input.
    """

    role: str
    sha256: str
    action_key: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What is in a table, in numbers; the same for equal tables.

    Parameters
    ----------
    rows
        Number of rows.
    frames
        Number of different frames; 0 without a column ``frame``.
    duplicated
        Number of rows whose key an earlier row has already.
    columns
        Names of the numeric value columns; the other lists have one number for each.
    missing
        Share of rows without a value, in [0, 1]; NaN without rows.
    low, high, mean, sd
        Over the values that are there; NaN where there is none.
    """

    rows: int
    frames: int
    duplicated: int
    columns: tuple[str, ...] = ()
    missing: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step made of one entry, or of all when it was fitted.

    Parameters
    ----------
    pipeline, step
        Which step.
    key
        Entry key; empty for a fitted state.
    run_id
        The step's declaration.
    action_key
        What the result is a function of.
    state
        How it ended.
    output_sha256, ext
        The object; None when it failed.
    rows, bytes, seconds
        Rows of the table, size of the object, time of computing.
    error
        JSON text about a failure.
    inputs
        What it was computed from.
    made
        Computed now; False when an older result was adopted, of which only the head is written.
    profile
        What is in the table that was made, where somebody checks it.
    """

    pipeline: str
    step: str
    key: str
    run_id: str
    action_key: str
    state: OutcomeState
    output_sha256: str | None
    ext: str
    rows: int
    bytes: int
    seconds: float
    error: str | None
    inputs: tuple[Dependency, ...]
    made: bool
    profile: Profile | None = None


class Head(NamedTuple):
    """Where a step stands for one entry; the last five are of its result, if it has one.

    A tuple, since a status reads tens of thousands and a data class takes twice as long to make.
    """

    step: str
    key: str
    run_id: str
    action_key: str
    state: OutcomeState
    error: str | None
    updated_at: datetime
    output_sha256: str | None
    ext: str
    rows: int
    bytes: int
    seconds: float


class StoredResult(NamedTuple):
    """A result that some run made; the output is None for a file outside the store."""

    action_key: str
    output_sha256: str | None
    ext: str
    rows: int
    bytes: int
    seconds: float
    made_by: str
    key: str


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A stored result with the feature whose run made it; empty when that is not known."""

    action_key: str
    feature: str
    made_by: str
    bytes: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """One attempt at a run: the declaration of a step, started now."""

    run_id: str
    feature: str
    version: str
    params_hash: str = ""
    params_json: str | None = None
    inputs_json: str | None = None


@dataclass(slots=True, unsafe_hash=True)
class EntryRow:
    """One recording of the dataset and the digests of its tracks and of their source."""

    group: str
    sequence: str
    key: str
    tracks_sha256: str | None
    source_sha256: str | None
    state: str
    added_at: datetime


@dataclass(slots=True, unsafe_hash=True)
class SourceRow:
    """A raw file that feeds an entry, as it was when it was last hashed.

    Parameters
    ----------
    path, key
        The file and the entry that it feeds.
    rule
        Name of the source rule that found it.
    sha256
        Digest of its content, or None when it could not be read.
    size, mtime_ns, inode
        What ``stat`` said then: bytes, nanoseconds, number.
    state
        Whether it is still there.
    asset
        What it is turned into: ``tracks``, or ``labels/<kind>``.
    """

    path: str
    key: str
    rule: str
    sha256: str | None
    size: int | None
    mtime_ns: int | None
    inode: int | None
    state: SourceState
    asset: str = "tracks"
