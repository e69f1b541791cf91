"""What Dagster loads."""

from assets import CHOICES, STUDIES
from mosaic_dagster.orchestration import (
    Automation,
    EngineResource,
    WorkspaceResource,
    build_definitions,
)

definitions = build_definitions(
    STUDIES,
    {
        "larvae": WorkspaceResource(database="workspaces/larvae/store.duckdb"),
        "engine": EngineResource(backend="sequential"),
        "automation": Automation(
            sensors=CHOICES["sensors"], every_seconds=1, first_wait_seconds=1.0
        ),
    },
)
