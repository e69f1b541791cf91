"""Tracks, the first step of every pipeline: which of them are up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.scan import SourceScan
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.ingested import Ingested, StatusReader
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import EntryStatus, made_state
from mosaic_dagster.pipeline.steps import TRACKS
from mosaic_dagster.store import EntryRow, Outcome, StoredResult
from mosaic_dagster.store.feature_registry.records import OutcomeState


class TracksState(Ingested):
    """Where the tracks of each entry stand; its entries are those of the dataset.

    Attributes
    ----------
    rows
        What is registered, by entry.
    """

    def __init__(
        self,
        dataset: Dataset,
        scan: SourceScan,
        rows: Mapping[str, EntryRow],
        statuses: Mapping[str, EntryStatus],
    ) -> None:
        super().__init__(TRACKS, dataset, scan, statuses)
        self.rows = dict(rows)

    @classmethod
    def read(
        cls,
        dataset: Dataset,
        snapshot: Snapshot,
        *,
        pinned: bool = False,
        unsettled: AbstractSet[Path] = frozenset(),
    ) -> TracksState:
        """Compare the source files with what is recorded.

        Parameters
        ----------
        dataset, snapshot
            The dataset and its recorded heads.
        pinned
            Whether what is recorded counts as it is, since this run reads no files.
        unsettled
            Files that may still be written.
        """
        scan = dataset.scan(TRACKS, unsettled=unsettled)
        rows = {row.key: row for row in dataset.registry.entries()}
        reader = _TracksReader(dataset, snapshot, scan, rows, pinned)
        # A run that reads no files does not know of those that nobody has registered.
        keys = {*rows} if pinned else {*rows, *reader.sources}
        return cls(dataset, scan, rows, reader.statuses(keys))

    @property
    def notes(self) -> list[str]:
        """Nothing: every file of tracks is an entry, or refused."""
        return []

    @property
    def new_keys(self) -> list[str]:
        """Entries that are on disk and not registered yet."""
        return [key for key in self.keys if key not in self.rows]

    def state_of(self, key: str, rows: int) -> OutcomeState:
        """Tracks without a row are empty."""
        return made_state(key, rows)

    def register(self) -> list[str]:
        """Record new entries and what the scan learned about files; gives the new keys."""
        new, updates = self.new_keys, self.take_updates()
        registry = self.dataset.registry
        rows = [_entry_row(EntryKey.parse(key), "registered") for key in new]
        with registry.session():
            if rows:
                registry.put_entries(rows)
            if updates:
                registry.put_sources(updates)
        self.rows |= {row.key: row for row in rows}
        return new

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Record entries and sources beside the heads; part of the caller's session."""
        rows: list[EntryRow] = []
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
        self.rows |= {row.key: row for row in rows}
        self.dataset.registry.put_entries(rows)
        super().commit(outcomes)


class _TracksReader(StatusReader):
    """Works out the state of each entry's tracks."""

    def __init__(
        self,
        dataset: Dataset,
        snapshot: Snapshot,
        scan: SourceScan,
        rows: Mapping[str, EntryRow],
        pinned: bool,
    ) -> None:
        super().__init__(TRACKS, dataset, snapshot, scan, pinned)
        self.rows = rows

    def state_of(self, key: str, rows: int) -> OutcomeState:
        return made_state(key, rows)

    def sources_then(self, key: str) -> str | None:
        return self.rows[key].source_sha256 if key in self.rows else None

    def without_source(self, key: str) -> EntryStatus:
        """Tracks that were given as a table, or whose file is gone."""
        if key in self.heads:
            return self.as_recorded(key, self.away.get(key, "object missing"))
        row = self.rows[key]
        if row.tracks_sha256 is None:
            return EntryStatus("blocked", self.away.get(key, "no tracks"))
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
