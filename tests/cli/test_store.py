"""``mosaic store`` and ``mosaic clean``: counting, checking, repairing, tidying."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.store import ContentStore

KEY = "dish01/larva_007"
ARTIFACTS = Path("workspaces/larvae/artifacts")


def damage(project: Path, sha256: str) -> None:
    """Cut the last byte of an object."""
    (file,) = (project / ARTIFACTS).rglob(f"{sha256}.*")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])


def member_of(project: Path, mosaic: Any, step: str, name: str) -> str:
    files = mosaic.json(project, "show", step)["files"]
    return next(Path(row["path"]).stem for row in files if row["name"] == name)


def test_stats_count_every_file(made: Path, mosaic: Any) -> None:
    rows = {row["kind"]: row for row in mosaic.json(made, "store", "stats")}
    files = [path for path in (made / ARTIFACTS).rglob("*.*") if path.is_file()]
    assert rows["all"]["objects"] == len(files)
    assert rows["all"]["bytes"] == sum(path.stat().st_size for path in files)
    assert rows["named by the database"] == rows["all"] | {"kind": "named by the database"}


def test_an_intact_store(made: Path, mosaic: Any) -> None:
    assert mosaic.json(made, "store", "verify") == []
    assert "none is damaged" in mosaic(made, "store", "verify").stdout


def test_damage_is_named_and_repaired(project: Path, mosaic: Any) -> None:
    """The entry is named, the object moved aside, and its step is stale: the next run makes it."""
    sha256 = mosaic.json(project, "show", "posture", "--entry", KEY)["sha256"]
    damage(project, sha256)
    (row,) = mosaic.json(project, "store", "verify", code=1)
    assert (row["object"], row["problem"]) == (sha256, "damaged")
    assert row["belongs_to"] == f"crawling/posture {KEY}"
    assert "--repair" in mosaic(project, "store", "verify", code=1).stdout
    mosaic(project, "store", "verify", "--repair")
    assert len(list((project / "workspaces/larvae/damaged").iterdir())) == 1
    entries = mosaic.json(project, "status")["entries"]
    assert {"step": "posture", "reason": "object missing"}.items() <= entries[0].items()
    assert mosaic.json(project, "store", "verify")[0]["problem"] == "missing"


def test_a_damaged_file_of_a_fit_takes_its_fit_along(project: Path, mosaic: Any) -> None:
    """Else the fit would count as fresh for ever, with a file that nobody can read."""
    damage(project, member_of(project, mosaic, "clusters", "cluster_centers.npz"))
    rows = mosaic.json(project, "store", "verify", "--repair")
    assert [row["problem"] for row in rows[:2]] == ["damaged", "a file of it is damaged"]
    assert "crawling/clusters (fit) cluster_centers.npz" in rows[0]["belongs_to"]
    steps = {row["step"]: row for row in mosaic.json(project, "status")["steps"]}
    assert steps["clusters"]["model"] == "stale"


def test_a_stray_file_is_told(project: Path, mosaic: Any) -> None:
    (project / ARTIFACTS / "notes.txt").write_text("mine")
    (row,) = mosaic.json(project, "store", "verify")
    assert row["problem"] == "no object"


def test_clean_and_gc_remove_what_a_dropped_step_made(project: Path, mosaic: Any) -> None:
    """The step summary has 4 tables; without its declaration they go, and nothing else does."""
    code = project / "assets" / "larvae.py"
    lines = [line for line in code.read_text().splitlines() if '"summary"' not in line]
    code.write_text("\n".join(lines) + "\n")
    rows = [row for row in mosaic.json(project, "clean") if row["status"] != "current"]
    assert [(row["feature"], row["status"], row["n_results"]) for row in rows] == [
        ("cluster-summary", "would remove", 4)
    ]
    assert mosaic.json(project, "store", "gc", "--grace", "0")["removed"] == []
    assert "mosaic store gc --apply" in mosaic(project, "clean", "--apply").stdout
    assert "Nothing to clean" in mosaic(project, "clean").stdout
    files = len(list((project / ARTIFACTS).rglob("*.parquet")))
    _make_old(project)
    dry = mosaic.json(project, "store", "gc")
    assert (dry["dry_run"], len(dry["removed"])) == (True, 4)
    text = mosaic(project, "store", "gc", "--apply").stdout
    assert "4 objects" in text
    assert f"{dry['live']} are live" in text
    assert len(list((project / ARTIFACTS).rglob("*.parquet"))) == files - 4
    assert mosaic.json(project, "store", "verify") == []


def test_young_objects_are_spared(project: Path, mosaic: Any) -> None:
    """A run may be about to record them."""
    ContentStore(project / ARTIFACTS).put(b"nobody needs this")
    told = mosaic.json(project, "store", "gc", "--apply")
    assert (told["removed"], told["spared_by_grace"]) == ([], 1)


def _make_old(project: Path) -> None:
    long_ago = time.time() - 7 * 24 * 3600
    for path in (project / ARTIFACTS).rglob("*.*"):
        os.utime(path, (long_ago, long_ago))


@pytest.mark.parametrize("command", [["clean"], ["store", "gc"], ["store", "stats"]], ids=" ".join)
def test_an_unknown_dataset_gets_the_nearest(made: Path, mosaic: Any, command: list[str]) -> None:
    assert "'larvae'" in mosaic(made, *command, "--dataset", "larvea", code=1).stderr
