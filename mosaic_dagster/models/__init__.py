"""What is learned: trainings and their progress, splits, metrics, evaluation, agreement."""

from mosaic_dagster.models.agreement import cluster_agreement
from mosaic_dagster.models.evaluation import Evaluation, evaluate
from mosaic_dagster.models.index import list_models
from mosaic_dagster.models.progress import (
    CompositeProgressCallback,
    ConsoleProgress,
    CsvProgress,
    DatabaseProgress,
    TrainingProgressCallback,
    read_progress,
)
from mosaic_dagster.models.splits import Fold, explicit_folds, k_folds, train_test_split
from mosaic_dagster.models.training import Model, ModelTraining, train_model

__all__ = [
    "CompositeProgressCallback",
    "ConsoleProgress",
    "CsvProgress",
    "DatabaseProgress",
    "Evaluation",
    "Fold",
    "Model",
    "ModelTraining",
    "TrainingProgressCallback",
    "cluster_agreement",
    "evaluate",
    "explicit_folds",
    "k_folds",
    "list_models",
    "read_progress",
    "train_model",
    "train_test_split",
]
