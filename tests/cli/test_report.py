"""``mosaic report``: the page that people send around."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path("workspaces") / "larvae" / "exports" / "larvae_crawling" / "report.html"


def test_a_run_leaves_the_page_among_the_exports(made: Path) -> None:
    """Whoever runs a pipeline finds its report without asking for it."""
    text = (made / PAGE).read_text()
    assert "<h1>crawling on larvae</h1>" in text
    assert "results are up to date." in text


@pytest.mark.slow
def test_the_command_gives_the_same_page_as_the_run(project: Path, mosaic: Any) -> None:
    """Two pages of one state that differ would raise the question which is right."""
    by_the_run = (project / PAGE).read_bytes()
    told = mosaic(project, "report", "crawling").stdout
    assert told.startswith(f"{PAGE} (")
    assert (project / PAGE).read_bytes() == by_the_run


@pytest.mark.slow
def test_json_has_the_path_and_the_facts(project: Path, tmp_path: Path, mosaic: Any) -> None:
    """Four recordings were copied; a program finds the page, and what it says."""
    file = tmp_path / "mail" / "crawling.html"
    told = mosaic.json(project, "report", "crawling", "--output", str(file))
    assert told["path"] == str(file)
    assert told["bytes"] == file.stat().st_size < 5_000_000
    assert told["facts"]["recordings"] == 4
    steps = {step["name"]: step for step in told["facts"]["steps"]}
    assert steps["clusters"]["trace"]["results"] == 4
    assert set(told["facts"]["counts"]) >= {"fresh", "stale", "failed"}


@pytest.mark.slow
def test_what_is_out_of_date_is_said(
    project: Path, mosaic: Any, edit: Callable[[Path], Path]
) -> None:
    """An edited recording must not hide behind yesterday's pictures."""
    edit(project)
    told = mosaic(project, "report", "crawling").stdout
    assert " stale" in told
    assert "source changed" in (project / PAGE).read_text()


@pytest.mark.slow
def test_a_project_in_which_nothing_ran_has_a_page(new: Path, mosaic: Any) -> None:
    told = mosaic(new, "report", "crawling").stdout
    assert "Nothing has been made yet" in told
    assert (new / PAGE).is_file()


def test_wrong_usage_is_told(made: Path, tmp_path: Path, mosaic: Any) -> None:
    """A wrong name, or a folder for the file, is no traceback."""
    assert "crawling" in mosaic(made, "report", "crawlin", code=2).stderr
    mosaic(made, "report", code=2)
    told = mosaic(made, "report", "crawling", "--output", str(tmp_path), code=2).stderr
    assert "is a folder" in told
