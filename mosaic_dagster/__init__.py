"""From folders of animal tracking files to features and behaviour clusters, kept up to date.

Every result is a function of its inputs, so it is looked up before it is computed.
"""

from mosaic_dagster.dataset import Dataset, EntryKey
from mosaic_dagster.pipeline import CallbackStep, FeatureStep, Pipeline, Study, TrainingStep

__all__ = [
    "CallbackStep",
    "Dataset",
    "EntryKey",
    "FeatureStep",
    "Pipeline",
    "Study",
    "TrainingStep",
]

__version__ = "0.1.0"
