"""Removing artifacts that nobody refers to: rows first, then files, under one lease.

A save stores its file first and claims it in the journal afterwards, without a lease. So a file
is moved aside before it is removed, and journals are looked at in between: a claim that came in
since the lease began puts it back, and a save that claims later finds its file gone and writes it
again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

import duckdb

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.content.objects import StoredObject
from mosaic_dagster.store.content.sweep import removed
from mosaic_dagster.store.database.bulk import texts_as
from mosaic_dagster.store.database.journal.fold import claimed
from mosaic_dagster.store.gc import live_digests
from mosaic_dagster.store.workspace.opened import OpenWorkspace


def gc_artifacts(
    workspace: OpenWorkspace, stale_claims_after: float | None, orphan_grace: float
) -> int:
    """Remove rows and files at count 0 and old files that no table names.

    Returns
    -------
    int
        Files removed.

    Raises
    ------
    StoreValueError
        A time is negative.
    """
    for name, seconds in (("stale_claims_after", stale_claims_after),
                          ("orphan_grace", orphan_grace)):  # fmt: skip
        if seconds is not None and seconds < 0:
            msg = f"{name} is {seconds}."
            raise StoreValueError(msg, "Give a time in seconds, not below zero.")
    with workspace.session():
        if stale_claims_after is not None:
            _drop_stale_claims(workspace, stale_claims_after)
        count = remove_unreferenced(workspace)
        with workspace.reading() as con:
            live = live_digests(con)
            orphans = _old_orphans(workspace, live, orphan_grace)
            return count + _remove(workspace, con, orphans, timedelta(seconds=orphan_grace))


def remove_unreferenced(workspace: OpenWorkspace, ids: Iterable[str] | None = None) -> int:
    """Remove the rows at count 0, or those among some identifiers, and files that lose their name.

    Returns
    -------
    int
        Files removed.
    """
    with workspace.writing() as con:
        rows = _delete_rows(con, ids)
    workspace.forget()
    if not rows:
        return 0
    with workspace.reading() as con:
        live = live_digests(con)
        gone = [stored for stored in rows if stored.digest not in live]
        return _remove(workspace, con, gone, None)


def _delete_rows(con: duckdb.DuckDBPyConnection, ids: Iterable[str] | None) -> list[StoredObject]:
    query = "DELETE FROM main.artifacts WHERE ref_count <= 0"
    returning = " RETURNING content_hash, artifact_path, coalesce(size_bytes, 0)"
    if ids is None:
        rows = con.execute(query + returning).fetchall()
    else:
        with texts_as(con, "released", ids):
            asked = " AND artifact_id IN (SELECT value FROM released)"
            rows = con.execute(query + asked + returning).fetchall()
    return list({StoredObject(sha, path.partition(".")[2], size) for sha, path, size in rows})


def _drop_stale_claims(workspace: OpenWorkspace, seconds: float) -> None:
    """Drop the open claims of artifacts that were not saved again for so long."""
    oldest = time.time() - seconds
    with workspace.writing() as con:
        rows = con.execute(
            "SELECT artifact_id, artifact_path FROM main.artifacts WHERE open_claims > 0"
        ).fetchall()
        # Saving an object again renews its file, not its row.
        stale = [name for name, path in rows if not _younger(workspace, path, oldest)]
        with texts_as(con, "stale", stale):
            con.execute(
                "UPDATE main.artifacts SET ref_count = greatest(ref_count - open_claims, 0), "
                "open_claims = 0 WHERE artifact_id IN (SELECT value FROM stale)"
            )


def _younger(workspace: OpenWorkspace, path: str, oldest: float) -> bool:
    try:
        return (workspace.objects.root / path).stat().st_mtime > oldest
    except FileNotFoundError:
        return False


def _old_orphans(workspace: OpenWorkspace, live: set[str], grace: float) -> list[StoredObject]:
    oldest = time.time() - grace
    return [
        stored
        for stored in workspace.objects.all()
        if stored.digest not in live
        and not _younger(workspace, f"{stored.digest[:2]}/{stored.digest}.{stored.ext}", oldest)
    ]


def _remove(
    workspace: OpenWorkspace,
    con: duckdb.DuckDBPyConnection,
    objects: Sequence[StoredObject],
    grace: timedelta | None,
) -> int:
    folder = workspace.database.journal_folder
    return len(
        removed(workspace.objects, objects, grace, still_wanted=lambda: claimed(con, folder))
    )
