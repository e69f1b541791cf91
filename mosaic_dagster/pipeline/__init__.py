"""Which steps there are, whether they are up to date, and how they are computed."""

from mosaic_dagster.pipeline.engine import Engine
from mosaic_dagster.pipeline.feature_run import run_feature
from mosaic_dagster.pipeline.pipeline import Pipeline
from mosaic_dagster.pipeline.report import RunReport, StepReport
from mosaic_dagster.pipeline.results import StepResult
from mosaic_dagster.pipeline.run import DatasetRun
from mosaic_dagster.pipeline.selection import Selection
from mosaic_dagster.pipeline.steps import CallbackStep, FeatureStep, RunOptions, TrainingStep
from mosaic_dagster.pipeline.study import Study
from mosaic_dagster.pipeline.values import load_values
from mosaic_dagster.store import FeatureRegistry, open_registry

__all__ = [
    "CallbackStep",
    "DatasetRun",
    "Engine",
    "FeatureRegistry",
    "FeatureStep",
    "Pipeline",
    "RunOptions",
    "RunReport",
    "Selection",
    "StepReport",
    "StepResult",
    "Study",
    "TrainingStep",
    "load_values",
    "open_registry",
    "run_feature",
]
