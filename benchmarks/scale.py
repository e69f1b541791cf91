"""How long questions take when a dataset has thousands of recordings.

    python -m benchmarks.scale [--entries 100 1000 10000] [--folder DIR] [--json]

For each size a project is made: one small file per recording, a pipeline of six steps, and one
`mosaic run` that reads, computes, records and announces everything. Then what people and sensors
ask when nothing has changed is timed as whole commands, each in a process of its own, and the
asset pages through the web server. Limits are for 10,000 recordings and more; ends with 1 where
one is missed. For 10,000 recordings the run takes some minutes and 500 MB in the folder (by
default the system's temporary one), which is kept, and used again, when it is named.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from socket import socket
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
DATASET, PIPELINE, LAST = "scale", "chain", "scaled"
FRAMES = 40
PER_GROUP = 100
LIMITED = 10_000
"""Recordings from which on the limits hold."""

CODE = '''"""A chain of six steps, of which two are fitted on all recordings."""

from benchmarks.toy import Shift
from mosaic_dagster import FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration, SourceRule
from mosaic_dagster.features import StepRef

CHAIN = Pipeline(name="chain")
for i in range(4):
    CHAIN.add(FeatureStep(f"shift_{i}", Shift, {"by": i + 1.0}, [f"shift_{i - 1}"] if i else []))
CHAIN.add(FeatureStep("templates", "extract-templates", {"n_templates": 500}, ["shift_3"]))
CHAIN.add(
    FeatureStep(
        "scaled", "global-scaler",
        {"templates": StepRef("templates", "templates.parquet")}, ["shift_3"],
    )
)
SOURCE = SourceRule(path="recordings", format="keypoint_csv")
DATASET = DatasetDeclaration(
    name="scale", fps=20.0, unit="mm", keypoints=("head",), sources=(SOURCE,)
)
STUDIES = (Study(DATASET, [CHAIN]),)
'''

DEFINITIONS = '''"""What Dagster loads."""

from assets import STUDIES
from mosaic_dagster.orchestration import EngineResource, WorkspaceResource, build_definitions

RESOURCES = {
    "scale": WorkspaceResource(database="workspaces/scale/store.duckdb"),
    "engine": EngineResource(backend="sequential"),
}
definitions = build_definitions(STUDIES, RESOURCES)
'''

WORKSPACE = """
load_from:
  - python_module: {module_name: assets.definitions, working_directory: .}
"""

SENSOR = """
import sys, time
sys.path.insert(0, ".")
import dagster as dg
from assets import STUDIES
from mosaic_dagster.dataset import Dataset
from mosaic_dagster.orchestration.automation.out_of_date import look
from mosaic_dagster.orchestration.automation.settings import Automation
with dg.DagsterInstance.get() as instance:
    for _ in range(4):
        begun = time.perf_counter()
        dataset = Dataset.ensure("workspaces/scale", STUDIES[0].dataset)
        context = dg.build_sensor_context(instance=instance)
        answer = look(context, STUDIES[0], dataset, Automation())
        print(time.perf_counter() - begun)
        assert isinstance(answer, dg.SkipReason), answer
"""

PARTITIONS = """
query Partitions($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      partitionKeysByDimension { name partitionKeys }
      partitionStats { numMaterialized numFailed numPartitions numMaterializing }
      assetPartitionStatuses {
        ... on DefaultPartitionStatuses {
          materializedPartitions failedPartitions unmaterializedPartitions materializingPartitions
        }
      }
    }
  }
}
"""

ONE_PARTITION = """
query One($key: AssetKeyInput!, $partitions: [String!]) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetMaterializations(partitions: $partitions, limit: 1) { runId timestamp partition }
    }
  }
}
"""


@dataclass(frozen=True)
class Figure:
    """Seconds that something took, and how many it may take; None for no limit."""

    entries: int
    what: str
    seconds: float
    limit: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether it took too long."""
        limited = self.limit is not None and self.entries >= LIMITED
        return limited and self.seconds > (self.limit or 0.0)


def make_project(folder: Path, entries: int) -> None:
    """A project with one short recording per entry, nothing read yet."""
    texts = {
        "dagster.yaml": (ROOT / "dagster.yaml").read_text(),
        "workspace.yaml": WORKSPACE,
        "assets/__init__.py": CODE,
        "assets/definitions.py": DEFINITIONS,
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    rng = np.random.default_rng(0)
    for entry in range(entries):
        group = folder / "recordings" / f"g{entry // PER_GROUP:03d}"
        group.mkdir(parents=True, exist_ok=True)
        walk = rng.normal(size=(FRAMES, 2)).cumsum(axis=0).round(3).tolist()
        rows = "\n".join(f"{frame},{x},{y}" for frame, (x, y) in enumerate(walk))
        (group / f"s{entry:05d}.csv").write_text(f"frame,head_x,head_y\n{rows}\n")


def environment(folder: Path) -> dict[str, str]:
    """What commands need to find this code and the project's own Dagster instance."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(folder),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def typed(folder: Path, *arguments: str) -> tuple[float, str]:
    """Seconds that a Python command takes from start to end in the project, and what it prints."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    if done.returncode:
        msg = f"{' '.join(arguments[:4])} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        raise RuntimeError(msg)
    return seconds, done.stdout


def mosaic(folder: Path, *arguments: str) -> tuple[float, str]:
    """The same for a command of `mosaic`."""
    return typed(folder, "-m", "mosaic_dagster.cli.app", *arguments)


def key_of(entry: int) -> str:
    """Key of a recording."""
    return f"g{entry // PER_GROUP:03d}/s{entry:05d}"


def measure_commands(folder: Path, entries: int, repeats: int) -> Iterator[Figure]:
    """The commands of a person, and the evaluation of a sensor."""
    some = key_of(entries // 2)
    commands: list[tuple[str, float, Sequence[str]]] = [
        ("mosaic status", 1.0, ["status"]),
        ("mosaic why", 1.0, ["why", LAST, "--entry", some]),
        ("mosaic run --dry-run", 1.0, ["run", "--dry-run"]),
        ("mosaic run, nothing to do", 6.0, ["run"]),
    ]
    for what, limit, arguments in commands:
        best = min(mosaic(folder, *arguments)[0] for _ in range(repeats))
        yield Figure(entries, what, best, limit)
    evaluations = [float(line) for line in typed(folder, "-c", SENSOR)[1].split()]
    yield Figure(entries, "evaluation by a sensor, first", evaluations[0], 2.0)
    yield Figure(entries, "evaluation by a sensor, again", min(evaluations[1:]), 2.0)


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Address of the user interface of the project, while the block lasts."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-p", str(port)],
        cwd=folder, env=environment(folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def ask(address: str, query: str, variables: dict[str, Any]) -> tuple[float, Any]:
    """Seconds that a GraphQL query takes, and its data."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/graphql", body, headers)
    begun = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as response:
        answer = json.load(response)
    if "errors" in answer:
        raise RuntimeError(json.dumps(answer["errors"])[:2000])
    return time.perf_counter() - begun, answer["data"]


def wait_for(address: str, seconds: float = 90) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            ask(address, "{ version }", {})
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        else:
            return


def measure_pages(folder: Path, entries: int, repeats: int) -> Iterator[Figure]:
    """What the page of an asset asks the web server for."""
    key = {"path": [DATASET, PIPELINE, LAST]}
    one = {"key": key, "partitions": [key_of(entries // 2)]}
    with web_server(folder) as address:
        wait_for(address)
        for what, query, variables in (
            ("page of an asset, all partitions", PARTITIONS, {"key": key}),
            ("page of an asset, one partition", ONE_PARTITION, one),
        ):
            first, data = ask(address, query, variables)
            _check_page(data["assetNodeOrError"], entries)
            later = min(ask(address, query, variables)[0] for _ in range(repeats))
            yield Figure(entries, f"{what}, first", first)
            yield Figure(entries, what, later, 1.0)


def _check_page(node: dict[str, Any], entries: int) -> None:
    """A page that shows too little is no success, however fast it is."""
    if "partitionStats" in node:
        assert node["partitionStats"]["numMaterialized"] == entries, node["partitionStats"]
    else:
        assert len(node["assetMaterializations"]) == 1


def measure(folder: Path, entries: int, repeats: int, *, pages: bool) -> list[Figure]:
    """All figures for one number of recordings; makes what is not there."""
    found = []
    if not (folder / "dagster.yaml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_project(folder, entries)
    if not (folder / "workspaces" / DATASET / "store.duckdb").exists():
        found.append(Figure(entries, "mosaic run, everything new", mosaic(folder, "run")[0]))
    found += measure_commands(folder, entries, repeats)
    if pages:
        found += measure_pages(folder, entries, repeats)
    return found


def slopes(figures: Sequence[Figure]) -> dict[str, float]:
    """Power of the number of recordings by which time grows between the two largest sizes."""
    sizes = sorted({figure.entries for figure in figures})[-2:]
    if len(sizes) < 2:
        return {}
    small, large = ({f.what: f.seconds for f in figures if f.entries == n} for n in sizes)
    step = math.log(sizes[1] / sizes[0])
    return {what: math.log(large[what] / small[what]) / step for what in large if what in small}


def print_figures(figures: Sequence[Figure]) -> None:
    """One line for each question, one column for each size."""
    sizes = sorted({figure.entries for figure in figures})
    grows = slopes(figures)
    print(f"{'seconds':<42}" + "".join(f"{n:>9,}" for n in sizes) + f"{'limit':>8}{'slope':>7}")
    for what in dict.fromkeys(figure.what for figure in figures):
        row = {f.entries: f for f in figures if f.what == what}
        cells = "".join(f"{row[n].seconds:>9.2f}" if n in row else f"{'':>9}" for n in sizes)
        last = row[max(row)]
        limit = "" if last.limit is None else f"{last.limit:g}"
        slope = f"{grows[what]:.2f}" if what in grows else ""
        missed = "  missed" if last.is_missed else ""
        print(f"{what:<42}{cells}{limit:>8}{slope:>7}{missed}")


def main() -> int:
    """Run the benchmark; print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--no-pages", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="mosaic-scale-") as temporary:
        for entries in sorted(given.entries):
            folder = (given.folder or Path(temporary)).absolute() / str(entries)
            figures += measure(folder, entries, given.repeats, pages=not given.no_pages)
    if given.json:
        print(json.dumps([asdict(figure) for figure in figures]))
    else:
        print_figures(figures)
    return int(any(figure.is_missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
