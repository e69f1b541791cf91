"""Configured resources, one module per environment; `MOSAIC_ENVIRONMENT` chooses."""

import os
from typing import Any

from mosaic_dagster.errors import ProjectError
from resources.local import LOCAL

ENVIRONMENTS: dict[str, dict[str, Any]] = {"local": LOCAL}


def resources_for(environment: str | None = None) -> dict[str, Any]:
    """The resources of an environment; by default `MOSAIC_ENVIRONMENT`, else `local`."""
    name = environment or os.environ.get("MOSAIC_ENVIRONMENT", "local")
    if name not in ENVIRONMENTS:
        msg = f"There are no resources for the environment {name!r}."
        raise ProjectError(msg, f"The environments are: {', '.join(ENVIRONMENTS)}.")
    return ENVIRONMENTS[name]
