"""``mosaic clean``: what goes, by kind and with sizes, and what happens next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

KEY = "dish01/larva_007"


def drop_summary(project: Path) -> None:
    code = project / "assets" / "larvae.py"
    lines = [line for line in code.read_text().splitlines() if '"summary"' not in line]
    code.write_text("\n".join(lines) + "\n")


def test_it_tells_kinds_and_sizes_and_what_comes_next(project: Path, mosaic: Any) -> None:
    """Four tables of a step that is no longer declared, and a recording whose file is gone."""
    drop_summary(project)
    (project / "recordings" / "larvae" / f"{KEY}.csv").unlink()
    rows = [row for row in mosaic.json(project, "clean") if row["status"] != "current"]
    assert {row["dataset"] for row in rows} == {"larvae"}
    tracks = sum(row["n_results"] for row in rows if row["feature"] == "tracks")
    assert tracks == 1
    text = mosaic(project, "clean").stdout
    assert "tables of tracks: 1 (" in text
    assert "recordings whose files are gone: 1\n" in text
    assert "Next: `mosaic clean --apply`" in text
    assert "comes back" not in text
    assert "come back is new" in text
    done = mosaic(project, "clean", "--apply").stdout
    assert "were forgotten" in done
    assert "Next: `mosaic clean" not in done
    assert "mosaic store gc --apply" in done
    assert mosaic(project, "clean").stdout.startswith("Nothing to clean")


def test_nothing_goes_without_apply(project: Path, mosaic: Any) -> None:
    drop_summary(project)
    told = mosaic.json(project, "clean")
    mosaic(project, "clean")
    assert mosaic.json(project, "clean") == told
