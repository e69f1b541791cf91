"""A week in a lab that leaves the software to itself, day by day on one project.

After each day the pairs of step and entry that were computed are exactly those that had to be: one
more is a night of computing for nothing, one less is a wrong figure in a paper.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import dagster as dg
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.dagster,
    pytest.mark.xdist_group("week"),
]

A, B, C = "dish01/larva_007", "dish01/larva_017", "dish02/larva_010"
NEW = "dish02/larva_011"
MODELS = {("templates/model", ""), ("scaled/model", ""), ("clusters/model", "")}
ALONE = ("tracks", "smooth", "kinematics", "templates", "coverage")
"""Steps in which an entry depends on nothing but itself."""
FITTED = ("scaled", "clusters")
"""Steps in which it depends on all."""


def pairs(steps: tuple[str, ...], *entries: str) -> set[tuple[str, str]]:
    return {(step, entry) for step in steps for entry in entries}


def test_monday_the_first_recordings_are_made_without_a_word(week: Any) -> None:
    assert week.settle() == (pairs((*ALONE, *FITTED), A, B, C) | MODELS | {("labels/behavior", A)})


def test_tuesday_a_new_recording_is_made_and_what_was_fitted_without_it(week: Any) -> None:
    week.bring(NEW)
    expected = pairs(ALONE, NEW) | pairs(FITTED, A, B, C, NEW) | MODELS
    assert week.settle() == expected


def test_tuesday_evening_a_copy_from_the_backup_changes_nothing(week: Any) -> None:
    """Same bytes, other times and other places on the disk."""
    for path in sorted((week.root / "recordings").rglob("*.csv")):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    assert week.settle() == set()


def test_wednesday_a_corrected_file_changes_itself_and_the_fits(week: Any) -> None:
    week.correct(B)
    expected = pairs(ALONE, B) | pairs(FITTED, A, B, C, NEW) | MODELS
    assert week.settle() == expected


def test_wednesday_evening_a_changed_label_changes_what_reads_it(week: Any) -> None:
    week.label(A, 2.0, 5.0)
    assert week.settle() == {("labels/behavior", A), ("coverage", A)}


def test_thursday_a_parameter_changes_its_step_alone(week: Any) -> None:
    week.choose(k=4)
    assert week.settle() == pairs(("clusters",), A, B, C, NEW) | {("clusters/model", "")}


def test_thursday_evening_the_parameter_is_changed_back(week: Any) -> None:
    """The old results are found in the store."""
    week.choose(k=3)
    assert week.settle() == set()


def test_friday_a_broken_file_stops_only_itself(week: Any) -> None:
    """Templates are shared out among the recordings, so their fit is asked how many there are."""
    (week.root / "recordings" / "dish02" / "broken.csv").write_text("frame,head_x\n1,here\n")
    assert week.settle() == {("templates/model", "")}
    heads = {head.key: head for head in week.dataset.registry.heads("") if head.step == "tracks"}
    assert heads["dish02/broken"].state == "failed"
    assert all(heads[key].state == "fresh" for key in (A, B, C, NEW))
    failed = week.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    time.sleep(4)
    again = week.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert len(failed) == len(again) == 1


def test_friday_evening_the_file_is_mended(week: Any) -> None:
    mended = "dish02/broken"
    week.bring(mended, source="dish02/larva_044")
    expected = pairs(ALONE, mended) | pairs(FITTED, A, B, C, NEW, mended) | MODELS
    assert week.settle() == expected


def test_saturday_a_killed_run_is_continued(week: Any) -> None:
    """Killed in the middle of five slow entries: what was stored is not made again."""
    entries = {A, B, C, NEW, "dish02/broken"}
    log = week.root / "covered"
    log.unlink()
    old = {h.run_id for h in week.dataset.registry.heads("week") if h.step == "coverage"}
    (week.root / "pause").write_text("2.5")
    week.choose(coverage="2")
    process = worker_after(week, old)
    os.kill(process, signal.SIGKILL)
    stored = covered(week, old)
    (week.root / "pause").unlink()
    assert 0 < len(stored) < 5
    week.settle()
    assert covered(week, old) == entries
    computed = log.read_text().split()
    assert set(computed) == entries
    assert all(computed.count(key) == 1 for key in stored)
    assert len(computed) <= len(entries) + 1


def worker_after(week: Any, old: set[str]) -> int:
    """Number of the process that computes, once it has stored an entry."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if covered(week, old):
            (run,) = week.runs()
            return int(json.loads(run.tags["mosaic/process"])["pid"])
        time.sleep(0.2)
    pytest.fail(week.told())


def covered(week: Any, old: set[str]) -> set[str]:
    """Entries whose coverage is stored under another run id than the old ones."""
    heads = week.dataset.registry.heads("week")
    return {h.key for h in heads if h.step == "coverage" and h.run_id not in old}


def test_sunday_a_lost_object_is_made_again(week: Any) -> None:
    week.settle()
    dataset = week.dataset
    (head,) = [h for h in dataset.registry.heads("week") if (h.step, h.key) == ("kinematics", C)]
    path = dataset.objects.path(head.output_sha256, "parquet")
    path.chmod(0o644)
    path.unlink()
    assert week.settle() == {("kinematics", C)}


def test_sunday_everything_is_read_anew_and_nothing_below(week: Any) -> None:
    """Another reader's parameter that changes no byte: early cut-off below all tracks."""
    week.choose(reader={"ignore": ["remark"]})
    entries = (A, B, C, NEW, "dish02/broken")
    assert week.settle() == pairs(("tracks",), *entries)
