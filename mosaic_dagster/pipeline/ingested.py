"""What is read from source files: tracks, and each kind of labels.

They go through the same motions as any feature: an action key made of the digests of the source
files, the reader and its parameters; a look-up before anything is read; one record per entry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.found_source import FoundSource
from mosaic_dagster.dataset.identity import SourceKeys, source_run_id
from mosaic_dagster.dataset.paths import absolute_text, lies_at, recorded_path, resolve_path
from mosaic_dagster.dataset.scan import SourceScan
from mosaic_dagster.dataset.sources import reader_of, readers_for, resolve_params
from mosaic_dagster.errors import MosaicError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.entry_states import EntryStates, Made, Read, Recorded, found_again
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import EntryStatus, result_of, status_of
from mosaic_dagster.pipeline.steps import NO_PIPELINE
from mosaic_dagster.store import Dependency, Head, Outcome, RunRow, SourceRow, StoredResult
from mosaic_dagster.store.feature_registry.records import OutcomeState

VANISHED = "source vanished before it was read; `mosaic clean --apply` forgets the recording"
CHANGED = "source changed"
ABSENT = "the folder of its source is not there; mount the disk and run again"
UNSETTLED = "its source may still be written"
REFUSED = "its source cannot be used; `mosaic status` says why"
_AWAY = {"absent": ABSENT, "unsettled": UNSETTLED, "refused": REFUSED}


@dataclass(frozen=True)
class Facts:
    """What reading takes from the manifest."""

    fps: float | None
    unit: str | None
    keypoints: tuple[str, ...]


class Ingested(ABC):
    """Where one asset that is read from files stands, entry by entry, and what reading it needs.

    Attributes
    ----------
    asset
        ``tracks`` or ``labels/<kind>``; also its step name.
    keys
        Its entries, by group and sequence.
    statuses
        State of each, in their order.
    scan
        What was found on disk.
    sources
        Source files by entry.
    """

    def __init__(
        self,
        asset: str,
        dataset: Dataset,
        scan: SourceScan,
        statuses: Mapping[str, EntryStatus],
    ) -> None:
        self.asset = asset
        self.dataset = dataset
        self.scan = scan
        self.sources = {str(key): found for key, found in scan.by_entry().items()}
        self.keys = tuple(statuses)
        self.statuses = statuses

    @property
    def run_id(self) -> str:
        """The run under which reading it is recorded."""
        return source_run_id(self.asset)

    @property
    def vanished(self) -> list[str]:
        """Paths of recorded sources that are gone."""
        return [row.path for row in self.scan.vanished]

    @property
    def renamed(self) -> dict[str, str]:
        """Those of them that were renamed: to which file, and which recording if another."""
        told = {}
        for renamed in self.scan.renamed:
            path = recorded_path(renamed.now.path, self.dataset.base)
            entry = "" if renamed.is_same_entry else f", recording {renamed.now.key}"
            told[renamed.row.path] = f"{path}{entry}"
        return told

    @property
    def unnamed(self) -> list[str]:
        """Those of them that lie where no source rule of the dataset looks any more."""
        base = self.dataset.base
        rules = [rule for rule in self.dataset.manifest.sources if rule.asset == self.asset]
        roots = [resolve_path(rule.path, base).as_posix() for rule in rules]
        return [
            path
            for path in dict.fromkeys(self.vanished)
            if not any(lies_at(absolute_text(path, base), root) for root in roots)
        ]

    @property
    def told_vanished(self) -> list[str]:
        """Each recorded source that is gone, once, with what it was renamed to."""
        renamed, unnamed = self.renamed, frozenset(self.unnamed)
        told = {path: f"renamed to {name}" for path, name in renamed.items()}
        told |= dict.fromkeys(unnamed - renamed.keys(), "no source names it any more")
        paths = dict.fromkeys(self.vanished)
        return [f"{path} ({told[path]})" if path in told else path for path in paths]

    @property
    def absent(self) -> list[str]:
        """Each place of sources that is gone as a whole, and what to do."""
        return [root.describe() for root in self.scan.absent]

    @property
    def refused(self) -> dict[str, str]:
        """Files that no entry can be made of, and why."""
        return {str(refusal.path): refusal.reason for refusal in self.scan.refused}

    @property
    @abstractmethod
    def notes(self) -> list[str]:
        """What to tell about files that are passed over without being wrong."""

    @abstractmethod
    def state_of(self, key: str, rows: int) -> OutcomeState:
        """State of what was read."""

    @abstractmethod
    def register(self) -> list[str]:
        """Record new entries and what the scan learned about files; gives the new keys.

        A second call finds nothing left to record.
        """

    def run_start(self) -> RunRow:
        """The registry's row for an attempt at reading."""
        return RunRow(run_id=self.run_id, feature=self.run_id, version="1", params_json="{}")

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Take in what was just read or found."""
        self.statuses = dict(self.statuses) | {o.key: status_of(o) for o in outcomes}

    def needing_adoption(self, outcomes: Iterable[Outcome]) -> list[str]:
        """Keys of reused outcomes that are not yet what is recorded."""
        return [o.key for o in outcomes if self.statuses[o.key].needs_adoption and o.action_key]

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Record sources beside the heads; part of the caller's session."""
        found = [source for o in outcomes for source in self.sources.get(o.key, [])]
        self.dataset.registry.put_sources(source.row(self.dataset.base) for source in found)

    def take_updates(self) -> Sequence[SourceRow]:
        """What the scan learned about files, once."""
        updates = self.scan.updates
        self.scan = replace(self.scan, updates=())
        return updates


_Wanted = tuple[str, list[str]]
"""Action key of an entry, and the digests of its source files, sorted."""


class StatusReader(ABC):
    """Works out the state of each entry of an asset that is read from files.

    Parameters
    ----------
    asset
        See :class:`Ingested`.
    dataset, snapshot, scan
        The dataset, its recorded heads, and what lies on disk.
    pinned
        Whether what is recorded counts as it is, since this run reads no files.
    """

    rows_matter: ClassVar[bool] = True
    """Whether what has no rows is empty."""

    def __init__(
        self, asset: str, dataset: Dataset, snapshot: Snapshot, scan: SourceScan, pinned: bool
    ) -> None:
        self.asset = asset
        self.dataset = dataset
        self.snapshot = snapshot
        self.pinned = pinned
        self.sources: dict[str, list[FoundSource]] = {
            str(key): found for key, found in scan.by_entry().items()
        }
        self.facts = facts_of(dataset)
        self._keys: dict[tuple[str, str], SourceKeys] = {}
        self.incomplete = _incomplete(scan, self.sources)
        self.away = {row.key: VANISHED for row in scan.vanished}
        self.away |= {held.row.key: _AWAY[held.why] for held in scan.held}

    @cached_property
    def heads(self) -> dict[str, Head]:
        """What is recorded, by entry."""
        return self.snapshot.of_step(NO_PIPELINE, self.asset)

    @abstractmethod
    def without_source(self, key: str) -> EntryStatus:
        """State of an entry that no file feeds any more, or none ever did."""

    @abstractmethod
    def state_of(self, key: str, rows: int) -> OutcomeState:
        """State of what is stored."""

    @abstractmethod
    def sources_then(self, key: str) -> str | None:
        """Digests of the sources that the recorded result was read from, joined by ``+``."""

    def statuses(self, keys: Iterable[str]) -> Mapping[str, EntryStatus]:
        """State of these entries, by group and sequence."""
        found: dict[str, EntryStatus] = {}
        wanted: dict[str, _Wanted] = {}
        ordered = sorted(keys, key=_place)
        for key in ordered:
            if key not in self.sources:
                found[key] = self.without_source(key)
            elif key in self.incomplete and key not in self.heads:
                found[key] = EntryStatus("blocked", self.away[key])
            elif self.pinned or key in self.incomplete:
                found[key] = self.as_recorded(key)
            else:
                try:
                    wanted[key] = self._wanted(key)
                except MosaicError as error:
                    found[key] = EntryStatus("blocked", str(error), head=self.heads.get(key))
        same = self._as_they_were(wanted)
        for key in () if same is None else same.table["key"].to_list():
            del wanted[key]
        found |= self._look_up(wanted)
        if same is None:
            return {key: found[key] for key in ordered}
        return EntryStates(ordered, same, (), found)

    def _as_they_were(self, wanted: Mapping[str, _Wanted]) -> Recorded | None:
        """Entries of one file whose record is what reading them would make now."""
        single = [key for key, (_, digests) in wanted.items() if len(digests) == 1]
        table = self.snapshot.table_of(NO_PIPELINE, self.asset, single)
        if table is None or not self.rows_matter:
            return None
        asked = [wanted[key] for key in table["key"].to_list()]
        made = Made([digests[0] for _, digests in asked], [None] * len(asked))
        known = Recorded(table, [Read("source:0", made)])
        return found_again(self.snapshot, known, [action for action, _ in asked])

    def as_recorded(self, key: str, gone: str = "object missing") -> EntryStatus:
        """State of an entry by its record alone.

        Parameters
        ----------
        key
            The entry.
        gone
            What to say when the recorded object is not there.
        """
        head = self.heads.get(key)
        if head is None:
            return EntryStatus("missing", "new")
        if head.state == "failed" and key in self.sources:
            return EntryStatus("failed", "failed before", head.action_key, head=head)
        result = result_of(head)
        if result.output_sha256 is None or not self.snapshot.present([result]):
            return EntryStatus("blocked", gone, head=head)
        state = self.state_of(key, result.rows)
        return EntryStatus(state, "", head.action_key, result, head=head)

    def _wanted(self, key: str) -> _Wanted:
        sources = self.sources[key]
        digests = sorted([source.sha256 for source in sources])
        action = self._keys_of(sources[0]).of(EntryKey.parse(key), digests)
        return action, digests

    def _keys_of(self, source: FoundSource) -> SourceKeys:
        """What makes the keys of all that is read like this source."""
        alike = (source.rule_digest, source.rule.format)
        if alike not in self._keys:
            reader = reader_of(source.rule, source.path)
            params = resolve_params(reader, source.rule, self.facts)
            self._keys[alike] = SourceKeys(self.asset, reader.name, reader.version, params)
        return self._keys[alike]

    def _look_up(self, wanted: Mapping[str, _Wanted]) -> dict[str, EntryStatus]:
        if not wanted:
            return {}
        results: dict[str, StoredResult] = {}
        unknown = []
        for key, (action, _) in wanted.items():
            head = self.heads.get(key)
            if head is None or head.action_key != action:
                unknown.append(action)
            elif head.output_sha256 is not None:
                results[action] = result_of(head)
        results |= self.snapshot.find_results(unknown)
        present = self.snapshot.present(results.values())
        return {
            key: self._decide(key, action, digests, results.get(action), present)
            for key, (action, digests) in wanted.items()
        }

    def _decide(
        self,
        key: str,
        action: str,
        digests: Sequence[str],
        result: StoredResult | None,
        present: set[str],
    ) -> EntryStatus:
        inputs = tuple([Dependency(f"source:{i}", sha) for i, sha in enumerate(digests)])
        head = self.heads.get(key)
        if result is not None and result.output_sha256 in present:
            state = self.state_of(key, result.rows)
            return EntryStatus(state, "", action, result, inputs, head)
        status = EntryStatus("missing", "new", action, None, inputs, head)
        if result is not None:
            return replace(status, state="stale", reason="object missing")
        if head is None:
            return status
        if head.action_key == action:
            if head.state == "failed":
                return replace(status, state="failed", reason="failed before")
            return replace(status, state="stale", reason="object missing")
        now = "+".join(digests)
        reason = CHANGED if self.sources_then(key) != now else "params"
        return replace(status, state="stale", reason=reason)


def _place(text: str) -> tuple[str, str]:
    key = EntryKey.parse(text)
    return key.group, key.sequence


def _incomplete(scan: SourceScan, sources: Mapping[str, Sequence[FoundSource]]) -> frozenset[str]:
    """Entries of several files of which some are gone, or not looked at.

    Read without them, an animal would be missing and the others numbered anew; so what was read
    stays until the missing files are forgotten.
    """
    found = set()
    for row in (*scan.vanished, *(held.row for held in scan.held)):
        together = sources.get(row.key, ())
        for source in together:
            reader = readers_for(source.rule)[source.rule.format]
            alike = row.rule == f"{source.rule.format}:{source.rule_digest}"
            if reader.merges and alike and row.sha256 not in {s.sha256 for s in together}:
                found.add(row.key)
    return frozenset(found)


def facts_of(dataset: Dataset) -> Facts:
    """The facts of a dataset that reading and features take."""
    manifest = dataset.manifest
    return Facts(manifest.fps, manifest.unit, tuple(manifest.keypoints))
