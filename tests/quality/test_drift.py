"""Entries far from the others."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.quality import Drift, Facts, Profile, Profiles
from mosaic_dagster.quality.drift import robust_distances


def facts(means, sd=0.0):
    profiles = Profiles.of(
        {
            f"e{i}": Profile(4, 4, 0, ("v",), (0.0,), (m,), (m,), (m,), (sd,))
            for i, m in enumerate(means)
        }
    )
    return Facts(profiles)


def test_the_distance_is_the_modified_z_score():
    """Means 1 to 5 and 103: median 3.5, deviations .5 .5 1.5 1.5 2.5 99.5, MAD 1.5, s = 2.2239."""
    means = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [103.0]])
    distances = robust_distances(means, np.zeros_like(means), 5)[:, 0]
    assert distances[-1] == pytest.approx(99.5 / (1.4826 * 1.5))
    assert distances[0] == pytest.approx(2.5 / (1.4826 * 1.5))


def test_the_far_entry_is_found():
    (finding,) = Drift(10.0).judge(facts([1.0, 2.0, 3.0, 4.0, 5.0, 103.0]))
    assert (finding.entry, finding.column) == ("e5", "v")
    assert "44.74 robust" in finding.words


def test_few_entries_are_not_judged():
    """Four recordings say little about what is usual."""
    assert Drift().judge(facts([1.0, 1.0, 1.0, 100.0])) == []
    assert Drift().judged(facts([1.0, 1.0, 1.0, 100.0])) == 0


def test_tiny_differences_are_no_drift():
    """Means that agree to the last digit would make a change of rounding look enormous."""
    close = [1.0, 1.0, 1.0, 1.0, 1.0 + 1e-12, 1.0 + 5e-10]
    assert Drift().judge(facts(close)) == []
    assert Drift().judge(facts([0.0, 0.0, 0.0, 0.0, 0.0, 0.5], sd=1.0)) == []
    assert [f.entry for f in Drift(5.0).judge(facts([0.0] * 9 + [6.0], sd=1.0))] == ["e9"]


def test_what_is_not_finite_is_left_out():
    """A recording without a value has no mean, and must not hide the others."""
    found = Drift(10.0).judge(facts([1.0, 2.0, 3.0, 4.0, 5.0, 103.0, np.nan, np.inf]))
    assert [f.entry for f in found] == ["e5"]
