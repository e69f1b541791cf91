"""Pictures for people: tables in, PNG bytes out. Nothing here reads or writes files."""

from mosaic_dagster.charts.agreement import agreement
from mosaic_dagster.charts.bars import cluster_sizes
from mosaic_dagster.charts.ethogram import ethogram
from mosaic_dagster.charts.lines import quick_lines
from mosaic_dagster.charts.trajectories import trajectories

__all__ = ["agreement", "cluster_sizes", "ethogram", "quick_lines", "trajectories"]
