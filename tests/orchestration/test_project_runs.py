"""The real commands in a copy of the project: killed, failing, repeated, and what they leave."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from mosaic_dagster import Dataset

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 160
REFRESH = ["job", "execute", "-d", ".", "-m", "assets.definitions", "-j", "refresh"]

Command = Callable[[], list[str]]


@pytest.fixture
def larvae(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project with two short recordings in each dish, as the current folder."""
    project = tmp_path / "larvae"
    project.mkdir()
    for name in ("assets", "resources"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "assets" / "__init__.py").write_text(
        '"""One dataset alone."""\n\nfrom assets.larvae import LARVAE\n\nSTUDIES = (LARVAE,)\n'
    )
    for name in ("dagster.yaml", "workspace.yaml", ".env"):
        shutil.copy(ROOT / name, project)
    for dish in ("dish01", "dish02"):
        folder = project / "recordings" / "larvae" / dish
        folder.mkdir(parents=True)
        for source in sorted((ROOT / "recordings" / "larvae" / dish).glob("*.csv"))[:2]:
            lines = source.read_text().splitlines(keepends=True)
            (folder / source.name).write_text("".join(lines[: FRAMES + 1]))
    for name in ("DAGSTER_HOME", "MOSAIC_EVENTS", "MOSAIC_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.chdir(project)
    # As a shell does: .env makes the folder of the instance from it.
    monkeypatch.setenv("PWD", str(project))
    return project


def start(project: Path) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("dagster")), *REFRESH]
    return subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def refresh(project: Path) -> tuple[int, str]:
    with start(project) as running:
        printed, _ = running.communicate(timeout=200)
    return running.returncode, printed


def objects(project: Path) -> int:
    return sum(1 for _ in (project / "workspaces" / "larvae" / "artifacts").glob("??/*"))


def listed(project: Path) -> set[str]:
    return {str(path.relative_to(project)) for path in project.rglob("*")
            if "workspaces" not in path.relative_to(project).parts}  # fmt: skip


def test_one_unreadable_recording_ends_with_status_1(larvae: Path) -> None:
    """The first refresh says which file failed and why; mended, only that is built; then nothing.

    Outside ``workspaces/`` the project is as it was: no folder, file or cache is left.
    """
    before = listed(larvae)
    bad = sorted((larvae / "recordings" / "larvae" / "dish01").iterdir())[0]
    good = bad.read_text()
    bad.write_text("no header of ours\n1,2,3\n")
    status, printed = refresh(larvae)
    assert status == 1
    assert "FAILED tracks" in printed or "PROBLEM" in printed
    assert bad.stem in printed
    bad.write_text(good)
    status, printed = refresh(larvae)
    assert status == 0, printed[-4000:]
    status, printed = refresh(larvae)
    assert status == 0
    assert "nothing was computed" in printed
    assert listed(larvae) == before


@pytest.mark.parametrize("made", [3, 30])
def test_a_killed_refresh_is_resumed(larvae: Path, made: int) -> None:
    """kill -9 after some objects are stored: nothing of what was recorded is computed again.

    Afterwards registry and events agree, and every object has the bytes its name says.
    """
    with start(larvae) as running:
        deadline = time.monotonic() + 100
        while objects(larvae) < made and running.poll() is None:
            assert time.monotonic() < deadline, "the refresh stored nothing"
            time.sleep(0.005)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    dataset = Dataset.open(larvae / "workspaces" / "larvae")
    recorded = {r.action_key: r.created_at for r in dataset.registry.stored_results()}
    status, printed = refresh(larvae)
    assert status == 0, printed[-4000:]
    after = {r.action_key: r.created_at for r in dataset.registry.stored_results()}
    assert recorded.items() <= after.items()
    report = dataset.objects.verify()
    assert report.damaged == []
    assert report.unexpected == []
    assert_events_agree(larvae, dataset)


def assert_events_agree(project: Path, dataset: Dataset) -> None:
    """The latest event of each entry carries the digest that the registry has."""
    heads = {(h.step, h.key): h.output_sha256 for h in dataset.registry.heads("crawling")}
    heads |= {("tracks", h.key): h.output_sha256 for h in dataset.registry.heads("")}
    assert len(heads) > 40
    told = {}
    with dg.DagsterInstance.from_config(str(project)) as instance:
        for step in {step for step, _ in heads}:
            parts = ["larvae", step] if step == "tracks" else ["larvae", "crawling", step]
            for asset in (dg.AssetKey(parts), dg.AssetKey([*parts, "model"])):
                for record in instance.fetch_materializations(
                    asset, limit=1000, ascending=True
                ).records:
                    event = record.asset_materialization
                    assert event is not None
                    assert event.tags is not None
                    told[step, event.partition or ""] = event.tags["dagster/data_version"]
    assert told == heads
