"""Where results live: content-addressed objects and the database that names them."""

from mosaic_dagster.store.content.objects import ContentStore, ObjectStore, StoredObject
from mosaic_dagster.store.content.sweep import GRACE, GcReport, StoreStats, VerifyReport
from mosaic_dagster.store.database.connection import Database, open_database
from mosaic_dagster.store.database.holder import exclusive
from mosaic_dagster.store.feature_registry.records import (
    Dependency,
    EntryRow,
    Head,
    Outcome,
    ResultRow,
    RunRow,
    SourceRow,
    StoredResult,
)
from mosaic_dagster.store.feature_registry.registry import FeatureRegistry, open_registry
from mosaic_dagster.store.gc import collect
from mosaic_dagster.store.outputs import StepOutput

__all__ = [
    "GRACE",
    "ContentStore",
    "Database",
    "Dependency",
    "EntryRow",
    "FeatureRegistry",
    "GcReport",
    "Head",
    "ObjectStore",
    "Outcome",
    "ResultRow",
    "RunRow",
    "SourceRow",
    "StepOutput",
    "StoreStats",
    "StoredObject",
    "StoredResult",
    "VerifyReport",
    "collect",
    "exclusive",
    "open_database",
    "open_registry",
]
