"""What a rule is, what it finds, and what several rules need."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from mosaic_dagster.errors import PipelineDefinitionError
from mosaic_dagster.quality.facts import Array, Columns, Facts

Severity = Literal["warn", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What of one entry does not keep a rule.

    Parameters
    ----------
    entry
        The entry; empty for a result of the whole scope.
    column
        The column that is farthest off; empty where the rule is about no column.
    measured, threshold
        What was found, and what it was compared with; NaN where there is no number.
    words
        The same as a sentence.
    """

    entry: str
    column: str
    measured: float
    threshold: float
    words: str


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """Something that the results of a step should keep.

    Parameters
    ----------
    severity
        ``warn`` or ``error``; by default a blocking rule is an error, another a warning.
    blocking
        Whether an entry that does not keep the rule counts as failed, so that nothing below it
        is made of it.
    name
        Name of the check; by default the kind of the rule.
    """

    kind: ClassVar[str]
    reads_profiles: ClassVar[bool] = True

    severity: Literal["warn", "error"] | None = None
    blocking: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.severity not in (None, "warn", "error"):
            self._refuse(f"has the severity {self.severity!r}", "Use 'warn' or 'error'.")
        if not self.label.isidentifier() or self.label.lower() != self.label:
            self._refuse(f"has the name {self.label!r}", "Use lower-case letters, digits and _.")

    @property
    def label(self) -> str:
        """Name of the check."""
        return self.name or self.kind

    @property
    def level(self) -> Severity:
        """How bad it is when the rule does not hold."""
        return self.severity or ("error" if self.blocking else "warn")

    @abstractmethod
    def judge(self, facts: Facts) -> list[Finding]:
        """What does not keep the rule: at most one finding per entry."""

    def judged(self, facts: Facts) -> int:
        """Number of results that the rule can say something about."""
        return len(facts.profiles)

    @property
    @abstractmethod
    def asks(self) -> str:
        """What the rule asks for, in a sentence."""

    def _refuse(self, what: str, remedy: str) -> None:
        msg = f"A rule {self.kind!r} {what}."
        raise PipelineDefinitionError(msg, remedy)

    def _check_number(
        self, name: str, value: float, low: float = 0.0, high: float = np.inf
    ) -> None:
        if not low <= value <= high:
            self._refuse(f"has {name}={value!r}", f"Give a number in [{low:g}, {high:g}].")


def chosen_columns(columns: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """The columns that a rule names; None means all."""
    if columns is None:
        return None
    return (columns,) if isinstance(columns, str) else tuple(columns)


def named(columns: Sequence[str] | str | None) -> str:
    """The columns that a rule names, in words."""
    names = chosen_columns(columns)
    return "each numeric column" if names is None else ", ".join(names)


def range_text(low: float | None, high: float | None) -> str:
    """A closed range; None is an open side."""
    return f"[{'-∞' if low is None else f'{low:g}'}, {'∞' if high is None else f'{high:g}'}]"


def limit_beyond(value: float, low: float | None, high: float | None) -> float | None:
    """The limit that a value is beyond; None when it is within, or NaN."""
    if low is not None and value < low:
        return low
    return high if high is not None and value > high else None


def side_of(value: float, limit: float) -> str:
    """On which side of a limit a value lies."""
    return "below" if value < limit else "above"


def worst_places(excess: Array) -> Iterable[tuple[int, int]]:
    """Row and column of the greatest positive excess of each row that has one; NaN is none."""
    if not excess.size:
        return []
    known = np.where(np.isnan(excess), -np.inf, excess)
    places = known.argmax(axis=1)
    rows = np.flatnonzero(known[np.arange(len(known)), places] > 0)
    return [(int(row), int(places[row])) for row in rows]


def lacking_columns(facts: Facts, columns: Columns) -> list[Finding]:
    """Entries without one of the columns that a rule names: nobody could judge them."""
    found = []
    for row in np.flatnonzero(~columns.there.all(axis=1)):
        name = columns.names[int(columns.there[row].argmin())]
        words = f"there is no numeric column {name}"
        found.append(Finding(facts.profiles.entries[row], name, math.nan, math.nan, words))
    return found
