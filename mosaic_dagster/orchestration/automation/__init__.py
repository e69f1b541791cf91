"""What keeps a dataset up to date while nobody looks: sensors and schedules."""

from mosaic_dagster.orchestration.automation.schedules import schedules
from mosaic_dagster.orchestration.automation.sensors import sensors
from mosaic_dagster.orchestration.automation.settings import Automation

__all__ = ["Automation", "schedules", "sensors"]
