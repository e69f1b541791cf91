"""Several files that are one entry and cannot be read together.

None of them is read in place of another. The one that was read before stays the source of the
entry; without such a one all are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mosaic_dagster.dataset.files import Refusal
from mosaic_dagster.dataset.found_source import PRESENT, FoundSource, Known
from mosaic_dagster.dataset.paths import recorded_path
from mosaic_dagster.dataset.sources import readers_for
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.feature_registry.records import SourceRow

_REMEDY = "Remove or rename one of them, or give their rules different groups."


@dataclass(frozen=True)
class Claims:
    """What became of files that claim entries.

    Attributes
    ----------
    usable
        Sources that may be read.
    refused
        Files that are left out, each naming the others.
    at
        Recorded path and entry of those left out.
    """

    usable: tuple[FoundSource, ...]
    refused: tuple[Refusal, ...]
    at: frozenset[tuple[str, str]]


def settle_claims(found: Sequence[FoundSource], known: Known, base: Path) -> Claims:
    """Leave out files that would make an entry together and cannot."""
    entries: dict[EntryKey, list[FoundSource]] = {}
    for source in found:
        entries.setdefault(source.key, []).append(source)
    usable: list[FoundSource] = []
    refused: list[Refusal] = []
    at: set[tuple[str, str]] = set()
    for sources in entries.values():
        kept = sources if _go_together(sources) else _read_before(sources, known, base)
        usable += kept
        for source in sources:
            if source not in kept:
                refused.append(Refusal(source.path, _reason(source, sources, kept)))
                at.add(source.at(base))
    split = {refusal.path for refusal in refused}
    whole = [replace(s, rule_digest="") if s.path in split else s for s in usable]
    return Claims(tuple(whole), tuple(refused), frozenset(at))


def _go_together(sources: Sequence[FoundSource]) -> bool:
    """Whether they are one file, or files of one rule that are read as one recording."""
    if len(sources) == 1:
        return True
    alike = len({source.rule_digest for source in sources}) == 1
    return alike and all(readers_for(s.rule)[s.rule.format].merges for s in sources)


def _read_before(sources: Sequence[FoundSource], known: Known, base: Path) -> list[FoundSource]:
    """The sources that the entry has had, unless they clash among themselves."""
    rows = [(source, _recorded(source, known, base)) for source in sources]
    recorded = [source for source, row in rows if row is not None]
    present = [s for s, row in rows if row is not None and row.state == PRESENT]
    for kept in (recorded, present):
        if kept and _go_together(kept):
            return kept
    return []


def _recorded(source: FoundSource, known: Known, base: Path) -> SourceRow | None:
    rows = known.get(recorded_path(source.path, base), ())
    return next((row for row in rows if row.key == str(source.key)), None)


def _reason(
    source: FoundSource, sources: Sequence[FoundSource], kept: Sequence[FoundSource]
) -> str:
    others = " and ".join(str(other.path) for other in sources if other is not source)
    end = "neither is read" if len(sources) == 2 else "none of them is read"
    if kept:
        end = f"{' and '.join(other.path.name for other in kept)} stays its source"
    return f"{source.path} and {others} are both the entry {source.key}; {end}. {_REMEDY}"
