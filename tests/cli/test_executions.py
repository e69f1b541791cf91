"""``mosaic executions``: what ran, and how it ended."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.dagster

Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_a_run_is_listed_with_what_started_it(made: Path, mosaic: Any) -> None:
    """One `mosaic run` is a refresh, and the run over the dataset that it started."""
    inner, refresh = mosaic.json(made, "executions", "list")
    assert (refresh["job"], refresh["status"]) == ("refresh", "succeeded")
    assert refresh["started_by"] == "command line"
    assert inner["job"] == "larvae"
    assert inner["parent"] == refresh["run_id"]
    assert inner["started_by"] == f"refresh {refresh['run_id'][:8]}"
    assert 0 < inner["seconds"] <= refresh["seconds"]
    text = mosaic(made, "executions", "list", "--limit", "1").stdout
    assert inner["run_id"][:8] in text
    assert refresh["run_id"] not in text
    assert mosaic.json(made, "executions", "list", "--status", "failed") == []
    none = mosaic(made, "executions", "list", "--status", "queued").stdout
    assert "mosaic run" in none


def test_a_run_tells_what_it_made(made: Path, mosaic: Any) -> None:
    """Four recordings were copied, so each step of recordings made four results."""
    inner, refresh = mosaic.json(made, "executions", "list")
    told = mosaic.json(made, "executions", "show", refresh["run_id"][:8])
    assert (told["steps"], told["failures"]) == ([], [])
    (child,) = told["runs"]
    assert child["run_id"] == inner["run_id"]
    steps = {step["asset"]: step for step in child["steps"]}
    assert steps["larvae/tracks"]["made"] == 4
    smooth = steps["larvae/crawling/smooth"]
    assert (smooth["entries"], smooth["made"], smooth["failed"]) == (4, 4, 0)
    assert steps["larvae/crawling/scaled/model"]["made"] == 1
    text = mosaic(made, "executions", "show", refresh["run_id"][:8]).stdout
    assert "larvae/crawling/smooth" in text
    assert f"by refresh {refresh['run_id'][:8]}" in text


def test_an_unknown_run_is_no_traceback(made: Path, mosaic: Any) -> None:
    (inner, _) = mosaic.json(made, "executions", "list")
    near = inner["run_id"][:7] + "?"
    assert "Did you mean" in mosaic(made, "executions", "show", near, code=1).stderr
    assert "executions list" in mosaic(made, "executions", "show", "zzz", code=1).stderr


def test_without_a_run_nothing_is_listed(new: Path, mosaic: Any) -> None:
    assert mosaic.json(new, "executions", "list") == []


@pytest.mark.slow
def test_a_failed_run_says_why_once(project: Path, mosaic: Any, type_in: Typed) -> None:
    """A file that cannot be read: the run names it, with the error, and so does `mosaic run`."""
    file = project / "recordings" / "larvae" / "dish01" / "larva_007.csv"
    file.write_text("frame,head_x\n1,2\n")
    done = type_in(project, "run")
    assert done.returncode == 1
    assert (done.stdout + done.stderr).count("larva_007.csv:") == 1
    listed = mosaic.json(project, "executions", "list", "--status", "failed")
    told = mosaic.json(project, "executions", "show", listed[-1]["run_id"])
    (child,) = told["runs"]
    tracks = next(step for step in child["steps"] if step["asset"] == "larvae/tracks")
    assert tracks["failed"] == 1
    failed = {(row["asset"], row["entry"]): row["error"] for row in child["failures"]}
    assert "head" in failed["larvae/tracks", "dish01/larva_007"]
    text = mosaic(project, "executions", "show", listed[-1]["run_id"]).stdout
    assert text.count("larva_007.csv:") == 1
    assert "mosaic status" in text


@pytest.mark.slow
def test_a_killed_run_is_interrupted(project: Path, mosaic: Any, type_in: Typed) -> None:
    """A process that is gone ends no run; a list that calls it running would be believed."""
    code = project / "assets" / "larvae.py"
    stop = "import os\n\n\ndef stop(dataset, results):\n    os.kill(os.getpid(), 9)\n\n\n"
    text = code.read_text().replace("MOVEMENTS =", stop + "MOVEMENTS =", 1)
    code.write_text(text.replace('"pictures", draw_pictures', '"pictures", stop'))
    done = type_in(project, "run", "--engine", "sequential")
    assert done.returncode == -9
    rows = mosaic.json(project, "executions", "list", "--status", "interrupted")
    assert {row["job"] for row in rows} == {"refresh", "larvae"}
    found = json.loads(mosaic(project, "doctor", "--json").stdout)
    (gone,) = [row for row in found if "their process is gone" in row["what"]]
    assert gone["state"] == "warning"
    assert "mosaic run" in gone["remedy"]
