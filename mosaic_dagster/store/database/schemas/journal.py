"""Table of the schema ``journal``: how far each journal file was folded into the tables."""

from __future__ import annotations

from mosaic_dagster.store.database.migrations import Migration

_JOURNAL_1 = """
CREATE TABLE journal.folded (
    file TEXT PRIMARY KEY,
    "offset" BIGINT NOT NULL
);
CREATE VIEW journal.live_objects AS SELECT NULL::TEXT AS sha256 WHERE false;
"""

JOURNAL: tuple[Migration, ...] = (_JOURNAL_1,)
