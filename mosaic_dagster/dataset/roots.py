"""The folders that rules name, and which of them are gone as a whole.

A disk that was unplugged takes all of its recordings away at once: its folder is missing, or an
empty mount point, or cannot be read. Nobody deleted anything then, so nothing below such a root
counts as vanished.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic_dagster.dataset.files import Listing, RootState
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.paths import absolute_text, lies_at
from mosaic_dagster.store.feature_registry.records import SourceRow


@dataclass(frozen=True)
class RuleState:
    """What a rule finds at its place.

    Attributes
    ----------
    rule, root
        The rule, and where it looks.
    state
        What is there.
    problem
        Why it cannot be read, if that is its state.
    files
        How many files of the rule's formats were found; not all of them need be recordings.
    keys
        Entries that are recorded at or below the root.
    recorded_file
        Whether what is recorded is the root itself, a single file.
    """

    rule: SourceRule
    root: Path
    state: RootState
    problem: str
    files: int
    keys: frozenset[str]
    recorded_file: bool = False

    @classmethod
    def of(
        cls, rule: SourceRule, root: Path, listing: Listing, rows: Iterable[SourceRow], base: Path
    ) -> RuleState:
        """Judge a listing by the recorded sources of the rule's asset."""
        at = root.as_posix()
        told = [(row.key, absolute_text(row.path, base)) for row in rows]
        below = {key: path for key, path in told if lies_at(path, at)}
        return cls(
            rule, root, listing.state, listing.problem, len(listing.files), frozenset(below),
            bool(below) and set(below.values()) == {at},
        )  # fmt: skip

    @property
    def is_absent(self) -> bool:
        """Whether recordings are known and the whole place is gone."""
        return self.state != "there" and bool(self.keys)

    def describe(self) -> str:
        """Tell the state in a few words."""
        if self.state == "unreadable":
            return f"cannot be read: {self.problem}"
        if self.state == "there" and not self.files:
            return "nothing found"
        return {"there": "there", "missing": "not there", "empty": "empty"}[self.state]


@dataclass(frozen=True)
class AbsentRoot:
    """The place of a rule that is gone as a whole, with the recordings that came from it.

    Attributes
    ----------
    rule, path
        The rule, and where it looks (absolute).
    state
        missing, empty or unreadable.
    told
        The same in words.
    keys
        The entries.
    what
        ``folder``, or ``file``.
    """

    rule: SourceRule
    path: Path
    state: RootState
    told: str
    keys: frozenset[str]
    what: str = "folder"

    @property
    def recordings(self) -> int:
        """How many entries came from it."""
        return len(self.keys)

    @property
    def remedy(self) -> str:
        """What to do about it."""
        kind = "" if self.rule.labels is None else f" --labels {self.rule.labels}"
        forget = (
            "take it out of the sources that the dataset declares"
            if self.rule.declared
            else f"`mosaic sources remove {self.rule.path}{kind}`"
        )
        return f"Mount the disk, or put it back. If it is gone for good: {forget}."

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON."""
        return {
            "rule": self.rule.path, "asset": self.rule.asset, "path": str(self.path),
            "state": self.state, "recordings": self.recordings, "told": self.describe(),
        }  # fmt: skip

    def describe(self) -> str:
        """Tell in one line what is missing, and what to do."""
        one = self.recordings == 1
        of = "" if self.rule.labels is None else f"the labels {self.rule.labels!r} of "
        count = f"{of}{self.recordings} recording{'' if one else 's'}"
        verb = self.told if self.state == "unreadable" else f"is {self.told}"
        return (
            f"The {self.what} {self.rule.path} of {count} {verb}; "
            f"what was made of them stays and counts. {self.remedy}"
        )


def absent_root(state: RuleState) -> AbsentRoot | None:
    """The root as an absent one, if it is."""
    if not state.is_absent:
        return None
    what = "file" if state.recorded_file else "folder"
    return AbsentRoot(state.rule, state.root, state.state, state.describe(), state.keys, what)


def absent_paths(absent: Collection[AbsentRoot], rows: Iterable[SourceRow], base: Path) -> set[str]:
    """Recorded paths that lie at or below absent roots."""
    roots = [root.path.as_posix() for root in absent]
    return {
        row.path
        for row in (rows if roots else ())
        if any(lies_at(absolute_text(row.path, base), root) for root in roots)
    }
