"""Compare the files that a dataset's rules name with the sources that the registry knows.

A file whose size, time and inode are as recorded is taken to be unchanged; any other is hashed.
Nothing is forgotten here: a source that is gone is reported, and so is every file that cannot be
used, each with its reason, while all others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from mosaic_dagster.dataset.clashes import settle_claims
from mosaic_dagster.dataset.files import ListedFile, Refusal, hash_file, list_files
from mosaic_dagster.dataset.found_source import PRESENT, VANISHED, FoundSource, Known
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.paths import recorded_path, resolve_path
from mosaic_dagster.dataset.renames import Renamed, find_renamed
from mosaic_dagster.dataset.roots import AbsentRoot, RuleState, absent_paths, absent_root
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

HeldFor = Literal["absent", "unsettled", "refused"]
"""Why a recorded source is not looked at: its place is gone, it is being written, it is refused."""


class Held(NamedTuple):
    """A recorded source that is not looked at, and why; what was made from it counts."""

    row: SourceRow
    why: HeldFor


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
    absent
        Places of rules that are gone as a whole; what is recorded there is held, not vanished.
    held
        Recorded sources that are not looked at, and why.
    renamed
        Those of ``vanished`` whose bytes are in another file.
    """

    present: tuple[FoundSource, ...]
    new: tuple[FoundSource, ...]
    changed: tuple[FoundSource, ...]
    vanished: tuple[SourceRow, ...]
    refused: tuple[Refusal, ...]
    updates: tuple[SourceRow, ...]
    absent: tuple[AbsentRoot, ...] = ()
    held: tuple[Held, ...] = ()
    renamed: tuple[Renamed, ...] = ()

    def by_entry(self) -> dict[EntryKey, list[FoundSource]]:
        """Return the sources of each entry, entries in order."""
        entries: dict[EntryKey, list[FoundSource]] = {}
        for source in self.present:
            entries.setdefault(source.key, []).append(source)
        return entries


@dataclass(frozen=True)
class _Search:
    """A rule with what is worked out once for all its files."""

    rule: SourceRule
    digest: str
    root: Path
    rules: dict[str, SourceRule] = field(default_factory=dict)

    def source(self, file: ListedFile, sha256: str, key: EntryKey, reader: str) -> FoundSource:
        return FoundSource(
            path=file.path,
            key=key,
            rule=self.read_by(reader),
            rule_digest=self.digest,
            sha256=sha256,
            size=file.size,
            mtime_ns=file.mtime_ns,
            inode=file.inode,
        )

    def read_by(self, reader: str) -> SourceRule:
        """The rule with the format that was recognised."""
        if reader not in self.rules:
            self.rules[reader] = self.rule.model_copy(update={"format": reader})
        return self.rules[reader]

    def unchanged(self, file: ListedFile, row: SourceRow) -> FoundSource | None:
        """Take the source of a file as it is recorded, if nothing differs."""
        name, _, digest = row.rule.partition(":")
        alike = digest == self.digest and name in readers_for(self.rule)
        same = alike and row.sha256 and (row.size, row.mtime_ns, row.inode) == file.facts
        if not same or row.sha256 is None:
            return None
        known = row if row.state == PRESENT else None
        return FoundSource(
            file.path, EntryKey.parse(row.key), self.read_by(name), digest, row.sha256,
            file.size, file.mtime_ns, file.inode, known,
        )  # fmt: skip

    def recorded(
        self, file: ListedFile, sha256: str, rows: Sequence[SourceRow]
    ) -> list[FoundSource]:
        """Take the sources of a file as they are recorded."""
        return [
            self.source(file, sha256, EntryKey.parse(row.key), row.rule.partition(":")[0])
            for row in rows
        ]


def scan_sources(
    rules: Iterable[SourceRule],
    recorded: Iterable[SourceRow],
    base: Path,
    *,
    unsettled: AbstractSet[Path] = frozenset(),
    rehash: bool = False,
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
    unsettled
        Files (absolute paths) that may still be written: a new one counts as not there yet, of a
        known one what is recorded counts, and an entry of several files waits for all of them.
    rehash
        Read every file, also those whose size, time and inode are as recorded.

    Raises
    ------
    ReaderError
        A rule names an unknown format or parameter; the files themselves only lead to
        refusals.
    """
    scanner = _Scanner(recorded, base, unsettled, rehash)
    for rule in rules:
        scanner.search(rule)
    return scanner.result()


class _Scanner:
    """Goes through the rules one by one, then compares all with what is recorded."""

    def __init__(
        self,
        recorded: Iterable[SourceRow],
        base: Path,
        unsettled: AbstractSet[Path],
        rehash: bool,
    ) -> None:
        self.rows = list(recorded)
        self.base = base
        self.unsettled = unsettled
        self.rehash = rehash
        self.known: Known = by_path(self.rows)
        self.found: list[FoundSource] = []
        self.refused: list[Refusal] = []
        self.absent: list[AbsentRoot] = []
        self.taken: dict[Path, SourceRule] = {}
        self.waiting: set[str] = set()

    def search(self, rule: SourceRule) -> None:
        """Look at the files of a rule."""
        check_rule(rule)
        search = _Search(rule, rule.digest, resolve_path(rule.path, self.base))
        listing = list_files(search.root, endings_of(rule))
        gone = absent_root(RuleState.of(rule, search.root, listing, self.rows, self.base))
        if gone is not None:
            self.absent.append(gone)
            return
        self.refused += [r for r in listing.refused if r.path not in self.taken]
        for file in listing.files:
            if file.path not in self.taken:
                self.taken[file.path] = rule
                self._look(file, search)
            elif self.taken[file.path] != rule:
                self.refused.append(_twice(file.path, self.taken[file.path], rule))

    def _look(self, file: ListedFile, search: _Search) -> None:
        rows = self.known.get(recorded_path(file.path, self.base), [])
        if file.path in self.unsettled:
            self.waiting |= {row.key for row in rows} or _entries_waiting(file, search)
            return
        try:
            self.found += _look(file, search, rows, self.rehash)
        except MosaicError as error:
            self.refused.append(Refusal(file.path, str(error)))

    def result(self) -> SourceScan:
        """Compare what was found with what is recorded."""
        found = self.found
        if self.waiting:
            found = [source for source in found if str(source.key) not in self.waiting]
        claims = settle_claims(found, self.known, self.base)
        refused = [*self.refused, *claims.refused]
        present = sorted(claims.usable, key=_place)
        recorded = {(row.path, row.key): row for row in self.rows}
        placed = [(source.row(self.base), source) for source in present]
        rows = {(row.path, row.key): row for row, _ in placed}
        missing = [at for at in recorded if at not in rows]
        held = self._held(missing, {path for path, _ in rows}, claims.at)
        vanished = [recorded[at] for at in missing if at not in held]
        named = [((row.path, row.key), source) for row, source in placed]
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
                *(row for at, row in rows.items() if _differs(row, recorded.get(at))),
                *(replace(row, state=VANISHED) for row in vanished if row.state != VANISHED),
            ),
            absent=tuple(self.absent),
            held=tuple(Held(recorded[at], why) for at, why in held.items()),
            renamed=find_renamed(vanished, present),
        )

    def _held(
        self,
        missing: Iterable[tuple[str, str]],
        taken: AbstractSet[str],
        clashing: AbstractSet[tuple[str, str]],
    ) -> dict[tuple[str, str], HeldFor]:
        """Recorded sources that were not found, and are not gone either."""
        away = absent_paths(self.absent, self.rows, self.base)
        refused = {recorded_path(refusal.path, self.base) for refusal in self.refused} - taken
        held: dict[tuple[str, str], HeldFor] = {}
        for path, key in missing:
            if path in away:
                held[path, key] = "absent"
            elif key in self.waiting:
                held[path, key] = "unsettled"
            elif (path, key) in clashing or is_below(path, refused):
                held[path, key] = "refused"
        return held


def _differs(row: SourceRow, known: SourceRow | None) -> bool:
    return row is not known and row != known


def _place(source: FoundSource) -> tuple[str, str, Path]:
    return source.key.group, source.key.sequence, source.path


def by_path(rows: Iterable[SourceRow]) -> dict[str, list[SourceRow]]:
    """Recorded sources by their path."""
    known: dict[str, list[SourceRow]] = {}
    for row in rows:
        known.setdefault(row.path, []).append(row)
    return known


def _twice(path: Path, first: SourceRule, second: SourceRule) -> Refusal:
    reason = (
        f"{path} lies under two rules, {first.path!r} and {second.path!r}; the first is used. "
        "Remove one of the rules."
    )
    return Refusal(path, reason)


def _entries_waiting(file: ListedFile, search: _Search) -> set[str]:
    """Entries of several files that a new file, which may still be written, will belong to."""
    try:
        reader = reader_of(search.rule, file.path)
        if reader.merges:
            return {str(key) for key in entry_keys(reader, search.rule, search.root, file.path)}
    except MosaicError:
        return set()
    return set()


def _look(
    file: ListedFile, search: _Search, rows: Sequence[SourceRow], rehash: bool
) -> list[FoundSource]:
    """Find the sources in one file; what is recorded is used instead of opening the file."""
    readers = readers_for(search.rule)
    if not rows and file.path != search.root and readers.passes_over(search.rule.format, file.path):
        return []
    if len(rows) == 1 and not rehash and (known := search.unchanged(file, rows[0])) is not None:
        return [known]
    seen = [] if rehash else rows
    hashed = [row for row in seen if (row.size, row.mtime_ns, row.inode) == file.facts]
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


def is_below(path: str, held_back: AbstractSet[str]) -> bool:
    """Whether a file, or a folder it is in, could not be looked at: then it may be there still."""
    return path in held_back or any(str(up) in held_back for up in PurePosixPath(path).parents)
