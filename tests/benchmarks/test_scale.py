"""The benchmark of thousands of recordings must itself be right, or slow questions go unnoticed."""

from __future__ import annotations

import pytest

from benchmarks.scale import Figure, measure, slopes


@pytest.mark.slow
def test_every_question_is_asked_of_a_real_project_and_answered(tmp_path):
    """Twelve recordings; each answer is checked by the benchmark, which ends with an error else."""
    figures = measure(tmp_path / "12", 12, 1, pages=True)
    assert {figure.what for figure in figures} >= {
        "mosaic run, everything new", "mosaic status", "mosaic why", "mosaic run, nothing to do",
        "evaluation by a sensor, again", "page of an asset, all partitions",
    }  # fmt: skip
    assert all(figure.seconds > 0 for figure in figures)


def test_a_limit_is_missed_above_it_alone():
    """A missed limit that passes would let a release become slow."""
    assert Figure(10_000, "status", 1.01, 1.0).is_missed
    assert not Figure(10_000, "status", 1.0, 1.0).is_missed
    assert not Figure(10_000, "run", 99.0).is_missed
    assert not Figure(9_999, "status", 1.01, 1.0).is_missed


def test_the_slope_is_the_power_of_the_number_of_recordings():
    """1 s for 100 and 10 s for 1,000 grow as n; 2 s for both do not grow."""
    figures = [
        Figure(100, "a", 1.0), Figure(1000, "a", 10.0),
        Figure(100, "b", 2.0), Figure(1000, "b", 2.0),
    ]  # fmt: skip
    assert slopes(figures) == pytest.approx({"a": 1.0, "b": 0.0})
    assert slopes(figures[:1]) == {}
