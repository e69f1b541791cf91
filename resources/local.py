"""One machine: workspaces below the project, all cores, and sensors that run with the UI."""

from typing import Any

from mosaic_dagster.orchestration import Automation, EngineResource, WorkspaceResource

LOCAL: dict[str, Any] = {
    "larvae": WorkspaceResource(database="workspaces/larvae/store.duckdb"),
    "social": WorkspaceResource(database="workspaces/social/store.duckdb"),
    "engine": EngineResource(backend="loky"),
    "automation": Automation(sensors=True),
}
