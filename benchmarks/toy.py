"""A synthetic study: short recordings and a chain of cheap steps."""

from __future__ import annotations

import numpy as np
import polars as pl

from mosaic_dagster import Dataset, EntryKey, FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration
from mosaic_dagster.features import Feature, Params

DATASET = "bench"
FPS = 16.0


class ShiftParams(Params):
    """How far X is moved."""

    by: float = 1.0


class Shift(Feature[ShiftParams]):
    """Move X; costs next to nothing, so that what is measured is everything around it."""

    name = "bench-shift"
    version = "1"
    Params = ShiftParams

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Columns stay as they are."""
        return schema

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Add to X."""
        return table.with_columns(pl.col("X") + self.params.by)


def chain(steps: int) -> Pipeline:
    """A chain of steps, each reading the one before."""
    pipeline = Pipeline(name="chain")
    for i in range(steps):
        inputs = [f"shift_{i - 1}"] if i else []
        pipeline.add(FeatureStep(f"shift_{i}", Shift, {"by": float(i + 1)}, inputs))
    return pipeline


def study(steps: int) -> Study:
    """The chain on the synthetic dataset."""
    return Study(DatasetDeclaration(name=DATASET, fps=FPS, unit="mm"), [chain(steps)])


def add_recordings(dataset: Dataset, entries: int, rows: int) -> None:
    """Give each entry a random walk of its own."""
    rng = np.random.default_rng(0)
    with dataset.registry.session():
        for i in range(entries):
            walk = rng.normal(size=(rows, 2)).cumsum(axis=0)
            table = pl.DataFrame(
                {
                    "frame": np.arange(rows), "id": np.zeros(rows, dtype=np.int64),
                    "X": walk[:, 0], "Y": walk[:, 1],
                    "poseX0": walk[:, 0], "poseY0": walk[:, 1],
                }
            )  # fmt: skip
            dataset.add_tracks(EntryKey(f"g{i // 100:03d}", f"s{i:05d}"), table)
