"""Where results live: content-addressed objects, the database that names them, the models."""

from mosaic_dagster.errors import (
    ArtifactCorruptError,
    BundleError,
    StateError,
    StoreClosedError,
    StoreError,
    StoreLockedError,
    UntrustedArtifactError,
)
from mosaic_dagster.store.artifact_registry import (
    ArtifactLoader,
    ArtifactRecord,
    ArtifactRegistry,
    ArtifactType,
    DependencyGraph,
    MetaModelConfig,
    OperatorChain,
    OperatorNode,
)
from mosaic_dagster.store.bundles import Bundle, load_bundle
from mosaic_dagster.store.chains import (
    METRIC_DIRECTIONS,
    aggregate_by_group,
    chains_from_trace,
    fold_average_weights,
    register_metric,
    register_operator,
)
from mosaic_dagster.store.content.objects import ContentStore, ObjectStore, StoredObject
from mosaic_dagster.store.content.sweep import GRACE, GcReport, StoreStats, VerifyReport
from mosaic_dagster.store.database.connection import Database, open_database
from mosaic_dagster.store.database.holder import exclusive
from mosaic_dagster.store.feature_registry.records import (
    Dependency,
    EntryRow,
    Head,
    Outcome,
    Profile,
    ResultRow,
    RunRow,
    SourceRow,
    StoredResult,
)
from mosaic_dagster.store.feature_registry.registry import FeatureRegistry, open_registry
from mosaic_dagster.store.gc import collect
from mosaic_dagster.store.library import PipelineLibrary
from mosaic_dagster.store.output_writer import OutputWriter, WrittenStep
from mosaic_dagster.store.outputs import StepOutput, version_of, versioned
from mosaic_dagster.store.trained_chain import TrainedChain
from mosaic_dagster.store.workspace import Leaving, LeavingFile, Preview, WorkspaceStore

__all__ = [
    "GRACE",
    "METRIC_DIRECTIONS",
    "ArtifactCorruptError",
    "ArtifactLoader",
    "ArtifactRecord",
    "ArtifactRegistry",
    "ArtifactType",
    "Bundle",
    "BundleError",
    "ContentStore",
    "Database",
    "Dependency",
    "DependencyGraph",
    "EntryRow",
    "FeatureRegistry",
    "GcReport",
    "Head",
    "Leaving",
    "LeavingFile",
    "MetaModelConfig",
    "ObjectStore",
    "OperatorChain",
    "OperatorNode",
    "Outcome",
    "OutputWriter",
    "PipelineLibrary",
    "Preview",
    "Profile",
    "ResultRow",
    "RunRow",
    "SourceRow",
    "StateError",
    "StepOutput",
    "StoreClosedError",
    "StoreError",
    "StoreLockedError",
    "StoreStats",
    "StoredObject",
    "StoredResult",
    "TrainedChain",
    "UntrustedArtifactError",
    "VerifyReport",
    "WorkspaceStore",
    "WrittenStep",
    "aggregate_by_group",
    "chains_from_trace",
    "collect",
    "exclusive",
    "fold_average_weights",
    "load_bundle",
    "open_database",
    "open_registry",
    "register_metric",
    "register_operator",
    "version_of",
    "versioned",
]
