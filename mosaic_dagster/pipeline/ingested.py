"""What is read from source files: tracks, and each kind of labels.

They go through the same motions as any feature: an action key made of the digests of the source
files, the reader and its parameters; a look-up before anything is read; one record per entry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.identity import source_action_key, source_run_id
from mosaic_dagster.dataset.scan import FoundSource, SourceScan
from mosaic_dagster.dataset.sources import reader_of, readers_for, resolve_params
from mosaic_dagster.errors import MosaicError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import EntryStatus, result_of, status_of
from mosaic_dagster.pipeline.steps import NO_PIPELINE
from mosaic_dagster.store import Dependency, Outcome, RunRow, SourceRow, StoredResult
from mosaic_dagster.store.feature_registry.records import OutcomeState

VANISHED = "source vanished before it was read; `mosaic clean --apply` forgets the recording"
CHANGED = "source changed"


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
        State of each.
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
        self.keys = tuple(map(str, sorted(EntryKey.parse(text) for text in statuses)))
        self.statuses: Mapping[str, EntryStatus] = {key: statuses[key] for key in self.keys}

    @property
    def run_id(self) -> str:
        """The run under which reading it is recorded."""
        return source_run_id(self.asset)

    @property
    def vanished(self) -> list[str]:
        """Paths of recorded sources that are gone."""
        return [row.path for row in self.scan.vanished]

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

    def __init__(
        self, asset: str, dataset: Dataset, snapshot: Snapshot, scan: SourceScan, pinned: bool
    ) -> None:
        self.asset = asset
        self.dataset = dataset
        self.snapshot = snapshot
        self.pinned = pinned
        self.heads = snapshot.of_step(NO_PIPELINE, asset)
        self.sources: dict[str, list[FoundSource]] = {
            str(key): found for key, found in scan.by_entry().items()
        }
        self.facts = facts_of(dataset)
        self.incomplete = _incomplete(scan, self.sources)

    @abstractmethod
    def without_source(self, key: str) -> EntryStatus:
        """State of an entry that no file feeds any more, or none ever did."""

    @abstractmethod
    def state_of(self, key: str, rows: int) -> OutcomeState:
        """State of what is stored."""

    @abstractmethod
    def sources_then(self, key: str) -> str | None:
        """Digests of the sources that the recorded result was read from, joined by ``+``."""

    def statuses(self, keys: Iterable[str]) -> dict[str, EntryStatus]:
        """State of these entries."""
        found: dict[str, EntryStatus] = {}
        wanted: dict[str, tuple[str, tuple[Dependency, ...]]] = {}
        for key in keys:
            if key not in self.sources:
                found[key] = self.without_source(key)
            elif key in self.incomplete and key not in self.heads:
                found[key] = EntryStatus("blocked", VANISHED)
            elif self.pinned or key in self.incomplete:
                found[key] = self.as_recorded(key)
            else:
                try:
                    wanted[key] = self._wanted(key)
                except MosaicError as error:
                    found[key] = EntryStatus("blocked", str(error), head=self.heads.get(key))
        return found | self._look_up(wanted)

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
        if result.output_sha256 is None or not self.snapshot.present([(key, result)]):
            return EntryStatus("blocked", gone, head=head)
        state = self.state_of(key, result.rows)
        return EntryStatus(state, "", head.action_key, result, head=head)

    def _wanted(self, key: str) -> tuple[str, tuple[Dependency, ...]]:
        sources = self.sources[key]
        rule = sources[0].rule
        reader = reader_of(rule, sources[0].path)
        digests = [source.sha256 for source in sources]
        params = resolve_params(reader, rule, self.facts)
        action = source_action_key(
            self.asset, EntryKey.parse(key), digests, reader.name, reader.version, params
        )
        inputs = tuple(Dependency(f"source:{i}", sha) for i, sha in enumerate(sorted(digests)))
        return action, inputs

    def _look_up(
        self, wanted: Mapping[str, tuple[str, tuple[Dependency, ...]]]
    ) -> dict[str, EntryStatus]:
        unknown = [
            action
            for key, (action, _) in wanted.items()
            if key not in self.heads or self.heads[key].action_key != action
        ]
        results = dict(self.snapshot.find_results(unknown))
        for head in self.heads.values():
            if head.output_sha256 is not None:
                results.setdefault(head.action_key, result_of(head))
        present = self.snapshot.present(
            (key, results[action]) for key, (action, _) in wanted.items() if action in results
        )
        return {
            key: self._decide(key, action, inputs, results.get(action), present)
            for key, (action, inputs) in wanted.items()
        }

    def _decide(
        self,
        key: str,
        action: str,
        inputs: tuple[Dependency, ...],
        result: StoredResult | None,
        present: set[str],
    ) -> EntryStatus:
        head = self.heads.get(key)
        status = EntryStatus("missing", "new", action, None, inputs, head)
        if result is not None and result.output_sha256 in present:
            state = self.state_of(key, result.rows)
            return replace(status, state=state, reason="", result=result)
        if result is not None:
            return replace(status, state="stale", reason="object missing")
        if head is None:
            return status
        if head.action_key == action:
            if head.state == "failed":
                return replace(status, state="failed", reason="failed before")
            return replace(status, state="stale", reason="object missing")
        now = "+".join(sorted(item.sha256 for item in inputs))
        reason = CHANGED if self.sources_then(key) != now else "params"
        return replace(status, state="stale", reason=reason)


def _incomplete(scan: SourceScan, sources: Mapping[str, Sequence[FoundSource]]) -> frozenset[str]:
    """Entries of several files of which some are gone.

    Read without them, an animal would be missing and the others numbered anew; so what was read
    stays until the missing files are forgotten.
    """
    found = set()
    for row in scan.vanished:
        for source in sources.get(row.key, ()):
            reader = readers_for(source.rule)[source.rule.format]
            if reader.merges and row.rule == f"{source.rule.format}:{source.rule_digest}":
                found.add(row.key)
    return frozenset(found)


def facts_of(dataset: Dataset) -> Facts:
    """The facts of a dataset that reading and features take."""
    manifest = dataset.manifest
    return Facts(manifest.fps, manifest.unit, tuple(manifest.keypoints))
