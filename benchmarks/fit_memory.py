"""How much memory the fits take that see a whole dataset, each in a process of its own.

    python -m benchmarks.fit_memory [--entries 200] [--frames 20000] [--folder DIR] [--json]

Recordings are made up: two animals with seven keypoints, labels, and a step that makes 50 columns
of each. Then one process after the other runs the pipeline one step further, and says the most
memory it held. Ends with 1 where a step held more than the limit. A recording of
20,000 frames takes 25 MB in the folder (by default the system's temporary one) until the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.features.tracks import standard_tracks
from mosaic_dagster import Dataset, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.dataset import DatasetDeclaration, Labels
from mosaic_dagster.features import Feature, Params, StepRef
from mosaic_dagster.features.output import values_schema, with_values

LIMIT_MB = 600
_NAMES = {0: "attack", 1: "groom", 2: "rest"}


class WideParams(Params):
    """How many columns are made."""

    columns: int = 50


class Wide(Feature[WideParams]):
    """Columns that are cheap to make and hard to compress."""

    name = "bench-wide"
    version = "1"
    Params = WideParams

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The keys and the columns."""
        names = [f"c{k}" for k in range(self.params.columns)]
        return values_schema(schema, {name: pl.Float64() for name in names})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Waves along the walk of the first animal, one faster than the other."""
        table = table.filter(pl.col("id") == pl.col("id").min())
        x = table["X"].to_numpy()
        waves = {f"c{k}": np.sin(x * (k + 1) / 50) for k in range(self.params.columns)}
        return with_values(table, waves)


def steps() -> list[FeatureStep]:
    """The steps in the order in which they are run."""
    templates = {"templates": StepRef("templates", "templates.parquet")}
    return [
        FeatureStep("wide", Wide),
        FeatureStep("templates", "extract-templates", {"n_templates": 20_000}, ["wide"]),
        FeatureStep("labeled", "extract-labeled-templates", {"n_per_class": 5_000}, ["wide"]),
        FeatureStep("scaler", "global-scaler", templates, ["wide"]),
        FeatureStep("pca", "global-pca", templates, ["wide"]),
        FeatureStep("kmeans", "global-kmeans", {**templates, "k": 50, "max_iter": 30}, ["wide"]),
        FeatureStep("posture", "pair-posedistance-pca"),
    ]


def add_recordings(folder: Path, entries: int, frames: int) -> None:
    """The same walk, shifted, for every entry, and a class for each of its frames."""
    dataset = Dataset.ensure(folder, DatasetDeclaration(name="memory", fps=30.0, unit="px"))
    tracks = standard_tracks(frames).drop("group", "sequence", "fps", "time")
    moved = [c for c in tracks.columns if c in "XY" or c.startswith("pose")]
    classes = [int(c) for c in np.arange(frames) // 50 % len(_NAMES)]
    with dataset.registry.session():
        for i in range(entries):
            key = EntryKey(f"g{i // 20:02d}", f"s{i:03d}")
            dataset.add_tracks(key, tracks.with_columns(pl.col(moved) + i / 7))
            dataset.add_labels(key, Labels.per_frame(classes, _NAMES))


def run_to(folder: Path, step: str) -> dict[str, float]:
    """Run the pipeline up to a step in this process; gives the most memory held, in MB."""
    declared = steps()
    last = [known.name for known in declared].index(step)
    pipeline = Pipeline(name="memory")
    for known in declared[: last + 1]:
        pipeline.add(known)
    dataset = Dataset.open(folder)
    before = most_held()
    pipeline.run(dataset, engine="sequential")
    return {"before": before, "most": most_held()}


def most_held() -> float:
    """The most memory that this process held so far, in MB.

    What ``getrusage`` says begins with the memory of the process that started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    msg = "This system does not tell the most memory that a process held."
    raise SystemExit(msg)


def run_apart(folder: Path, step: str) -> dict[str, float]:
    """Run the pipeline up to a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.fit_memory", "--folder", str(folder)]
    done = subprocess.run([*command, "--run-to", step], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(folder: Path, entries: int, frames: int) -> dict[str, float]:
    """Most memory held by the process of each step, in MB."""
    add_recordings(folder, entries, frames)
    return {step.name: run_apart(folder, step.name)["most"] for step in steps()}


def main() -> int:
    """Run the benchmark and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=200)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where the recordings are made")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run-to", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run_to:
        print(json.dumps(run_to(given.folder, given.run_to)))
        return 0
    with tempfile.TemporaryDirectory(prefix="mosaic-memory-", dir=given.folder) as folder:
        found = measure(Path(folder) / "memory", given.entries, given.frames)
    ok = all(held <= LIMIT_MB for held in found.values())
    if given.json:
        report: dict[str, Any] = {"mb": found, "limit_mb": LIMIT_MB, "ok": ok}
        print(json.dumps(report))
    else:
        print(f"{given.entries} recordings of {given.frames} frames; limit {LIMIT_MB} MB")
        for step, held in found.items():
            print(f"{step:<10} {held:>6.0f} MB  {'yes' if held <= LIMIT_MB else 'NO'}")
    return int(not ok)


if __name__ == "__main__":
    sys.exit(main())
