"""``mosaic status`` and ``mosaic why``: what is told, and that it is true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from mosaic_dagster.cli.status import _remarks
from mosaic_dagster.store import open_database

KEY = "dish01/larva_007"


def test_a_new_project_has_everything_to_do(new: Path, mosaic: Any) -> None:
    """Four recordings were found and none was read."""
    steps = {row["step"]: row for row in mosaic.json(new, "status")["steps"]}
    assert steps["tracks"]["n_missing"] == 4
    assert steps["clusters"]["model"] == "missing"


def test_everything_fresh(made: Path, mosaic: Any) -> None:
    """A row too many or a state that is wrong makes people run what is done."""
    told = mosaic.json(made, "status", "crawling")
    assert {row["state"] for row in told["steps"]} == {"fresh"}
    assert {row["dataset"] for row in told["steps"]} == {"larvae"}
    assert told["entries"] == []
    assert told["sources"] == {
        "vanished": [], "gone": [], "renamed": {}, "absent": [], "refused": {}, "notes": [],
        "unknown_individuals": [],
    }  # fmt: skip
    text = mosaic(made, "status").stdout
    assert "4 fresh" in text
    assert "last made" in text


def test_a_changed_file_is_stale_and_so_is_what_hangs_on_it(
    project: Path, mosaic: Any, edit: Callable[[Path], Path]
) -> None:
    """One of four recordings changed: its tracks are stale, what is below is an upper bound."""
    edit(project)
    told = mosaic.json(project, "status")
    tracks = told["steps"][0]
    assert (tracks["n_fresh"], tracks["n_stale"], tracks["reason"]) == (3, 1, "source changed (1)")
    found = [row for row in told["entries"] if row["step"] == "smooth"]
    assert [(row["entry"], row["reason"]) for row in found] == [(KEY, "upstream: tracks")]
    assert {"step": "clusters", "entry": "(fit)"}.items() <= next(
        row for row in told["entries"] if row["step"] == "clusters"
    ).items()
    assert "source changed" in mosaic(project, "status").stdout


def test_a_vanished_file_is_told_and_its_results_stay(project: Path, mosaic: Any) -> None:
    (project / "recordings" / "larvae" / f"{KEY}.csv").unlink()
    told = mosaic.json(project, "status")
    assert told["sources"]["vanished"] == [f"recordings/larvae/{KEY}.csv"]
    assert told["entries"] == []
    assert f"recordings/larvae/{KEY}.csv" in mosaic(project, "status").stdout


def test_a_file_that_cannot_be_used_is_told(project: Path, mosaic: Any) -> None:
    link = project / "recordings" / "larvae" / "dish01" / "link.csv"
    link.symlink_to(project / "recordings" / "larvae" / f"{KEY}.csv")
    assert list(mosaic.json(project, "status")["sources"]["refused"]) == [str(link)]
    assert "is a link" in mosaic(project, "status").stdout


def test_a_database_in_use_says_by_whom(project: Path, mosaic: Any) -> None:
    """DuckDB's own sentence would not tell what to do; here another program has the file open."""
    path = project / "workspaces" / "larvae" / "store.duckdb"
    database = open_database(path)
    database.lock_timeout = 0.2
    with duckdb.connect(str(path)):
        result = mosaic(project, "status", code=1)
    assert "store.duckdb" in result.stderr
    assert "Wait until it is done" in result.stderr


def test_unknown_names_get_the_nearest(made: Path, mosaic: Any) -> None:
    assert "'crawling'" in mosaic(made, "status", "crawlin", code=2).stderr
    assert "'larvae'" in mosaic(made, "status", "--dataset", "larva", code=2).stderr
    assert "'clusters'" in mosaic(made, "why", "cluster", "--entry", KEY, code=2).stderr
    assert KEY in mosaic(made, "why", "clusters", "--entry", "dish1/larva_007", code=1).stderr


def test_why_names_the_digest_then_and_now(
    project: Path, mosaic: Any, edit: Callable[[Path], Path]
) -> None:
    """The tracks were made from another file than the one that is there."""
    edit(project)
    told = mosaic.json(project, "why", "tracks", "--entry", KEY)
    assert (told["state"], told["reason"]) == ("stale", "source changed")
    (change,) = told["changes"]
    assert change["then"] != change["now"]
    text = mosaic(project, "why", "smooth", "--entry", KEY).stdout
    assert text.startswith(f"smooth {KEY}: stale (upstream: tracks)")
    assert f"  tracks {KEY}: stale (source changed)" in text
    assert f"changed: source:0: {change['then'][:12]} → {change['now'][:12]}" in text


def test_why_goes_up_to_the_file_and_repeats_nothing(made: Path, mosaic: Any) -> None:
    """Clusters are reached from the tracks in several ways; the file is named once."""
    text = mosaic(made, "why", "clusters", "--entry", KEY).stdout
    assert text.count("larva_007.csv") == 1
    assert "see above" in text


def test_a_fit_is_explained_without_an_entry(made: Path, mosaic: Any) -> None:
    assert mosaic.json(made, "why", "clusters")["state"] == "fresh"
    assert mosaic.json(made, "why", "pictures")["state"] == "fresh"
    assert "name one with --entry" in mosaic(made, "why", "smooth", code=2).stderr
    assert "name one with --entry" in mosaic(made, "why", "tracks", code=2).stderr
    assert "leave out" in mosaic(made, "why", "pictures", "--entry", KEY, code=2).stderr


def test_what_is_wrong_with_a_file_is_told_once() -> None:
    """One file of many recordings fails alike for each: eight lines of it would hide the rest."""
    failed = [
        {"step": "tracks", "entry": f"a/{i}", "state": "failed", "error": "x.json: no fps."}
        for i in range(5)
    ]
    sources = {
        "refused": {"x.json": "x.json: no fps.", "y": "y: cut."},
        "vanished": [],
        "notes": [],
    }
    lines = _remarks({"entries": failed, "sources": sources})
    assert lines == [
        "", "Failed:", "  tracks a/0, tracks a/1, tracks a/2 and 2 more: x.json: no fps.",
        "", "Files that cannot be used:", "  y: cut.",
    ]  # fmt: skip
