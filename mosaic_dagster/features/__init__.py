"""What is computed: the feature protocol, its parameters and inputs, and the library."""

from mosaic_dagster.features.inputs import Inputs, InputStream, join_inputs
from mosaic_dagster.features.output import FeatureTable, feature_columns, with_values
from mosaic_dagster.features.params import DatasetFacts, FromDataset, NotIdentity, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.references import (
    ArtifactSpec,
    GroundTruthLabelsSource,
    JoblibLoadSpec,
    LabelsSource,
    NpzLoadSpec,
    ParquetLoadSpec,
    Result,
    ResultColumn,
    StepRef,
    TracksColumn,
)
from mosaic_dagster.features.registry import get_feature, list_features, register

__all__ = [
    "ArtifactSpec",
    "DatasetFacts",
    "Feature",
    "FeatureTable",
    "FromDataset",
    "GroundTruthLabelsSource",
    "InputStream",
    "Inputs",
    "JoblibLoadSpec",
    "LabelsSource",
    "NotIdentity",
    "NpzLoadSpec",
    "Params",
    "ParquetLoadSpec",
    "Result",
    "ResultColumn",
    "StepRef",
    "TracksColumn",
    "feature_columns",
    "get_feature",
    "join_inputs",
    "list_features",
    "register",
    "with_values",
]
