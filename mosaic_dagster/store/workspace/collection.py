"""Removing artifacts that nobody refers to: rows first, then files, under one lease.

A save stores its file first and claims it in the journal afterwards, without a lease. So a file
is moved aside before it is removed, and journals are looked at in between: a claim that came in
since the lease began puts it back, and a save that claims later finds its file gone and writes it
again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store.content.objects import StoredObject
from mosaic_dagster.store.content.sweep import removed
from mosaic_dagster.store.database.bulk import texts_as
from mosaic_dagster.store.database.journal.fold import claimed
from mosaic_dagster.store.gc import live_digests
from mosaic_dagster.store.workspace.json_columns import told
from mosaic_dagster.store.workspace.opened import OpenWorkspace

_LONGEST = 1e10
"""Three centuries, in seconds. Longer is never, and no date can be counted back so far."""


def gc_artifacts(
    workspace: OpenWorkspace, stale_claims_after: float | None, orphan_grace: float
) -> int:
    """Remove rows and files at count 0 and old files that no table names.

    An infinite time keeps all that has an age.

    Returns
    -------
    int
        Files removed.

    Raises
    ------
    StoreValueError
        A time is negative or NaN.
    StoreTypeError
        A time is no number.
    """
    workspace.check_writable()
    check_times(stale_claims_after, orphan_grace)
    with workspace.session():
        with workspace.writing(outermost=True) as con:
            drop_stale_claims(workspace, con, stale_claims_after)
        count = remove_unreferenced(workspace)
        with workspace.reading() as con:
            live = live_digests(con)
            orphans = old_orphans(workspace, live, orphan_grace)
            return count + _remove(
                workspace, con, orphans, timedelta(seconds=min(orphan_grace, _LONGEST))
            )


def check_times(stale_claims_after: float | None, orphan_grace: float) -> None:
    """Refuse times below zero; infinity means never.

    Raises
    ------
    StoreValueError
        A time is negative or NaN.
    StoreTypeError
        A time is no number.
    """
    given: dict[str, Any] = {"orphan_grace": orphan_grace}
    if stale_claims_after is not None:
        given["stale_claims_after"] = stale_claims_after
    for name, seconds in given.items():
        is_number = isinstance(seconds, int | float | np.integer | np.floating)
        if isinstance(seconds, bool) or not is_number:
            msg = f"{name} is {told(seconds)}, which is no number."
            raise StoreTypeError(msg, "Give a time in seconds.")
        if not seconds >= 0:  # NaN is not either.
            msg = f"{name} is {told(seconds)}."
            raise StoreValueError(msg, "Give a time in seconds, not below zero; inf for never.")


def remove_unreferenced(workspace: OpenWorkspace, ids: Iterable[str] | None = None) -> int:
    """Remove the rows at count 0, or those among some identifiers, and files that lose their name.

    Returns
    -------
    int
        Files removed.
    """
    with workspace.writing(outermost=True) as con:
        rows = [(digest, path) for _, digest, path in delete_unreferenced(con, ids)]
    workspace.forget()
    if not rows:
        return 0
    with workspace.reading() as con:
        live = live_digests(con)
        objects = {_object_at(path, digest) for digest, path in rows if digest not in live}
        count = _remove(workspace, con, [stored for stored in objects if stored], None)
        elsewhere = {path for digest, path in rows if _object_at(path, digest) is None}
        return count + _remove_elsewhere(workspace, con, elsewhere)


def _object_at(path: str, digest: str) -> StoredObject | None:
    """Object at a path of the table; None for a file that someone gave another name."""
    folder, _, name = path.rpartition("/")
    stem, _, ext = name.partition(".")
    return StoredObject(digest, ext, 0) if (folder, stem) == (digest[:2], digest) else None


def _remove_elsewhere(
    workspace: OpenWorkspace, con: duckdb.DuckDBPyConnection, paths: set[str]
) -> int:
    """Remove registered files that no row names any more; saves never lay one there."""
    with texts_as(con, "elsewhere", paths):
        rows = con.execute(
            "SELECT value FROM elsewhere ANTI JOIN main.artifacts ON artifact_path = value"
        ).fetchall()
    count = 0
    for (path,) in rows:
        with suppress(FileNotFoundError):
            (workspace.objects.root / path).unlink()
            count += 1
    return count


def delete_unreferenced(
    con: duckdb.DuckDBPyConnection, ids: Iterable[str] | None
) -> list[tuple[str, str, str]]:
    """Delete rows at count 0; the identifiers, digests and paths that they had."""
    query = "DELETE FROM main.artifacts WHERE ref_count <= 0"
    returning = " RETURNING artifact_id, content_hash, artifact_path"
    if ids is None:
        return con.execute(query + returning).fetchall()
    with texts_as(con, "released", ids):
        asked = " AND artifact_id IN (SELECT value FROM released)"
        return con.execute(query + asked + returning).fetchall()


def drop_stale_claims(
    workspace: OpenWorkspace, con: duckdb.DuckDBPyConnection, seconds: float | None
) -> int:
    """Drop the open claims of artifacts that were not saved again for so long; how many.

    None drops none.
    """
    if seconds is None:
        return 0
    oldest = time.time() - min(seconds, _LONGEST)
    rows = con.execute(
        "SELECT artifact_id, artifact_path, open_claims FROM main.artifacts "
        "WHERE open_claims > 0 AND created_at <= ?",
        [datetime.fromtimestamp(oldest, UTC).replace(tzinfo=None)],
    ).fetchall()
    # Saving an object again renews its file, not its row; registering one only its row.
    stale = {name: n for name, path, n in rows if not _younger(workspace, path, oldest)}
    with texts_as(con, "stale", stale):
        con.execute(
            "UPDATE main.artifacts SET ref_count = greatest(ref_count - open_claims, 0), "
            "open_claims = 0 WHERE artifact_id IN (SELECT value FROM stale)"
        )
    return sum(stale.values())


def _younger(workspace: OpenWorkspace, path: str, oldest: float) -> bool:
    try:
        return (workspace.objects.root / path).stat().st_mtime > oldest
    except FileNotFoundError:
        return False


def old_orphans(workspace: OpenWorkspace, live: set[str], grace: float) -> list[StoredObject]:
    """Objects that no table names and that are older than a grace, in seconds."""
    oldest = time.time() - min(grace, _LONGEST)
    return [
        stored
        for stored in workspace.objects.all()
        if stored.digest not in live and not _younger(workspace, stored.path, oldest)
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
