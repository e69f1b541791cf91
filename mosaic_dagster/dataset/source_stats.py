"""What lies at the places of all rules, by size, time and inode alone.

Nothing is opened, hashed or written, so that a sensor may ask every half a minute. A file that is
still being written is known by its facts differing between two looks; no clock is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from mosaic_dagster.dataset.files import list_files
from mosaic_dagster.dataset.found_source import VANISHED, Known
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.paths import recorded_path, resolve_path
from mosaic_dagster.dataset.roots import AbsentRoot, RuleState, absent_paths, absent_root
from mosaic_dagster.dataset.scan import by_path, is_below
from mosaic_dagster.dataset.sources import check_rule, endings_of
from mosaic_dagster.hashing import digest
from mosaic_dagster.store.feature_registry.records import SourceRow

if TYPE_CHECKING:
    from mosaic_dagster.dataset.dataset import Dataset


class FileFacts(NamedTuple):
    """Size in bytes, time of modification in ns, inode number."""

    size: int
    mtime_ns: int
    inode: int


class SourceChange(NamedTuple):
    """A file that differs from what is recorded for an asset; a gone one has no facts."""

    path: Path
    asset: str
    kind: Literal["new", "changed", "gone"]
    facts: FileFacts | None


@dataclass(frozen=True)
class SourceStats:
    """What a look at all source files found.

    Attributes
    ----------
    files
        Every file that a rule names, by absolute path.
    changes
        What differs from the recorded sources, by path and asset. A file that no run can use
        (refused, passed over, labels of no recording) is never recorded, and stays new.
    absent
        Places of rules that are gone as a whole; none of their files counts as gone.
    rules
        What each rule of the manifest finds, in its order.
    """

    files: Mapping[Path, FileFacts]
    changes: tuple[SourceChange, ...]
    absent: tuple[AbsentRoot, ...]
    rules: tuple[RuleState, ...]

    @property
    def digest(self) -> str:
        """sha256 of changes and absent places; empty when there are none."""
        if not self.changes and not self.absent:
            return ""
        changes = [[c.path.as_posix(), c.asset, c.kind, c.facts] for c in self.changes]
        absent = [[root.path.as_posix(), root.state] for root in self.absent]
        return digest({"changes": changes, "absent": absent})

    def unsettled(self, before: SourceStats | Mapping[Path, FileFacts]) -> frozenset[Path]:
        """List new and changed files whose facts were others at an earlier look, or unknown.

        Parameters
        ----------
        before
            The earlier look, or what :func:`read_cursor` kept of it.
        """
        earlier = before.files if isinstance(before, SourceStats) else before
        return frozenset(
            change.path
            for change in self.changes
            if change.facts is not None and earlier.get(change.path) != change.facts
        )

    def to_cursor(self) -> str:
        """Write down the facts of new and changed files, for :func:`read_cursor`."""
        facts = {c.path.as_posix(): c.facts for c in self.changes if c.facts is not None}
        return json.dumps(facts)


def read_cursor(text: str | None) -> dict[Path, FileFacts]:
    """Read what :meth:`SourceStats.to_cursor` wrote; anything else is as if nothing was kept."""
    try:
        kept = json.loads(text or "{}")
        return {Path(path): FileFacts(*map(int, facts)) for path, facts in kept.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def stat_sources(dataset: Dataset) -> SourceStats:
    """List the files of all rules of a dataset, and compare them with what is recorded.

    Raises
    ------
    ReaderError
        A rule names an unknown format or parameter.
    """
    rows: dict[str, list[SourceRow]] = {}
    for row in dataset.registry.sources():
        rows.setdefault(row.asset, []).append(row)
    looks = {rule.asset: _Look(rows.get(rule.asset, []), dataset.base)
             for rule in dataset.manifest.sources}  # fmt: skip
    rules = [looks[rule.asset].search(rule) for rule in dataset.manifest.sources]
    files = {path: facts for look in looks.values() for path, facts in look.files.items()}
    absent = [root for root in map(absent_root, rules) if root is not None]
    changes = [c for asset, look in looks.items() for c in look.changes(asset, absent)]
    for asset in rows.keys() - looks.keys():
        changes += _Look(rows[asset], dataset.base).changes(asset, absent)
    ordered = sorted(changes, key=lambda change: (change.path.as_posix(), change.asset))
    return SourceStats(files, tuple(ordered), tuple(absent), tuple(rules))


class _Look:
    """The files of one asset's rules beside what is recorded for it."""

    def __init__(self, rows: list[SourceRow], base: Path) -> None:
        self.rows = rows
        self.base = base
        self.known: Known = by_path(rows)
        self.files: dict[Path, FileFacts] = {}
        self.refused: set[str] = set()

    def search(self, rule: SourceRule) -> RuleState:
        """List the files of a rule."""
        check_rule(rule)
        root = resolve_path(rule.path, self.base)
        listing = list_files(root, endings_of(rule))
        self.files |= {file.path: FileFacts(*file.facts) for file in listing.files}
        self.refused |= {recorded_path(refusal.path, self.base) for refusal in listing.refused}
        return RuleState.of(rule, root, listing, self.rows, self.base)

    def changes(self, asset: str, absent: list[AbsentRoot]) -> Iterator[SourceChange]:
        """What differs from the record."""
        there = set()
        for path, facts in self.files.items():
            at = recorded_path(path, self.base)
            there.add(at)
            rows = self.known.get(at)
            if rows is None:
                yield SourceChange(path, asset, "new", facts)
            elif any((row.size, row.mtime_ns, row.inode) != facts for row in rows):
                yield SourceChange(path, asset, "changed", facts)
        away = absent_paths([root for root in absent if root.rule.asset == asset],
                            self.rows, self.base)  # fmt: skip
        for at, rows in self.known.items():
            gone = at not in there and at not in away and not is_below(at, self.refused)
            if gone and any(row.state != VANISHED for row in rows):
                yield SourceChange(resolve_path(at, self.base), asset, "gone", None)
