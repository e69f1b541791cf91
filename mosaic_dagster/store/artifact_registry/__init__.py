"""Where an object came from: chains of operators, the records of artifacts, and their loader."""

from mosaic_dagster.store.artifact_registry.artifact_record import (
    ArtifactRecord,
    ArtifactType,
    MetaModelConfig,
)
from mosaic_dagster.store.artifact_registry.dependency_graph import DependencyGraph
from mosaic_dagster.store.artifact_registry.loader import ArtifactLoader
from mosaic_dagster.store.artifact_registry.operator_chain import (
    OperatorChain,
    generate_id,
    parse_artifact_id,
)
from mosaic_dagster.store.artifact_registry.operator_node import OperatorNode
from mosaic_dagster.store.artifact_registry.registry import ArtifactRegistry

__all__ = [
    "ArtifactLoader",
    "ArtifactRecord",
    "ArtifactRegistry",
    "ArtifactType",
    "DependencyGraph",
    "MetaModelConfig",
    "OperatorChain",
    "OperatorNode",
    "generate_id",
    "parse_artifact_id",
]
