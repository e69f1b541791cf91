"""The rules: pure functions from facts to findings.

None reads a table. Each is told facts, and gives back what does not hold, entry by entry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mosaic_dagster.quality.facts import Facts
from mosaic_dagster.quality.rule import (
    Finding,
    Rule,
    chosen_columns,
    lacking_columns,
    limit_beyond,
    named,
    range_text,
    side_of,
    worst_places,
)


@dataclass(frozen=True)
class RowsMatchTracks(Rule):
    """Rows of a result, as a share of those of the tracks, lie in ``[at_least, at_most]``.

    Parameters
    ----------
    at_least, at_most
        Limits of the share; None leaves a side open.
    per
        What of the tracks is counted: ``row`` (an animal in a frame) or ``frame``.
    """

    kind = "rows_match_tracks"
    at_least: float | None = 1.0
    at_most: float | None = 1.0
    per: Literal["row", "frame"] = "row"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per not in ("row", "frame"):
            self._refuse(f"has per={self.per!r}", "Use 'row' or 'frame'.")
        low = 0.0 if self.at_least is None else self.at_least
        self._check_number("at_least", low)
        self._check_number("at_most", np.inf if self.at_most is None else self.at_most, low)

    @property
    def asks(self) -> str:
        """What is asked for, in a sentence."""
        return (
            f"Rows per {self.per} of the tracks lie in {range_text(self.at_least, self.at_most)}."
        )

    def judge(self, facts: Facts) -> list[Finding]:
        """Entries whose share lies outside; tracks without a row are not judged."""
        counts = facts.tracks_rows if self.per == "row" else facts.tracks_frames
        found = []
        for entry, rows in facts.profiles.by_entry("rows").items():
            of = counts.get(entry, 0)
            share = rows / of if of else math.nan
            limit = limit_beyond(share, self.at_least, self.at_most)
            if limit is not None:
                words = f"{rows} rows for {of} {self.per}s of tracks"
                words += f", a share of {share:.4g}, {side_of(share, limit)} {limit:g}"
                found.append(Finding(entry, "", share, limit, words))
        return found


@dataclass(frozen=True)
class MissingShare(Rule):
    """No numeric column has a larger share of rows without a value (NaN or null).

    Parameters
    ----------
    at_most
        The share, in [0, 1].
    columns
        The columns that are asked about; None means all.
    """

    kind = "missing_share"
    at_most: float = 0.5
    columns: Sequence[str] | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("at_most", self.at_most, 0.0, 1.0)

    @property
    def asks(self) -> str:
        """What is asked for, in a sentence."""
        return f"At most {self.at_most:g} of the values of {named(self.columns)} are missing."

    def judge(self, facts: Facts) -> list[Finding]:
        """Entries with such a column; a column that is asked for by name must be there."""
        found = facts.profiles.columns("missing", chosen_columns(self.columns))
        lacking = [] if self.columns is None else lacking_columns(facts, found)
        told = {finding.entry for finding in lacking}
        worst = worst_places(found.values - self.at_most)
        for row, place in worst:
            entry, column, value = (
                facts.profiles.entries[row],
                found.names[place],
                found.values[row, place],
            )
            if entry not in told:
                words = f"{value:.4g} of the values of {column} are missing, above {self.at_most:g}"
                lacking.append(Finding(entry, column, float(value), self.at_most, words))
        return lacking


@dataclass(frozen=True)
class ValueRange(Rule):
    """Every value of some columns lies in ``[low, high]``; missing values are not judged.

    Parameters
    ----------
    columns
        The columns.
    low, high
        Limits, both allowed; None leaves a side open.
    """

    kind = "value_range"
    columns: Sequence[str] | str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is None and self.high is None:
            self._refuse("has no limit", "Give low, high or both.")
        if not chosen_columns(self.columns):
            self._refuse("names no column", "Name at least one.")
        low = -np.inf if self.low is None else self.low
        self._check_number("high", np.inf if self.high is None else self.high, low)

    @property
    def asks(self) -> str:
        """What is asked for, in a sentence."""
        return f"Values of {named(self.columns)} lie in {range_text(self.low, self.high)}."

    def judge(self, facts: Facts) -> list[Finding]:
        """Entries that have such a value, or lack one of the columns."""
        names = chosen_columns(self.columns)
        low, high = facts.profiles.columns("low", names), facts.profiles.columns("high", names)
        findings = lacking_columns(facts, low)
        told = {finding.entry for finding in findings}
        below = np.full(low.values.shape, np.nan) if self.low is None else self.low - low.values
        above = np.full(low.values.shape, np.nan) if self.high is None else high.values - self.high
        for row, place in worst_places(np.fmax(below, above)):
            entry, column = facts.profiles.entries[row], low.names[place]
            is_low = below[row, place] > 0 and not above[row, place] > below[row, place]
            value = float((low if is_low else high).values[row, place])
            limit = self.low if is_low else self.high
            if entry not in told and limit is not None:
                words = f"{column} is {value:.6g}, {side_of(value, limit)} {limit:g}"
                findings.append(Finding(entry, column, value, limit, words))
        return findings


@dataclass(frozen=True)
class UniqueRows(Rule):
    """No two rows of an entry have the same frame and identity; tables without frames pass."""

    kind = "unique_rows"

    @property
    def asks(self) -> str:
        """What is asked for, in a sentence."""
        return "No two rows have the same frame and identity."

    def judge(self, facts: Facts) -> list[Finding]:
        """Entries in which a key is used more than once."""
        repeated, rows = (facts.profiles.counts(name) for name in ("duplicated", "rows"))
        return [
            Finding(facts.profiles.entries[place], "", float(repeated[place]), 0.0,
                    f"{repeated[place]} of {rows[place]} rows repeat the frame and identity "
                    "of another")
            for place in np.flatnonzero(repeated)
        ]  # fmt: skip


@dataclass(frozen=True)
class LabelCoverage(Rule):
    """A share of the frames of the tracks has labels of a kind.

    Parameters
    ----------
    labels
        The kind, such as ``behavior``.
    at_least
        The share.
    every_entry
        Whether an entry without labels of this kind counts as a share of 0; else it is not judged.
    """

    kind = "label_coverage"
    reads_profiles = False
    labels: str
    at_least: float
    every_entry: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("at_least", self.at_least)

    @property
    def asks(self) -> str:
        """What is asked for, in a sentence."""
        who = "every recording" if self.every_entry else "each labelled recording"
        return f"At least {self.at_least:g} of {who} has labels of kind {self.labels!r}."

    def judged(self, facts: Facts) -> int:
        """Number of recordings."""
        return len(self._shares(facts))

    def judge(self, facts: Facts) -> list[Finding]:
        """Entries of which less is labelled."""
        return [
            Finding(entry, "", share, self.at_least,
                    f"{share:.4g} of the frames have labels, below {self.at_least:g}")
            for entry, share in self._shares(facts).items()
            if share < self.at_least
        ]  # fmt: skip

    def _shares(self, facts: Facts) -> dict[str, float]:
        shares = dict(facts.labelled.get(self.labels, {}))
        return dict.fromkeys(facts.tracks_frames, 0.0) | shares if self.every_entry else shares


@dataclass(frozen=True)
class ScoreDrop(Rule):
    """The best model of a training step is not worse than the best of its version before.

    Parameters
    ----------
    at_most
        By how much it may be worse, as a share of the score before.
    metrics
        The metrics that are compared; None means all whose direction is known.
    """

    kind = "score_drop"
    reads_profiles = False
    at_most: float = 0.1
    metrics: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("at_most", self.at_most)

    @property
    def asks(self) -> str:
        """What is asked for, in a sentence."""
        return f"The best score is at most {self.at_most:g} of the last version's worse than that."

    def judged(self, facts: Facts) -> int:
        """Number of metrics."""
        return sum(self.metrics is None or s.metric in self.metrics for s in facts.scores)

    def judge(self, facts: Facts) -> list[Finding]:
        """The metric by which the models became worst, if any."""
        found = []
        for score in facts.scores:
            if self.metrics is not None and score.metric not in self.metrics:
                continue
            lost = (
                score.before - score.value if score.higher_is_better else score.value - score.before
            )
            share = lost / abs(score.before) if score.before else math.copysign(math.inf, lost)
            if lost > 0 and share > self.at_most:
                words = f"{score.metric} went from {score.before:.4g} to {score.value:.4g}"
                words += f", worse by {share:.4g} of it, above {self.at_most:g}"
                found.append(Finding("", score.metric, share, self.at_most, words))
        return sorted(found, key=lambda finding: -finding.measured)[:1]
