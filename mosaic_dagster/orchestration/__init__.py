"""The only package that knows Dagster: assets, IO managers, resources, jobs and events."""

from mosaic_dagster.orchestration.automation import Automation
from mosaic_dagster.orchestration.definitions import build_definitions
from mosaic_dagster.orchestration.io_manager import ArtifactIOManager
from mosaic_dagster.orchestration.resource_types import EngineResource, WorkspaceResource

__all__ = [
    "ArtifactIOManager",
    "Automation",
    "EngineResource",
    "WorkspaceResource",
    "build_definitions",
]
