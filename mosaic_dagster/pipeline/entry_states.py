"""States of the entries of a step, mostly kept as columns.

Of thousands of entries nearly all are as recorded. For these, three lists of text and the recorded
table say everything, and a state is made when somebody looks at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import polars as pl

from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.identity import entry_key_of, input_lines
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus, State, made_state, result_of
from mosaic_dagster.store import Dependency, Head, StoredResult

_ONE_BY_ONE = 32
"""States that are made one at a time; who asks for more will ask for all."""

_RESULT = ("action_key", "output_sha256", "ext", "rows", "bytes", "seconds", "run_id", "key")
_OBJECT = ("output_sha256", "ext", "bytes")


class Made(NamedTuple):
    """Digest and action key of each of some entries; None where it is not made, or not there."""

    digests: Sequence[str | None]
    action_keys: Sequence[str | None]


class Read(NamedTuple):
    """One input of every entry: its role, and what is made of it."""

    role: str
    made: Made


class Recorded(NamedTuple):
    """What is recorded for some entries, row by row, and what they would be made from now."""

    table: pl.DataFrame
    reads: Sequence[Read]

    def at(self, rows: Sequence[int]) -> Recorded:
        """Some of the rows."""
        if len(rows) == self.table.height:
            return self
        reads = [
            Read(
                role,
                Made([made.digests[i] for i in rows], [made.action_keys[i] for i in rows]),
            )
            for role, made in self.reads
        ]
        return Recorded(self.table[list(rows)] if rows else self.table.clear(), reads)


@dataclass
class Tally:
    """Some states, counted.

    Attributes
    ----------
    states
        How many there are of each.
    modified
        When the last of them was recorded.
    stored
        Size of each object among the results.
    """

    states: Counter[State] = field(default_factory=Counter)
    modified: datetime | None = None
    stored: dict[str, int] = field(default_factory=dict)

    def __or__(self, other: Tally) -> Tally:
        times = [time for time in (self.modified, other.modified) if time is not None]
        return Tally(
            self.states + other.states, max(times, default=None), self.stored | other.stored
        )


class EntryStates(Mapping[str, EntryStatus]):
    """States by key, in the order of the keys.

    Parameters
    ----------
    keys
        All keys.
    recorded
        Entries that are as recorded.
    shared
        What each of those is made from, too.
    others
        States of all other entries.
    """

    def __init__(
        self,
        keys: Sequence[str],
        recorded: Recorded,
        shared: Sequence[Dependency],
        others: Mapping[str, EntryStatus],
    ) -> None:
        self.keys_in_order = keys
        self.recorded = recorded.table
        self.reads = recorded.reads
        self.shared = tuple(shared)
        self.others = others
        self._rows = {key: row for row, key in enumerate(self.recorded["key"].to_list())}
        self._built: dict[str, EntryStatus] = {}
        self._is_complete = False

    def __len__(self) -> int:
        return len(self.keys_in_order)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_in_order)

    def __contains__(self, key: object) -> bool:
        return key in self._rows or key in self.others

    def __getitem__(self, key: str) -> EntryStatus:
        if key in self.others:
            return self.others[key]
        if key not in self._built and len(self._built) > _ONE_BY_ONE:
            self.all()
        if key not in self._built:
            row = self._rows[key]
            self._built[key] = self._status(row, Head(*self.recorded.row(row)))
        return self._built[key]

    def with_whole(self, status: EntryStatus) -> EntryStates:
        """The same with the state of what the step makes of its whole scope, as the first."""
        recorded = Recorded(self.recorded, self.reads)
        others = {**self.others, MODEL: status}
        found = EntryStates((MODEL, *self.keys_in_order), recorded, self.shared, others)
        found._built, found._is_complete = self._built, self._is_complete
        return found

    def all(self) -> Mapping[str, EntryStatus]:
        """All of them as a dict; quicker than one after the other."""
        if not self._is_complete:
            heads = map(Head._make, zip(*(c.to_list() for c in self.recorded), strict=True))
            made = (self._status(row, head) for row, head in enumerate(heads))
            self._built |= dict(zip(self._rows, made, strict=True))
            self._is_complete = True
        others, built = self.others, self._built
        return {key: others[key] if key in others else built[key] for key in self.keys_in_order}

    def unfinished(self) -> Iterator[tuple[str, EntryStatus]]:
        """Key and state of all that are not fresh."""
        empty = set(self.recorded.filter(pl.col("rows") == 0)["key"].to_list())
        for key in self.keys_in_order if empty or self.others else ():
            if (key in empty or key in self.others) and self[key].state != "fresh":
                yield key, self[key]

    def adoptable(self, told: Callable[[str], str | None]) -> set[str]:
        """Those that are as recorded, of which another digest was told, or a failure recorded."""
        digests = self.recorded["output_sha256"].to_list()
        unlike = {k for k, digest in zip(self._rows, digests, strict=True) if told(k) != digest}
        failed = self.recorded.filter(pl.col("state").is_in(sorted(DONE)).not_())
        return unlike | set(failed["key"].to_list())

    def results(self) -> dict[str, StoredResult]:
        """Results of the entries that are as recorded."""
        columns = (self.recorded[name].to_list() for name in _RESULT)
        made = map(StoredResult._make, zip(*columns, strict=True))
        return dict(zip(self._rows, made, strict=True))

    def tally(self) -> Tally:
        """Count them."""
        found = _tally_of(self.others.values())
        empty = int((self.recorded["rows"] == 0).sum())
        found.states += Counter({"fresh": self.recorded.height - empty, "empty": empty})
        latest = self.recorded["updated_at"].max()
        if isinstance(latest, datetime):
            found.modified = max(latest, found.modified or latest)
        digests, sizes = (self.recorded[c].to_list() for c in ("output_sha256", "bytes"))
        found.stored |= dict(zip(digests, sizes, strict=True))
        return found

    def _status(self, row: int, head: Head) -> EntryStatus:
        inputs = [
            Dependency(role, str(made.digests[row]), made.action_keys[row])
            for role, made in self.reads
        ]
        state = made_state(head.key, head.rows)
        result = result_of(head)
        return EntryStatus(state, "", head.action_key, result, (*inputs, *self.shared), head)


def made_of(states: Mapping[str, EntryStatus], keys: Sequence[str]) -> Made:
    """Digest and action key of these entries."""
    found: dict[str, tuple[str | None, str | None]] = {}
    if isinstance(states, EntryStates):
        digests, actions = (states.recorded[c].to_list() for c in ("output_sha256", "action_key"))
        names = states.recorded["key"].to_list()
        if names == list(keys):
            return Made(digests, actions)
        found.update(zip(names, zip(digests, actions, strict=True), strict=True))
        states = states.others
    for key, status in states.items():
        if status.state in DONE and status.result is not None:
            found[key] = (status.result.output_sha256, status.action_key)
    pairs = [found.get(key, (None, None)) for key in keys]
    return Made([digest for digest, _ in pairs], [action for _, action in pairs])


def recorded_results(
    states: Mapping[str, EntryStatus],
) -> tuple[dict[str, StoredResult], Mapping[str, EntryStatus]]:
    """Results of entries that are as recorded, as far as these are told apart; the others."""
    if isinstance(states, EntryStates):
        return states.results(), states.others
    return {}, states


def unfinished(states: Mapping[str, EntryStatus]) -> Iterator[tuple[str, EntryStatus]]:
    """Key and state of all that are not fresh."""
    if isinstance(states, EntryStates):
        yield from states.unfinished()
    else:
        yield from ((key, status) for key, status in states.items() if status.state != "fresh")


def seconds_taken(states: Mapping[str, EntryStatus]) -> list[float]:
    """Recorded seconds of those that something is recorded for."""
    known: list[float] = []
    if isinstance(states, EntryStates):
        known = states.recorded["seconds"].to_list()
        states = states.others
    return known + [s.head.seconds for s in states.values() if s.head is not None]


def tally(states: Mapping[str, EntryStatus]) -> Tally:
    """Count states."""
    return states.tally() if isinstance(states, EntryStates) else _tally_of(states.values())


def as_recorded(
    snapshot: Snapshot, step: BoundStep, known: Recorded, shared: Sequence[Dependency]
) -> Recorded:
    """Those of some entries that have a result under the key they would have now.

    Parameters
    ----------
    snapshot
        Which objects are there.
    step
        The step.
    known
        Entries that something is recorded for.
    shared
        What all are made from.
    """
    keys = known.table["key"].to_list()
    # What is not made reads "None" here, which is in no key.
    columns = [[f"\n{role}={digest}" for digest in made.digests] for role, made in known.reads]
    own = columns[0] if columns else [""] * len(keys)
    for column in columns[1:]:
        own = [lines + more for lines, more in zip(own, column, strict=True)]
    declaration, lines = step.declaration, input_lines(shared)
    pairs = zip(keys, own, strict=True)
    now = [entry_key_of(declaration, key, read + lines) for key, read in pairs]
    return found_again(snapshot, known, now)


def found_again(snapshot: Snapshot, known: Recorded, now: Sequence[str]) -> Recorded:
    """Those of some entries that are recorded under these action keys, and are there."""
    then = known.table["action_key"].to_list()
    same = known.at([row for row, (a, b) in enumerate(zip(now, then, strict=True)) if a == b])
    objects = list(zip(*(same.table[name].to_list() for name in _OBJECT), strict=True))
    there = snapshot.present_objects(objects)
    return same.at([row for row, (digest, _, _) in enumerate(objects) if digest in there])


def _tally_of(states: Iterable[EntryStatus]) -> Tally:
    found = Tally()
    for status in states:
        found.states[status.state] += 1
        head, result = status.head, status.result
        if head is not None and (found.modified is None or head.updated_at > found.modified):
            found.modified = head.updated_at
        if result is not None and result.output_sha256 is not None:
            found.stored[result.output_sha256] = result.bytes
    return found
