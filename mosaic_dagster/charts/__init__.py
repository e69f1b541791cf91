"""Pictures for people: tables in, PNG bytes out. Nothing here reads or writes files."""

from mosaic_dagster.charts.agreement import agreement
from mosaic_dagster.charts.bars import cluster_sizes
from mosaic_dagster.charts.confusion import confusion
from mosaic_dagster.charts.diagram import diagram
from mosaic_dagster.charts.ethogram import ethogram, ethogram_pairs
from mosaic_dagster.charts.lines import quick_lines
from mosaic_dagster.charts.scatter import map_2d
from mosaic_dagster.charts.trajectories import trajectories

__all__ = [
    "agreement",
    "cluster_sizes",
    "confusion",
    "diagram",
    "ethogram",
    "ethogram_pairs",
    "map_2d",
    "quick_lines",
    "trajectories",
]
