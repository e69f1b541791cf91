"""A file that feeds an entry, as a scan finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.paths import recorded_path
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.feature_registry.records import SourceRow

PRESENT: Literal["present"] = "present"
VANISHED: Literal["vanished"] = "vanished"

Known = Mapping[str, Sequence[SourceRow]]
"""The recorded sources of an asset by path; a file of many recordings has a row for each."""


@dataclass(slots=True, unsafe_hash=True)
class FoundSource:
    """A file that feeds an entry; never changed, and not frozen because a scan makes thousands.

    Attributes
    ----------
    path
        The file.
    key
        The entry it feeds.
    rule
        The rule that found it, with the format that was recognised in place of ``auto``.
    rule_digest
        Digest of the rule as the manifest has it; empty while another file claims an entry of
        the same file, so that all entries of the file are looked up again next time.
    sha256, size, mtime_ns, inode
        Its content, and the facts that decide whether to hash again.
    unchanged
        Its record, where that says all of this already.
    """

    path: Path
    key: EntryKey
    rule: SourceRule
    rule_digest: str
    sha256: str
    size: int
    mtime_ns: int
    inode: int
    unchanged: SourceRow | None = field(default=None, compare=False, repr=False)

    def row(self, base: Path) -> SourceRow:
        """Make the record of this source, its path relative to ``base`` where it lies below it."""
        if self.unchanged is not None:
            return self.unchanged
        return SourceRow(
            path=recorded_path(self.path, base),
            key=str(self.key),
            rule=f"{self.rule.format}:{self.rule_digest}",
            sha256=self.sha256,
            size=self.size,
            mtime_ns=self.mtime_ns,
            inode=self.inode,
            state=PRESENT,
            asset=self.rule.asset,
        )

    def at(self, base: Path) -> tuple[str, str]:
        """Where it is recorded: path and entry."""
        return recorded_path(self.path, base), str(self.key)
