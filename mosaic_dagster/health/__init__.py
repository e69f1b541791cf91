"""Whether a project, its data and its surroundings are in order: what ``mosaic doctor`` asks."""

from mosaic_dagster.health.definitions import check_definitions
from mosaic_dagster.health.environment import (
    check_antlr,
    check_dagster_pair,
    check_extras,
    check_packages,
    check_python,
)
from mosaic_dagster.health.finding import Finding, State, looked_at
from mosaic_dagster.health.instance import check_instance
from mosaic_dagster.health.project import (
    check_home,
    check_settings,
    check_studies,
    extras_needed,
    read_settings,
)
from mosaic_dagster.health.workspace import check_workspace

__all__ = [
    "Finding",
    "State",
    "check_antlr",
    "check_dagster_pair",
    "check_definitions",
    "check_extras",
    "check_home",
    "check_instance",
    "check_packages",
    "check_python",
    "check_settings",
    "check_studies",
    "check_workspace",
    "extras_needed",
    "looked_at",
    "read_settings",
]
