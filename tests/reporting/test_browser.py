"""The page in a real browser: whole, quiet, and without asking anybody for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mosaic_dagster import Dataset, Pipeline
from mosaic_dagster.reporting import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_browser_shows_the_page_without_requests_or_errors(
    made: Dataset, pipeline: Pipeline, tmp_path: Path
) -> None:
    """What a receiver sees: headings and pictures, no error, nothing fetched, under 5 MB."""
    path = write_report(made, pipeline, tmp_path / "report.html").path
    assert path.stat().st_size < 5_000_000
    net, profile = tmp_path / "net.json", tmp_path / "profile"
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--no-first-run", f"--user-data-dir={profile}", f"--log-net-log={net}", "--dump-dom",
         path.as_uri()],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    dom = done.stdout
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", dom)
    assert re.findall(r"<h1>([^<]+)</h1>", dom) == ["walks on lab"]
    assert headings == [
        "Summary", "Checks", "Recordings", "Behaviour", "Maps", "Trained models",
        "Pictures and files of the pipeline", "Steps and parameters", "Provenance",
    ]  # fmt: skip
    assert dom.count("<img") == 7
    assert "could not be drawn" not in dom
    assert "CONSOLE" not in done.stderr
    fetched = re.findall(r'"url":"(https?://[^"]+)"', net.read_text(errors="replace"))
    assert not [url for url in fetched if "google" not in url and "gvt1" not in url]
