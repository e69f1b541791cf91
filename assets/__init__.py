"""The code location of this repository: which pipelines run on which dataset.

Nothing here imports Dagster, so that the command line and notebooks read it in a moment.
"""

from assets.larvae import LARVAE
from assets.social import SOCIAL
from mosaic_dagster import Study

STUDIES: tuple[Study, ...] = (LARVAE, SOCIAL)
