"""Drift: an entry whose values lie far from those of the other recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mosaic_dagster.quality.facts import Array, Facts
from mosaic_dagster.quality.rule import Finding, Rule, chosen_columns, named, worst_places

_TO_SD = 1.4826
_MEAN_TO_SD = 1.2533
_LEAST_SPREAD = 0.1
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Drift(Rule):
    r"""No column mean of an entry lies far from those of the other recordings in scope.

    Parameters
    ----------
    at_most
        The distance, in robust standard deviations of the means.
    columns
        The columns that are asked about; None means all.
    least_entries
        With fewer entries nothing is judged.

    Notes
    -----
    The distance of the mean :math:`m_i` of entry *i* is :math:`|m_i - \operatorname{med}(m)| / s`
    with :math:`s = 1.4826 \operatorname{MAD}(m)`, or 1.2533 times the mean absolute deviation when
    more than half of the means are equal: the modified z-score of Iglewicz and Hoaglin (How to
    Detect and Handle Outliers, 1993). A tenth of the root mean square of the standard deviations
    within recordings is the least that *s* can be: recordings that agree to the last digit, or in
    which something rare never happens, raise no alarm about the next one.
    """

    kind = "drift"
    at_most: float = 10.0
    columns: Sequence[str] | str | None = None
    least_entries: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("at_most", self.at_most)
        self._check_number("least_entries", self.least_entries, 3)

    @property
    def asks(self) -> str:
        """What is asked for, in a sentence."""
        return (
            f"Means of {named(self.columns)} lie at most {self.at_most:g} robust standard "
            "deviations from those of the other recordings."
        )

    def judged(self, facts: Facts) -> int:
        """All of the results, or none when they are too few."""
        return len(facts.profiles) if len(facts.profiles) >= self.least_entries else 0

    def judge(self, facts: Facts) -> list[Finding]:
        """Entries with such a column; columns of too few entries are not judged."""
        means = facts.profiles.columns("mean", chosen_columns(self.columns))
        spreads = facts.profiles.columns("sd", chosen_columns(self.columns)).values
        distances = robust_distances(means.values, spreads, self.least_entries)
        found = []
        for row, place in worst_places(distances - self.at_most):
            column, distance = means.names[place], float(distances[row, place])
            words = (
                f"the mean of {column}, {means.values[row, place]:.4g}, lies {distance:.4g} robust "
                f"standard deviations from those of the others, above {self.at_most:g}"
            )
            found.append(
                Finding(facts.profiles.entries[row], column, distance, self.at_most, words)
            )
        return found


def robust_distances(means: Array, spreads: Array, least: int) -> Array:
    """Distance of each mean from the median of its column; see :class:`Drift`.

    Parameters
    ----------
    means, spreads
        Means and standard deviations of each entry, shape (n_entries, n_columns). What is not
        finite is left out.
    least
        Least number of means that a column must have.

    Returns
    -------
    numpy.ndarray
        The same shape; NaN for what was left out, and in columns of fewer means.
    """
    distances = np.full(means.shape, np.nan)
    for place in range(means.shape[1]):
        there = np.isfinite(means[:, place])
        if there.sum() < least:
            continue
        column = means[there, place]
        away = np.abs(column - np.median(column))
        scale = _TO_SD * np.median(away) or _MEAN_TO_SD * away.mean()
        within = spreads[there, place]
        within = within[np.isfinite(within)]
        floor = _LEAST_SPREAD * np.sqrt(np.mean(within**2)) if within.size else 0.0
        scale = max(scale, floor, _ROUNDING * np.abs(column).max())
        distances[there, place] = away / scale if scale else 0.0
    return distances
