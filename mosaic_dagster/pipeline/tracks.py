"""Tracks, the first step of every pipeline: from source files to stored tables.

Tracks go through the same motions as any feature: an action key made of the digests of the source
files, the reader and its parameters; a look-up before anything is read; one record per entry.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.identity import tracks_action_key
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.reading import read_entry, reader_of, resolve_params
from mosaic_dagster.dataset.scan import FoundSource, SourceScan
from mosaic_dagster.errors import MosaicError, ReaderError
from mosaic_dagster.hashing import digest_file
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.compute import Chunk, in_chunks
from mosaic_dagster.pipeline.engine import Engine
from mosaic_dagster.pipeline.report import StepReport
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import DONE, EntryStatus, result_of, status_of
from mosaic_dagster.pipeline.steps import TRACKS
from mosaic_dagster.pipeline.work import Record, failed
from mosaic_dagster.store import (
    ContentStore,
    Dependency,
    EntryRow,
    Outcome,
    RunRow,
    SourceRow,
    StoredResult,
)
from mosaic_dagster.store.codecs import encode_table

NO_PIPELINE = ""
"""Pipeline under which the heads of tracks are kept: they belong to all."""

VANISHED = "source vanished"
CHANGED = "source changed"


@dataclass(frozen=True)
class Facts:
    """What reading takes from the manifest."""

    fps: float | None
    unit: str | None
    keypoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _ReadTask:
    outcome: Outcome
    sources: tuple[tuple[Path, str], ...]
    rule: SourceRule


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
        """Record new entries and what the scan learned about files; gives the new keys."""
        new = self.new_keys
        registry = self.dataset.registry
        rows = [_entry_row(EntryKey.parse(key), "registered") for key in new]
        with registry.session():
            if rows:
                registry.put_entries(rows)
            if self.scan.updates:
                registry.put_sources(self.scan.updates)
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
        asked = [results[action] for action, _ in wanted.values() if action in results]
        present = self.snapshot.present(asked)
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
            state = "fresh" if result.rows else "empty"
            return replace(status, state=state, reason="", result=result)
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
        if not self.dataset.objects.exists(row.tracks_sha256, "parquet"):
            return EntryStatus("blocked", "the added tracks are not in the store any more")
        result = StoredResult("", row.tracks_sha256, "parquet", 1, 0, 0.0, TRACKS, key)
        return EntryStatus("fresh", "", None, result)

    def _as_recorded(self, key: str) -> EntryStatus:
        head = self.heads.get(key)
        if head is None:
            return EntryStatus("missing", "new")
        if head.state == "failed" and key in self.sources:
            return EntryStatus("failed", "failed before", head.action_key, head=head)
        result = result_of(head)
        if result.output_sha256 is None or not self.snapshot.present([result]):
            reason = VANISHED if key in self.gone else "object missing"
            return EntryStatus("blocked", reason, head=head)
        state = "fresh" if result.rows else "empty"
        return EntryStatus(state, "", head.action_key, result, head=head)


def facts_of(dataset: Dataset) -> Facts:
    """The facts of a dataset that reading and features take."""
    manifest = dataset.manifest
    return Facts(manifest.fps, manifest.unit, tuple(manifest.keypoints))


def compute_tracks(
    state: TracksState, keys: Sequence[str], engine: Engine, report: StepReport
) -> Iterator[Chunk]:
    """Read what is new or changed among some entries."""
    statuses = state.statuses
    reused = [_outcome(key, statuses[key]) for key in keys if statuses[key].state in DONE]
    if reused:
        yield Chunk(reused=tuple(reused))
    for key in keys:
        if statuses[key].state not in DONE and not statuses[key].is_computable:
            report.blocked[key] = statuses[key].reason
    report.failures |= state.refused
    tasks = [
        _ReadTask(
            _outcome(key, statuses[key]),
            tuple((source.path, source.sha256) for source in state.sources[key]),
            state.sources[key][0].rule,
        )
        for key in keys
        if statuses[key].is_computable
    ]
    read = partial(_read_all, state.dataset.objects.root, facts_of(state.dataset))
    yield from in_chunks(engine.map(read, tasks))


def _outcome(key: str, status: EntryStatus) -> Outcome:
    result = status.result
    done = status.state in DONE
    return Outcome(
        pipeline=NO_PIPELINE,
        step=TRACKS,
        key=key,
        run_id=TRACKS,
        action_key=status.action_key or "",
        state=status.state if done else "failed",
        output_sha256=result.output_sha256 if result else None,
        ext="parquet",
        rows=result.rows if result else 0,
        bytes=result.bytes if result else 0,
        seconds=result.seconds if result else 0.0,
        error=None,
        inputs=status.inputs,
        made=not done,
    )


def _read_all(objects: Path, facts: Facts, tasks: Sequence[_ReadTask]) -> list[Record]:
    store = ContentStore(objects)
    return [_read(store, facts, task) for task in tasks]


def _read(store: ContentStore, facts: Facts, task: _ReadTask) -> Record:
    started = time.perf_counter()
    try:
        key = EntryKey.parse(task.outcome.key)
        paths = [path for path, _ in task.sources]
        _check_there(paths)
        table, repairs = read_entry(paths, task.rule, facts, key)
        computing = time.perf_counter() - started
        _check_unchanged(task.sources)
        stored = store.put(encode_table(table, {"repairs": repairs.as_dict()}), "parquet")
    except Exception as error:  # noqa: BLE001 - one bad file must not stop the others
        return Record(failed(task.outcome, error, time.perf_counter() - started), 0.0)
    outcome = replace(
        task.outcome,
        state="fresh" if table.height else "empty",
        output_sha256=stored.digest,
        ext=stored.ext,
        rows=table.height,
        bytes=stored.size,
        seconds=time.perf_counter() - started,
    )
    return Record(outcome, computing)


def _check_there(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_file():
            msg = f"{path} was there a moment ago and is gone."
            raise ReaderError(msg, "Put it back, or remove its source rule.")


def _check_unchanged(sources: Sequence[tuple[Path, str]]) -> None:
    """Refuse what was read while it was being written: its digest would name other content."""
    for path, sha256 in sources:
        if digest_file(path) != sha256:
            msg = f"{path} changed while it was being read."
            raise ReaderError(msg, "Run again when it is no longer written to.")


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
