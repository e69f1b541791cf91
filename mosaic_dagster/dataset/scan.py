"""Compare the files that a dataset's rules name with the sources that the registry knows.

A file whose size, time and inode are as recorded is taken to be unchanged; any other is hashed.
Nothing is forgotten here: a source that is gone is reported, and so is every file that cannot be
used, each with its reason, while all others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from mosaic_dagster.dataset.files import ListedFile, Refusal, hash_file, list_files
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.paths import recorded_path, resolve_path
from mosaic_dagster.dataset.sources import (
    check_rule,
    endings_of,
    entry_keys,
    reader_of,
    readers_for,
)
from mosaic_dagster.errors import MosaicError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.feature_registry.records import SourceRow

PRESENT: Literal["present"] = "present"
VANISHED: Literal["vanished"] = "vanished"


@dataclass(frozen=True)
class FoundSource:
    """A file that feeds an entry.

    Attributes
    ----------
    path
        The file.
    key
        The entry it feeds.
    rule
        The rule that found it, with the format that was recognised in place of ``auto``.
    rule_digest
        Digest of the rule as the manifest has it.
    sha256, size, mtime_ns, inode
        Its content, and the facts that decide whether to hash again.
    """

    path: Path
    key: EntryKey
    rule: SourceRule
    rule_digest: str
    sha256: str
    size: int
    mtime_ns: int
    inode: int

    def row(self, base: Path) -> SourceRow:
        """Make the record of this source, its path relative to ``base`` where it lies below it."""
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


@dataclass(frozen=True)
class SourceScan:
    """What a scan found.

    Attributes
    ----------
    present
        Every usable source, sorted by entry and path.
    new
        Those of ``present`` that the registry does not know.
    changed
        Those of ``present`` whose content is another than recorded.
    vanished
        Recorded sources that no rule finds any more; nothing made from them is dropped.
    refused
        Files that cannot be used, and why.
    updates
        Rows to record now: new and changed sources, refreshed facts, vanished states.
    """

    present: tuple[FoundSource, ...]
    new: tuple[FoundSource, ...]
    changed: tuple[FoundSource, ...]
    vanished: tuple[SourceRow, ...]
    refused: tuple[Refusal, ...]
    updates: tuple[SourceRow, ...]

    def by_entry(self) -> dict[EntryKey, list[FoundSource]]:
        """Return the sources of each entry, entries in order."""
        entries: dict[EntryKey, list[FoundSource]] = {}
        for source in self.present:
            entries.setdefault(source.key, []).append(source)
        return entries


Known = Mapping[str, Sequence[SourceRow]]


@dataclass(frozen=True)
class _Search:
    """A rule with what is worked out once for all its files."""

    rule: SourceRule
    digest: str
    root: Path

    def source(self, file: ListedFile, sha256: str, key: EntryKey, reader: str) -> FoundSource:
        return FoundSource(
            path=file.path,
            key=key,
            rule=self.rule.model_copy(update={"format": reader}),
            rule_digest=self.digest,
            sha256=sha256,
            size=file.size,
            mtime_ns=file.mtime_ns,
            inode=file.inode,
        )

    def recorded(
        self, file: ListedFile, sha256: str, rows: Sequence[SourceRow]
    ) -> list[FoundSource]:
        """Take the sources of a file as they are recorded."""
        return [
            self.source(file, sha256, EntryKey.parse(row.key), row.rule.partition(":")[0])
            for row in rows
        ]


def scan_sources(
    rules: Iterable[SourceRule], recorded: Iterable[SourceRow], base: Path
) -> SourceScan:
    """Look at all files of some rules.

    Parameters
    ----------
    rules
        The rules of the manifest for one asset. A file under two of them belongs to the first.
    recorded
        The sources that the registry knows for this asset.
    base
        Where relative paths start (:func:`mosaic_dagster.dataset.paths.base_of`).

    Raises
    ------
    ReaderError
        A rule names an unknown format or parameter; the files themselves only lead to
        refusals.
    """
    known: dict[str, list[SourceRow]] = {}
    for row in recorded:
        known.setdefault(row.path, []).append(row)
    found: list[FoundSource] = []
    refused: list[Refusal] = []
    taken: dict[Path, SourceRule] = {}
    for rule in rules:
        check_rule(rule)
        search = _Search(rule, rule.digest, resolve_path(rule.path, base))
        listing = list_files(search.root, endings_of(rule))
        refused += [refusal for refusal in listing.refused if refusal.path not in taken]
        for file in listing.files:
            if file.path in taken:
                if taken[file.path] != rule:
                    refused.append(_twice(file.path, taken[file.path], rule))
                continue
            taken[file.path] = rule
            try:
                found += _look(file, search, known.get(recorded_path(file.path, base), []))
            except MosaicError as error:
                refused.append(Refusal(file.path, str(error)))
    usable, clashes = _without_clashes(found, known, base)
    return _compare(usable, [*refused, *clashes], known, base)


def _twice(path: Path, first: SourceRule, second: SourceRule) -> Refusal:
    reason = (
        f"{path} lies under two rules, {first.path!r} and {second.path!r}; the first is used. "
        "Remove one of the rules."
    )
    return Refusal(path, reason)


def _look(file: ListedFile, search: _Search, rows: Sequence[SourceRow]) -> list[FoundSource]:
    """Find the sources in one file; what is recorded is used instead of opening the file."""
    readers = readers_for(search.rule)
    if not rows and file.path != search.root and readers.passes_over(search.rule.format, file.path):
        return []
    hashed = [row for row in rows if (row.size, row.mtime_ns, row.inode) == file.facts]
    sha256 = next((row.sha256 for row in hashed if row.sha256), None) or hash_file(file)
    same = [row for row in rows if row.rule.endswith(f":{search.digest}")]
    reader_known = bool(same) and same[0].rule.partition(":")[0] in readers
    if reader_known and all(row.sha256 == sha256 for row in same):
        return search.recorded(file, sha256, same)
    try:
        reader = reader_of(search.rule, file.path)
        check_rule(search.rule.model_copy(update={"format": reader.name}))
        keys = entry_keys(reader, search.rule, search.root, file.path)
    except MosaicError:
        if not reader_known:
            raise
        # The file was good once: its entries keep it as their source, and fail when it is read.
        return search.recorded(file, sha256, same)
    return [search.source(file, sha256, key, reader.name) for key in keys]


def _without_clashes(
    found: Sequence[FoundSource], known: Known, base: Path
) -> tuple[list[FoundSource], list[Refusal]]:
    """Leave out files that would make an entry together and cannot.

    An entry that has a recorded source among them keeps it; otherwise all are refused.
    """
    entries: dict[EntryKey, list[FoundSource]] = {}
    for source in found:
        entries.setdefault(source.key, []).append(source)
    usable: list[FoundSource] = []
    refused: list[Refusal] = []
    for key, sources in entries.items():
        mergeable = all(readers_for(source.rule)[source.rule.format].merges for source in sources)
        alike = len({source.rule_digest for source in sources}) == 1
        if len(sources) == 1 or (mergeable and alike):
            usable += sources
            continue
        recorded = [source for source in sources if _is_recorded(source, known, base)]
        kept = recorded if len(recorded) == 1 else []
        usable += kept
        for source in sources:
            if source not in kept:
                others = [str(other.path) for other in sources if other is not source]
                reason = (
                    f"{source.path} and {' and '.join(others)} are both the entry {key}. "
                    "Rename one of them, or give their rules different groups."
                )
                refused.append(Refusal(source.path, reason))
    return usable, refused


def _is_below(path: str, held_back: AbstractSet[str]) -> bool:
    """Whether a file, or a folder it is in, could not be looked at: then it may be there still."""
    return path in held_back or any(str(up) in held_back for up in PurePosixPath(path).parents)


def _is_recorded(source: FoundSource, known: Known, base: Path) -> bool:
    rows = known.get(recorded_path(source.path, base), [])
    return any(row.key == str(source.key) for row in rows)


def _compare(
    usable: Sequence[FoundSource], refused: Sequence[Refusal], known: Known, base: Path
) -> SourceScan:
    recorded = {(row.path, row.key): row for rows in known.values() for row in rows}
    present = sorted(usable, key=lambda source: (source.key, source.path))
    rows = {(row.path, row.key): row for row in (source.row(base) for source in present)}
    taken = {row.path for row in rows.values()}
    held_back = {recorded_path(refusal.path, base) for refusal in refused} - taken
    vanished = [
        row for at, row in recorded.items() if at not in rows and not _is_below(row.path, held_back)
    ]
    named = [((recorded_path(source.path, base), str(source.key)), source) for source in present]
    return SourceScan(
        present=tuple(present),
        new=tuple(source for at, source in named if at not in recorded),
        changed=tuple(
            source
            for at, source in named
            if at in recorded and recorded[at].sha256 != source.sha256
        ),
        vanished=tuple(vanished),
        refused=tuple(sorted(refused, key=lambda refusal: refusal.path)),
        updates=(
            *(row for at, row in rows.items() if recorded.get(at) != row),
            *(replace(row, state=VANISHED) for row in vanished if row.state != VANISHED),
        ),
    )
