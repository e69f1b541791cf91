"""One machine: workspaces below the project, all cores."""

from typing import Any

from mosaic_dagster.orchestration import EngineResource, WorkspaceResource

LOCAL: dict[str, Any] = {
    "larvae": WorkspaceResource(database="workspaces/larvae/store.duckdb"),
    "social": WorkspaceResource(database="workspaces/social/store.duckdb"),
    "engine": EngineResource(backend="loky"),
}
