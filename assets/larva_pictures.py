"""Pictures of the larvae's clusters: where, when and how often."""

from collections.abc import Mapping

import polars as pl

from mosaic_dagster import Dataset
from mosaic_dagster.charts import cluster_sizes, ethogram, trajectories
from mosaic_dagster.pipeline import StepResult
from mosaic_dagster.store import StepOutput


def draw_pictures(dataset: Dataset, results: Mapping[str, StepResult]) -> StepOutput:
    """Trajectories coloured by cluster, an ethogram per dish, and the size of each cluster."""
    tracks = results["tracks"]
    tables = {
        key: tracks.table(key).join(
            table.select("frame", "id", "cluster"), on=["frame", "id"], how="left"
        )
        for key, table in results["clusters"].tables()
    }
    groups = sorted({key.group for key in tables})
    by_group = {
        group: {key.sequence: table for key, table in tables.items() if key.group == group}
        for group in groups
    }
    everything = {group: pl.concat(rows.values()) for group, rows in by_group.items()}
    outputs = [
        (trajectories(everything, dataset.manifest.unit or ""), "trajectories", "png"),
        (cluster_sizes(_counts(everything), "Size of the clusters"), "cluster_sizes", "png"),
    ]
    outputs += [
        (ethogram(rows, f"{group}: cluster over time"), f"ethogram_{group}", "png")
        for group, rows in by_group.items()
    ]
    frames = sum(table["cluster"].count() for table in tables.values())
    return StepOutput(outputs=outputs, metadata={"recordings": len(tables), "frames": frames})


def _counts(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    counted = [
        table.drop_nulls("cluster")
        .group_by("cluster")
        .len("count")
        .select(pl.lit(group).alias("group"), "cluster", "count")
        for group, table in tables.items()
    ]
    return pl.concat(counted).sort("group", "cluster")
