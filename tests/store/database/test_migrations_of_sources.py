"""Workspaces that were made before labels existed."""

from __future__ import annotations

import duckdb

from mosaic_dagster.store.database.migrations import migrate
from mosaic_dagster.store.database.schemas.features import FEATURES


def test_recorded_sources_of_tracks_stay(tmp_path):
    """Else a lab that updates would have all its files hashed and read again."""
    path = tmp_path / "store.duckdb"
    with duckdb.connect(path) as con:
        con.execute("CREATE SCHEMA features")
        migrate(con, "features", FEATURES[:1])
        con.execute(
            "INSERT INTO features.sources VALUES "
            "('a.csv', 'g/a', 'keypoint_csv:00', 'ff', 12, 34, 56, 'present', now()::TIMESTAMP)"
        )
    with duckdb.connect(path) as con:
        migrate(con, "features", FEATURES)
        kept = con.execute("SELECT path, key, sha256, size, asset FROM features.sources").fetchall()
        assert kept == [("a.csv", "g/a", "ff", 12, "tracks")]
        con.execute("INSERT INTO features.sources BY NAME SELECT * REPLACE ('labels/x' AS asset) "
                    "FROM features.sources")  # fmt: skip
        ((rows,),) = con.execute("SELECT count(*) FROM features.sources").fetchall()
    assert rows == 2
