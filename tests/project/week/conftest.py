"""A lab whose daemon runs: what people do to its files, and what the software then made."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster.dataset import Dataset

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CHOICES: dict[str, Any] = {"k": 3, "reader": {}, "coverage": "1", "sensors": True}
"""What the lab changes its mind about."""

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING,
]  # fmt: skip
SETTLED = {
    "larvae_new_recordings": ("No file is new or changed", "No run is needed"),
    "larvae_out_of_date": ("larvae: everything is up to date",),
}
"""What each sensor says when it has nothing to ask for."""

collect_ignore = ["project"]

Made = set[tuple[str, str]]


class Lab:
    """A project folder, its instance, and the `dagster dev` that looks after it."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, port: int) -> None:
        self.root = root
        self.instance = instance
        self.port = port
        self.choices = dict(CHOICES)
        self.seen: dict[str, int] = {}

    # What people do.

    def bring(self, name: str, source: str | None = None) -> None:
        """Copy a recording into its folder as a camera's computer would: in one go."""
        target = self.root / "recordings" / f"{name}.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "recordings" / "larvae" / f"{source or name}.csv", target)

    def correct(self, name: str) -> None:
        """Move the head in one frame."""
        path = self.root / "recordings" / f"{name}.csv"
        lines = path.read_text().splitlines()
        cells = lines[100].split(",")
        cells[1] = str(float(cells[1]) + 0.25)
        lines[100] = ",".join(cells)
        path.write_text("\n".join(lines) + "\n")

    def label(self, name: str, start: float, stop: float) -> None:
        """Say when a larva casts its head."""
        path = self.root / "scored" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        sequence = name.rpartition("/")[2]
        path.write_text(
            f"Observation id,Subject,Behavior,Start (s),Stop (s)\n{sequence},,cast,{start},{stop}\n"
        )

    def choose(self, **choices: Any) -> None:
        """Edit the code and press Reload."""
        self.choices |= choices
        (self.root / "assets" / "choices.json").write_text(json.dumps(self.choices))
        if self.port:
            found = self.graphql(
                "mutation { reloadRepositoryLocation(repositoryLocationName: "
                '"week") { __typename } }'
            )
            assert found["reloadRepositoryLocation"]["__typename"] == "WorkspaceLocationEntry"

    def graphql(self, query: str, **variables: Any) -> Any:
        """Ask the UI's server, as a browser does."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.loads(response.read())
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    # What the software did.

    @property
    def dataset(self) -> Dataset:
        return Dataset.open(self.root / "workspaces" / "larvae")

    def runs(self) -> list[dg.DagsterRun]:
        """Runs that have not ended."""
        return list(self.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)))

    def settle(self, seconds: float = 300.0) -> Made:
        """Wait until both sensors find nothing to ask for; what was made meanwhile."""
        began = time.time()
        while not self._is_settled(began):
            assert time.time() - began < seconds, self.told()
            time.sleep(0.25)
        return self.made()

    def _is_settled(self, began: float) -> bool:
        if self.runs():
            return False
        for sensor, words in SETTLED.items():
            tick = self._last_tick(sensor)
            if tick is None or tick.timestamp < began:
                return False
            if not (tick.skip_reason or "").startswith(words):
                return False
        old, new = (self._last_tick(sensor) for sensor in SETTLED)
        ended = [r.end_time or 0 for r in self.instance.get_run_records(limit=5)]
        return min(old.timestamp, new.timestamp) > max([began, *ended])  # type: ignore[union-attr]

    def _last_tick(self, sensor: str) -> Any:
        for state in self.instance.all_instigator_state():
            if state.name == sensor:
                ticks = self.instance.get_ticks(
                    state.instigator_origin_id, state.selector_id, limit=1
                )
                return ticks[0] if ticks else None
        return None

    def told(self) -> str:
        """What the sensors said last, and how the last runs ended; for a test that fails."""
        ticks = {name: self._last_tick(name) for name in [*SETTLED, "interrupted_runs"]}
        lines = [
            f"{name}: {tick and (tick.status, tick.skip_reason, tick.error)}"
            for name, tick in ticks.items()
        ]
        lines += [f"{r.run_id} {r.status} {r.tags}" for r in self.instance.get_runs(limit=4)]
        return "\n".join(lines)

    def made(self) -> Made:
        """Pairs of (step, entry) that were computed since it was last asked."""
        return {pair for pair, how in self.announced() if how == "now"}

    def announced(self) -> list[tuple[tuple[str, str], str]]:
        """What the UI was told since it was last asked: the pair, and whether made now."""
        found = []
        for asset in self.instance.all_asset_keys():
            if asset.path[-1] == "report":
                continue
            name = "/".join(asset.path[1:]).removeprefix("week/")
            condition = dg.AssetRecordsFilter(asset, after_storage_id=self.seen.get(name, 0))
            records = self.instance.fetch_materializations(condition, limit=1000).records
            for record in records:
                event = record.asset_materialization
                assert event is not None
                how = event.metadata["made"].value
                found.append(((name, event.partition or ""), str(how)))
            if records:
                self.seen[name] = max(record.storage_id for record in records)
        return found


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with three recordings and one label file, looked after by the sensors."""
    with _lab(tmp_path_factory.mktemp("week") / "lab", sensors=True) as lab:
        yield lab


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The same, with sensors that are switched off: only what people start is run."""
    with _lab(tmp_path_factory.mktemp("quiet") / "lab", sensors=False) as lab:
        yield lab


@contextlib.contextmanager
def _lab(root: Path, *, sensors: bool) -> Iterator[Lab]:
    shutil.copytree(HERE / "project", root)
    with dg.DagsterInstance.from_config(str(_absolute(root))) as instance:
        lab = Lab(root, instance, 0)
        for name in ("dish01/larva_007", "dish01/larva_017", "dish02/larva_010"):
            lab.bring(name)
        lab.label("dish01/larva_007", 1.0, 3.0)
        lab.choose(sensors=sensors)
        with _dev(root) as port:
            lab.port = port
            yield lab


def _absolute(root: Path) -> Path:
    """A folder with the same instance by an absolute path, for a process elsewhere."""
    folder = root.parent / "watching"
    folder.mkdir()
    text = (root / "dagster.yaml").read_text()
    (folder / "dagster.yaml").write_text(
        text.replace("workspaces/dagster", f"{root}/workspaces/dagster")
    )
    return folder


@contextlib.contextmanager
def _dev(root: Path) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    hidden = ("DAGSTER_HOME", "MOSAIC_PROJECT", "MOSAIC_EVENTS", "PYTHONPATH")
    environment = {name: text for name, text in os.environ.items() if name not in hidden}
    environment |= {"DAGSTER_HOME": str(root), "DAGSTER_DISABLE_TELEMETRY": "1"}
    dagster = str(Path(sys.executable).parent / "dagster")
    with (root.parent / "dev.log").open("w") as log:
        process = subprocess.Popen(
            [dagster, "dev", "--host", "127.0.0.1", "--port", str(port)],
            cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait_for(port, process, root.parent / "dev.log")
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(port: int, process: subprocess.Popen[str], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(log.read_text()[-3000:])
