"""The tables of the database, one module per schema."""

from mosaic_dagster.store.database.schemas.features import FEATURES
from mosaic_dagster.store.database.schemas.journal import JOURNAL
from mosaic_dagster.store.database.schemas.main import MAIN
from mosaic_dagster.store.database.schemas.owners import OWNERS

__all__ = ["FEATURES", "JOURNAL", "MAIN", "OWNERS"]
