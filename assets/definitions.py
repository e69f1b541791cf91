"""What `dagster dev` and `dagster job execute -m assets.definitions` load. It only gathers."""

from assets import STUDIES
from mosaic_dagster.orchestration import build_definitions
from resources import resources_for

definitions = build_definitions(STUDIES, resources_for(), owners=["team:larvae"])
