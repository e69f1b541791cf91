"""Bring journalled rows into their tables, once and only once.

Whoever takes the database folds first, so every reader sees every row that was acknowledged
before. The rows and the place up to which the file was read are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb

from mosaic_dagster.store.database.journal import files
from mosaic_dagster.store.database.journal.files import Portion
from mosaic_dagster.store.database.journal.kinds import CLAIM, COLUMNS, insert

Folded = dict[str, int]
"""Up to which byte each file is in the tables."""


def fold(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    folded: Folded | None = None,
    *,
    removable: bool = True,
) -> Folded:
    """Write the new records of all files to the tables.

    What others write meanwhile is left to the next fold, else it would not end while they write.

    Parameters
    ----------
    con
        A connection that holds the database; no transaction is open.
    folder
        ``<workspace>/journal``.
    folded
        What an earlier fold returned, if the database was held ever since.
    removable
        Whether files that nobody needs any more are removed.
    """
    names = files.names(folder)
    if not names:
        return folded or {}
    known = _folded(con) if folded is None else dict(folded)
    left = {*names}
    for name in names:
        path = folder / name
        with files.if_abandoned(path) as abandoned:
            # Whether its writer is gone is asked first: then nothing can come behind the end.
            rest = _fold_file(con, path, known.get(name, 0), growing=not abandoned)
            known[name] = rest.end
            if abandoned and removable and not rest.damaged:
                files.remove(path)
                left.remove(name)
    return _forget_removed(con, known, left) if removable else known


def pending(con: duckdb.DuckDBPyConnection, folder: Path) -> bool:
    """Whether some file has records that are not in the tables."""
    return any(portion.records for _, portion in _unread(con, folder))


def damaged(con: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """Names of files with whole records behind something that cannot be read."""
    return [name for name, portion in _unread(con, folder) if portion.damaged]


def claimed(con: duckdb.DuckDBPyConnection, folder: Path) -> set[str]:
    """Digests of artifacts that were claimed since the last fold."""
    at = list(COLUMNS[CLAIM]).index("content_hash")
    return {
        str(record.values[at])
        for _, portion in _unread(con, folder)
        for record in portion.records
        if record.kind == CLAIM
    }


def _unread(con: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[tuple[str, Portion]]:
    names = files.names(folder)
    folded = _folded(con) if names else {}
    for name in names:
        portion = files.read(folder / name, folded.get(name, 0))
        yield name, portion
        while portion.more and portion.records:
            portion = files.read(folder / name, portion.end)
            yield name, portion


def _folded(con: duckdb.DuckDBPyConnection) -> Folded:
    return dict(con.execute('SELECT file, "offset" FROM journal.folded').fetchall())


def _forget_removed(con: duckdb.DuckDBPyConnection, folded: Folded, left: set[str]) -> Folded:
    """Forget how far files were read that are gone; also those whose remover was killed."""
    gone = folded.keys() - left
    if gone:
        con.execute("DELETE FROM journal.folded WHERE file IN (SELECT unnest(?))", [sorted(gone)])
    return {name: end for name, end in folded.items() if name in left}


def _fold_file(
    con: duckdb.DuckDBPyConnection, path: Path, offset: int, *, growing: bool
) -> Portion:
    """Fold one file portion by portion; what is left is returned."""
    more = True
    while more and (portion := files.read(path, offset, growing=growing)).records:
        con.execute("BEGIN TRANSACTION")
        try:
            insert(con, portion.records)
            con.execute(
                "INSERT OR REPLACE INTO journal.folded VALUES (?, ?)", [path.name, portion.end]
            )
            con.execute("COMMIT")
        except BaseException:
            # A commit that failed has ended the transaction itself.
            with suppress(duckdb.Error):
                con.execute("ROLLBACK")
            raise
        offset, more = portion.end, portion.more
    return portion
