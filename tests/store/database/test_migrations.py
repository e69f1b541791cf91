from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from mosaic_dagster.errors import SchemaVersionError, StoreError
from mosaic_dagster.store import Database
from mosaic_dagster.store.database.migrations import (
    check_versions,
    migrate,
    schema_version,
    utc_now,
)

ONE = "CREATE TABLE notes.a (i INTEGER)"
TWO = "ALTER TABLE notes.a ADD COLUMN j INTEGER; UPDATE notes.a SET j = 2 * i"


@pytest.fixture
def con():
    with duckdb.connect() as con:
        yield con


def test_an_old_file_comes_up_to_date_with_its_rows(con):
    """Else an update of the package would lose data: i = 3 made at version 1 gets j = 6."""
    migrate(con, "notes", [ONE])
    con.execute("INSERT INTO notes.a VALUES (3)")
    migrate(con, "notes", [ONE, TWO])
    assert con.execute("SELECT * FROM notes.a").fetchall() == [(3, 6)]
    assert schema_version(con, "notes") == 2


def test_steps_run_once(con):
    """Else the second opening fails on a table that exists."""
    migrate(con, "notes", [ONE])
    migrate(con, "notes", [ONE])
    assert con.execute("SELECT count(*) FROM notes.meta").fetchone() == (1,)


def test_the_version_of_main_stands_in_store_meta(con):
    """Else other versions of this package would not find it."""
    migrate(con, "main", ["CREATE TABLE runs (i INTEGER)"])
    version, created = con.execute("SELECT * FROM main.store_meta").fetchone()
    assert version == 1
    assert abs(created - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)


def test_a_step_may_be_a_function(con):
    """Else a step that needs Python could not be written."""
    migrate(con, "notes", [lambda con: con.execute(ONE)])
    assert schema_version(con, "notes") == 1


def test_a_failed_step_leaves_the_one_before(con):
    """Else a crash in the middle would leave a schema of no version."""
    with pytest.raises(duckdb.Error):
        migrate(con, "notes", [ONE, "CREATE TABLE notes.b (i INTEGER); SELECT nonsense"])
    assert schema_version(con, "notes") == 1
    names = con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    assert names == [("a",), ("meta",)]


def test_a_newer_schema_is_refused(con):
    """Else older code would damage what it does not know."""
    migrate(con, "notes", [ONE, TWO])
    with pytest.raises(SchemaVersionError, match=r"notes .* version 2, known is 1.* Update"):
        migrate(con, "notes", [ONE])


def test_tables_of_others_are_left_alone(con):
    """Else a database of another program would be altered."""
    con.execute("CREATE TABLE runs (id TEXT); CREATE SCHEMA notes; CREATE TABLE notes.x (i INT)")
    for schema in ("main", "notes"):
        with pytest.raises(StoreError, match=f"schema {schema} that this package did not make"):
            migrate(con, schema, [])
    assert con.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (2,)


def test_a_check_before_reading_also_refuses_old_schemas(con):
    """Else a reader that may not write fails on a missing column."""
    migrate(con, "notes", [ONE])
    check_versions(con, {"notes": [ONE]}, complete=True)
    with pytest.raises(SchemaVersionError, match="version 1 of 2"):
        check_versions(con, {"notes": [ONE, TWO]}, complete=True)
    with pytest.raises(SchemaVersionError, match="version 0 of 1"):
        check_versions(con, {"other": [ONE]}, complete=True)


def test_one_newer_schema_keeps_all_others_unchanged(tmp_path):
    """Else a refused file would be half updated: main is missing, features is from the future."""
    path = tmp_path / "store.duckdb"
    with duckdb.connect(str(path)) as con:
        migrate(con, "features", ["SELECT 1"] * 20)
    before = path.read_bytes()
    with pytest.raises(SchemaVersionError, match="20"), Database(path).lease():
        pass
    assert path.read_bytes() == before


def test_times_are_utc_without_a_zone():
    """Else DuckDB would shift them by the zone of the machine."""
    now = utc_now()
    assert now.tzinfo is None
    assert abs(now - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)
