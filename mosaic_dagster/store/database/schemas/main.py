"""Tables of the schema ``main``: the workspace store."""

from __future__ import annotations

from mosaic_dagster.store.database.migrations import Migration

MAIN: tuple[Migration, ...] = ()
