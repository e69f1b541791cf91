"""Sources that are gone and lie elsewhere: a renamed file or folder, known by its bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mosaic_dagster.dataset.found_source import FoundSource
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.feature_registry.records import SourceRow


@dataclass(frozen=True)
class Renamed:
    """A vanished source, and the file with the same bytes.

    Attributes
    ----------
    row
        What was recorded.
    now
        Where the bytes are now.
    """

    row: SourceRow
    now: FoundSource

    @property
    def is_same_entry(self) -> bool:
        """Whether only the file has another name, and the recording has not."""
        return self.row.key == str(self.now.key)


def find_renamed(
    vanished: Iterable[SourceRow], present: Iterable[FoundSource]
) -> tuple[Renamed, ...]:
    """Match vanished sources with files of the same bytes.

    Files with equal bytes are not always the same recording (label files without an event are
    all alike), so of several the one with the same entry counts, else the only one with the same
    sequence, else none.
    """
    by_digest: dict[str, list[FoundSource]] = {}
    for source in present:
        by_digest.setdefault(source.sha256, []).append(source)
    found = []
    for row in vanished:
        now = _match(row, by_digest.get(row.sha256 or "", []))
        if now is not None:
            found.append(Renamed(row, now))
    return tuple(found)


def _match(row: SourceRow, candidates: list[FoundSource]) -> FoundSource | None:
    sequence = EntryKey.parse(row.key).sequence
    same_entry = [source for source in candidates if str(source.key) == row.key]
    same_sequence = [source for source in candidates if source.key.sequence == sequence]
    if same_entry:
        return same_entry[0]
    for group in (same_sequence, candidates):
        if len(group) == 1:
            return group[0]
    return None
