"""Tracks, the first step of every pipeline: which of them are up to date.

Tracks go through the same motions as any feature: an action key made of the digests of the source
files, the reader and its parameters; a look-up before anything is read; one record per entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.identity import tracks_action_key
from mosaic_dagster.dataset.reading import reader_of, resolve_params
from mosaic_dagster.dataset.scan import FoundSource, SourceScan
from mosaic_dagster.errors import MosaicError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import EntryStatus, made_state, result_of, status_of
from mosaic_dagster.pipeline.steps import TRACKS
from mosaic_dagster.store import (
    Dependency,
    EntryRow,
    Outcome,
    RunRow,
    SourceRow,
    StoredResult,
)

NO_PIPELINE = ""
"""Pipeline under which the heads of tracks are kept: they belong to all."""

VANISHED = "source vanished before it was read; `mosaic clean --apply` forgets the recording"
CHANGED = "source changed"


@dataclass(frozen=True)
class Facts:
    """What reading takes from the manifest."""

    fps: float | None
    unit: str | None
    keypoints: tuple[str, ...]


class TracksState:
    """Where the tracks of each entry stand, and what reading them needs.

    Attributes
    ----------
    keys
        Every entry that is registered or was just found, by group and sequence.
    statuses
        State of each.
    scan
        What was found on disk.
    """

    run_id = TRACKS

    def __init__(
        self,
        dataset: Dataset,
        scan: SourceScan,
        rows: Mapping[str, EntryRow],
        statuses: Mapping[str, EntryStatus],
    ) -> None:
        self.dataset = dataset
        self.scan = scan
        self.rows = dict(rows)
        self.sources = {str(key): found for key, found in scan.by_entry().items()}
        keys = {EntryKey.parse(text) for text in (*rows, *self.sources)}
        self.keys = tuple(str(key) for key in sorted(keys))
        self.statuses = {key: statuses[key] for key in self.keys}

    @classmethod
    def read(cls, dataset: Dataset, snapshot: Snapshot, *, pinned: bool = False) -> TracksState:
        """Compare the source files with what is recorded.

        Parameters
        ----------
        dataset, snapshot
            The dataset and its recorded heads.
        pinned
            Whether what is recorded counts as it is, since this run reads no files.
        """
        scan = dataset.scan()
        rows = {row.key: row for row in dataset.registry.entries()}
        reader = _StatusReader(dataset, snapshot, scan, rows, pinned)
        return cls(dataset, scan, rows, reader.statuses())

    @property
    def vanished(self) -> list[str]:
        """Paths of recorded sources that are gone."""
        return [row.path for row in self.scan.vanished]

    @property
    def refused(self) -> dict[str, str]:
        """Files that no entry can be made of, and why."""
        return {str(refusal.path): refusal.reason for refusal in self.scan.refused}

    @property
    def new_keys(self) -> list[str]:
        """Entries that are on disk and not registered yet."""
        return [key for key in self.keys if key not in self.rows]

    def register(self) -> list[str]:
        """Record new entries and what the scan learned about files; gives the new keys.

        A second call finds nothing left to record.
        """
        new, updates = self.new_keys, self.scan.updates
        self.scan = replace(self.scan, updates=())
        registry = self.dataset.registry
        rows = [_entry_row(EntryKey.parse(key), "registered") for key in new]
        with registry.session():
            if rows:
                registry.put_entries(rows)
            if updates:
                registry.put_sources(updates)
        self.rows |= {row.key: row for row in rows}
        return new

    def run_start(self) -> RunRow:
        """The registry's row for an attempt at reading tracks."""
        return RunRow(run_id=TRACKS, feature=TRACKS, version="1", params_json="{}")

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Take in what was just read or found."""
        self.statuses = self.statuses | {o.key: status_of(o) for o in outcomes}

    def needing_adoption(self, outcomes: Iterable[Outcome]) -> list[str]:
        """Keys of reused outcomes that are not yet what is recorded."""
        return [o.key for o in outcomes if self.statuses[o.key].needs_adoption and o.action_key]

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Record entries and sources beside the heads; part of the caller's session."""
        rows: list[EntryRow] = []
        sources: list[SourceRow] = []
        for outcome in outcomes:
            found = self.sources.get(outcome.key, [])
            before = self.rows.get(outcome.key) or _entry_row(
                EntryKey.parse(outcome.key), "registered"
            )
            row = replace(before, state=outcome.state)
            if outcome.output_sha256 is not None:
                digest = "+".join(sorted(source.sha256 for source in found)) or None
                row = replace(row, tracks_sha256=outcome.output_sha256, source_sha256=digest)
            rows.append(row)
            sources += [source.row(self.dataset.base) for source in found]
        self.rows |= {row.key: row for row in rows}
        self.dataset.registry.put_entries(rows)
        self.dataset.registry.put_sources(sources)


class _StatusReader:
    """Works out the state of each entry's tracks."""

    def __init__(
        self,
        dataset: Dataset,
        snapshot: Snapshot,
        scan: SourceScan,
        rows: Mapping[str, EntryRow],
        pinned: bool,
    ) -> None:
        self.dataset = dataset
        self.snapshot = snapshot
        self.rows = rows
        self.pinned = pinned
        self.heads = snapshot.of_step(NO_PIPELINE, TRACKS)
        self.sources = {str(key): found for key, found in scan.by_entry().items()}
        self.gone = {row.key for row in scan.vanished}
        self.facts = facts_of(dataset)

    def statuses(self) -> dict[str, EntryStatus]:
        found: dict[str, EntryStatus] = {}
        wanted: dict[str, tuple[str, tuple[Dependency, ...]]] = {}
        for key in {*self.rows, *self.sources}:
            if key not in self.sources:
                found[key] = self._without_source(key)
            elif self.pinned:
                found[key] = self._as_recorded(key)
            else:
                try:
                    wanted[key] = self._wanted(key)
                except MosaicError as error:
                    found[key] = EntryStatus("blocked", str(error), head=self.heads.get(key))
        return found | self._look_up(wanted)

    def _wanted(self, key: str) -> tuple[str, tuple[Dependency, ...]]:
        sources = self.sources[key]
        rule = sources[0].rule
        reader = reader_of(rule, sources[0].path)
        digests = [source.sha256 for source in sources]
        params = resolve_params(reader, rule, self.facts)
        action = tracks_action_key(
            EntryKey.parse(key), digests, reader.name, reader.version, params
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
            return replace(status, state=made_state(key, result.rows), reason="", result=result)
        if result is not None:
            return replace(status, state="stale", reason="object missing")
        if head is None:
            return status
        if head.action_key == action:
            if head.state == "failed":
                return replace(status, state="failed", reason="failed before")
            return replace(status, state="stale", reason="object missing")
        then = self.rows[key].source_sha256 if key in self.rows else None
        now = "+".join(sorted(item.sha256 for item in inputs))
        reason = CHANGED if then != now else "params"
        return replace(status, state="stale", reason=reason)

    def _without_source(self, key: str) -> EntryStatus:
        """Tracks that were given as a table, or whose file is gone."""
        if key in self.heads:
            return self._as_recorded(key)
        row = self.rows[key]
        if row.tracks_sha256 is None:
            reason = VANISHED if key in self.gone else "no tracks"
            return EntryStatus("blocked", reason)
        size = self._size(row.tracks_sha256)
        if size is None:
            return EntryStatus("blocked", "the added tracks are not in the store any more")
        rows = 0 if row.state == "empty" else 1
        result = StoredResult("", row.tracks_sha256, "parquet", rows, size, 0.0, TRACKS, key)
        return EntryStatus(made_state(key, rows), "", None, result)

    def _size(self, sha256: str) -> int | None:
        try:
            return self.dataset.objects.path(sha256, "parquet").stat().st_size
        except FileNotFoundError:
            return None

    def _as_recorded(self, key: str) -> EntryStatus:
        head = self.heads.get(key)
        if head is None:
            return EntryStatus("missing", "new")
        if head.state == "failed" and key in self.sources:
            return EntryStatus("failed", "failed before", head.action_key, head=head)
        result = result_of(head)
        if result.output_sha256 is None or not self.snapshot.present([(key, result)]):
            reason = VANISHED if key in self.gone else "object missing"
            return EntryStatus("blocked", reason, head=head)
        return EntryStatus(made_state(key, result.rows), "", head.action_key, result, head=head)


def facts_of(dataset: Dataset) -> Facts:
    """The facts of a dataset that reading and features take."""
    manifest = dataset.manifest
    return Facts(manifest.fps, manifest.unit, tuple(manifest.keypoints))


def _entry_row(key: EntryKey, state: str) -> EntryRow:
    return EntryRow(
        group=key.group,
        sequence=key.sequence,
        key=str(key),
        tracks_sha256=None,
        source_sha256=None,
        state=state,
        added_at=datetime.now(UTC).replace(tzinfo=None),
    )


def sources_of(state: TracksState, key: str) -> Sequence[FoundSource]:
    """The source files of an entry."""
    return state.sources.get(key, ())
