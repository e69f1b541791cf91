"""Labels of one kind: which recordings have them, and which of them are up to date.

A recording without labels is no gap: it has no state here, and what reads labels finds it
unlabelled. A label file that belongs to no recording is told and left alone, since labs keep the
labels of more recordings than they track.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.pipeline.ingested import Ingested, StatusReader
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import EntryStatus
from mosaic_dagster.pipeline.steps import NO_PIPELINE, labels_step
from mosaic_dagster.store.feature_registry.records import OutcomeState

_SHOWN = 5


class LabelsState(Ingested):
    """Where the labels of one kind stand, for the entries that have any."""

    unmatched: Sequence[str] = ()

    @classmethod
    def read(
        cls,
        dataset: Dataset,
        snapshot: Snapshot,
        kind: str,
        entries: Collection[str],
        *,
        pinned: bool = False,
        unsettled: AbstractSet[Path] = frozenset(),
    ) -> LabelsState:
        """Compare the label files with what is recorded.

        Parameters
        ----------
        dataset, snapshot
            The dataset and its recorded heads.
        kind
            Kind of the labels.
        entries
            Entries of the dataset, those just found included.
        pinned
            Whether what is recorded counts as it is, since this run reads no files.
        unsettled
            Files that may still be written.
        """
        asset = labels_step(kind)
        scan = dataset.scan(asset, unsettled=unsettled)
        reader = _LabelsReader(asset, dataset, snapshot, scan, pinned)
        known = set(entries)
        labelled = {*reader.sources, *snapshot.of_step(NO_PIPELINE, asset)}
        state = cls(asset, dataset, scan, reader.statuses(labelled & known))
        state.unmatched = tuple(
            f"{source.path.name} labels {key}, which is no recording. {nearest(key, known)}".strip()
            for key in sorted(labelled - known)
            for source in reader.sources.get(key, [])[:1]
        )
        return state

    @property
    def notes(self) -> list[str]:
        """Label files of recordings that the dataset does not have."""
        more = len(self.unmatched) - _SHOWN
        rest = [f"{more} more label files belong to no recording."] if more > 0 else []
        return [*self.unmatched[:_SHOWN], *rest]

    def state_of(self, key: str, rows: int) -> OutcomeState:
        """Labels without an event say that nothing was seen; they are as good as any."""
        del key, rows
        return "fresh"

    def register(self) -> list[str]:
        """Record what the scan learned about files; labels make no entries."""
        updates = [row for row in self.take_updates() if row.key in self.statuses]
        if updates:
            self.dataset.registry.put_sources(updates)
        return []


class _LabelsReader(StatusReader):
    """Works out the state of each entry's labels."""

    rows_matter = False

    def state_of(self, key: str, rows: int) -> OutcomeState:
        del key, rows
        return "fresh"

    def sources_then(self, key: str) -> str | None:
        head = self.heads[key]
        inputs = self.snapshot.find_inputs([head.action_key]).get(head.action_key, ())
        return "+".join(sorted(item.sha256 for item in inputs)) or None

    def without_source(self, key: str) -> EntryStatus:
        """Labels that were added by hand, or whose file is gone."""
        return self.as_recorded(key, self.away.get(key, "object missing"))


def label_kinds(dataset: Dataset, snapshot: Snapshot) -> set[str]:
    """Kinds of labels that are recorded, or have a source."""
    recorded = snapshot.steps(NO_PIPELINE)
    assets = recorded | {rule.asset for rule in dataset.manifest.sources}
    prefix = labels_step("")
    return {asset.removeprefix(prefix) for asset in assets if asset.startswith(prefix)}
