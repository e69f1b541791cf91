"""Backfills that people start: in the browser over a range or a list, and on the command line.

One bad recording never loses the good ones, a cancelled backfill leaves nothing half-done, and a
second start continues.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.dagster,
    pytest.mark.xdist_group("backfills"),
]

A, B, C = "dish01/larva_007", "dish01/larva_017", "dish02/larva_010"
READING = ("tracks", "week/smooth", "week/kinematics")
LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}
"""
CANCEL = """
mutation Cancel($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }
"""
ENDED = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED")


def start(lab: Any, assets: Sequence[str], keys: Sequence[str]) -> str:
    """Press Materialize with these partitions chosen."""
    selection = [{"path": ["larvae", *name.split("/")]} for name in assets]
    params = {"assetSelection": selection, "partitionNames": list(keys)}
    answer = lab.graphql(LAUNCH, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return str(answer["backfillId"])


def status(lab: Any, backfill: str) -> str:
    return str(lab.graphql(STATUS, id=backfill)["partitionBackfillOrError"]["status"])


def wait(what: Callable[[], object], lab: Any, seconds: float = 240.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, lab.told()
        time.sleep(0.3)


def end(lab: Any, backfill: str) -> str:
    wait(lambda: status(lab, backfill) in ENDED and not lab.runs(), lab)
    return status(lab, backfill)


def mosaic(lab: Any, *words: str) -> subprocess.CompletedProcess[str]:
    """Type a command in the project's folder."""
    command = str(Path(sys.executable).parent / "mosaic")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "MOSAIC"))}
    return subprocess.run(
        [command, *words], cwd=lab.root, env=environment, text=True, capture_output=True,
        check=False, timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lab(quiet: Any) -> Any:
    """Everything made once, from the command line."""
    done = mosaic(quiet, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    quiet.made()
    return quiet


def test_a_bad_recording_does_not_lose_the_good_ones(lab: Any) -> None:
    lab.correct(A)
    lab.correct(C)
    path = lab.root / "recordings" / f"{B}.csv"
    whole = path.read_text()
    path.write_text("frame,head_x\n1,here\n")
    assert end(lab, start(lab, READING, [A, B, C])) != "COMPLETED_SUCCESS"
    assert {("tracks", A), ("tracks", C)} <= lab.made()
    heads = {h.key: h for h in lab.dataset.registry.heads("") if h.step == "tracks"}
    assert (heads[A].state, heads[B].state, heads[C].state) == ("fresh", "failed", "fresh")

    path.write_text(whole)
    assert end(lab, start(lab, READING, [A, B, C])) == "COMPLETED_SUCCESS"
    made = lab.made()
    assert not made & {("tracks", A), ("tracks", C)}
    assert {("smooth", A), ("smooth", C), ("kinematics", A), ("kinematics", C)} <= made


def test_scattered_recordings_are_made_and_no_other(lab: Any) -> None:
    lab.choose(coverage="scattered")
    assert end(lab, start(lab, ["week/coverage"], [A, C])) == "COMPLETED_SUCCESS"
    assert lab.made() == {("coverage", A), ("coverage", C)}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(("--entry", f"{A}...{B}"), {A, B}), (("--group", "dish02", "--entry", C), {C})],
    ids=["range", "group"],
)
def test_the_command_line_makes_what_is_chosen(
    lab: Any, chosen: tuple[str, ...], expected: set[str]
) -> None:
    lab.choose(coverage=" ".join(["chosen", *chosen]))
    done = mosaic(lab, "run", "--step", "coverage", *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {key for step, key in lab.made() if step == "coverage"} == expected


def test_a_cancelled_backfill_leaves_nothing_half_done_and_goes_on_later(lab: Any) -> None:
    log = lab.root / "covered"
    log.unlink(missing_ok=True)
    (lab.root / "pause").write_text("3")
    lab.choose(coverage="cancelled")
    old = {h.run_id for h in lab.dataset.registry.heads("week") if h.step == "coverage"}

    def stored() -> set[str]:
        heads = lab.dataset.registry.heads("week")
        return {h.key for h in heads if h.step == "coverage" and h.run_id not in old}

    backfill = start(lab, ["week/coverage"], [A, B, C])
    wait(stored, lab)
    (lab.root / "pause").write_text("60")
    lab.graphql(CANCEL, id=backfill)
    assert end(lab, backfill) == "CANCELED"
    before = stored()
    assert 0 < len(before) < 3
    assert mosaic(lab, "store", "verify").returncode == 0
    (lab.root / "pause").unlink()
    assert end(lab, start(lab, ["week/coverage"], [A, B, C])) == "COMPLETED_SUCCESS"
    computed = log.read_text().split()
    assert stored() == {A, B, C} == set(computed)
    assert all(computed.count(key) == 1 for key in before)
