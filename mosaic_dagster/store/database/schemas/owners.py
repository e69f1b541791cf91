"""Which schemas every database file has, and the steps that bring each up to date.

Times are UTC without a zone. A step is never edited once released; the next one changes it.
"""

from __future__ import annotations

from mosaic_dagster.store.database.migrations import Migration
from mosaic_dagster.store.database.schemas.features import FEATURES
from mosaic_dagster.store.database.schemas.journal import JOURNAL
from mosaic_dagster.store.database.schemas.main import MAIN

OWNERS: dict[str, tuple[Migration, ...]] = {
    "main": MAIN,
    "features": FEATURES,
    "journal": JOURNAL,
}
