import os
import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mosaic_dagster.errors import StoreError
from mosaic_dagster.store import (
    ContentStore,
    Dependency,
    EntryRow,
    FeatureRegistry,
    Outcome,
    collect,
)


def _old(objects: ContentStore, data: bytes) -> str:
    digest = objects.put(data).digest
    then = time.time() - 9 * 24 * 3600
    os.utime(objects.path(digest), (then, then))
    return digest


def test_what_a_table_names_is_kept(registry, objects):
    """Of result, state member, tracks and one that nobody names, only the last goes."""
    result, member, tracks, dead = (_old(objects, data) for data in (b"r", b"m", b"t", b"dead"))
    inputs = (Dependency("member:a.npz", member), Dependency("raw", dead))
    registry.commit(
        [Outcome("p", "s", "", "r", "k", "fresh", result, "bin", 1, 1, 0.0, None, inputs, True)]
    )
    registry.put_entries([EntryRow("g", "s", "g/s", tracks, None, "fresh", datetime(2024, 1, 1))])
    dry = collect(registry.database, objects)
    assert dry.dry_run
    assert objects.exists(dead)
    report = collect(registry.database, objects, dry_run=False)
    assert [stored.digest for stored in report.removed] == [dead]
    assert {stored.digest for stored in objects.all()} == {result, member, tracks}


def test_young_objects_are_spared(database, objects):
    """Else an object whose row is about to be written would go."""
    digest = objects.put(b"young").digest
    assert collect(database, objects, dry_run=False).spared_by_grace == 1
    assert objects.exists(digest)
    collect(database, objects, grace=timedelta(0), dry_run=False)
    assert not objects.exists(digest)


def test_other_owners_protect_their_objects(database, objects):
    """Else cleaning from a notebook would remove the catalog's files."""
    digest = _old(objects, b"asset")
    database.require("catalog", ("CREATE TABLE catalog.asset (sha256 TEXT)",))
    with database.transaction() as con:
        con.execute("INSERT INTO catalog.asset VALUES (?), (NULL)", [digest])
    for dry_run in (True, False):
        with pytest.raises(StoreError, match="Schema catalog has tables but no view live_objects"):
            collect(database, objects, dry_run=dry_run)
    assert objects.exists(digest)
    with database.transaction() as con:
        con.execute("CREATE VIEW catalog.live_objects AS SELECT sha256 FROM catalog.asset")
    assert collect(database, objects, dry_run=False).removed == []


def test_tables_in_main_need_a_view_too(database, objects):
    """Else the files of stored models would go; the version table alone is no reason."""
    collect(database, objects)
    with database.transaction() as con:
        con.execute("DROP VIEW main.live_objects")
    with pytest.raises(StoreError, match="Schema main"):
        collect(database, objects)


def test_a_result_that_comes_back_is_kept(database, objects, registry):
    """A dead object is put again and registered while gc waits for its turn: it stays."""
    digest = _old(objects, b"again")
    checked = FeatureRegistry(database, objects)
    with database.session():
        objects.put(b"again")
        outcome = Outcome(
            "p", "s", "g/a", "r", "k", "fresh", digest, "bin", 1, 5, 0.0, None, (), True
        )
        checked.commit([outcome])
    assert collect(database, objects, grace=timedelta(0), dry_run=False).removed == []
    registry.drop_results(["k"])
    registry.commit([replace(outcome, made=False)])
    assert len(collect(database, objects, grace=timedelta(0), dry_run=False).removed) == 1
