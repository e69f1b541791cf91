"""A DuckDB instance in memory, to which a database file is attached while a lease lasts."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import duckdb

from mosaic_dagster.errors import StoreError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.database.holder import foreign_lock_error, wait

_NAME = "store"
_OVERLAY = "store_in_memory"
_REWRITTEN = "store_rewritten"
# Nothing is ever fetched from the network, whatever a query names.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}


class Attachment:
    """One file and the instance that it is attached to.

    Parameters
    ----------
    path
        The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._instance: duckdb.DuckDBPyConnection | None = None

    def attach(self, deadline: float, waited: float, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Open the file, creating it when it may be written.

        Parameters
        ----------
        deadline, waited
            As for :meth:`FileHolder.acquire`; others may hold the file without our lock file.
        read_only
            Open so that nothing can change.

        Raises
        ------
        StoreLockedError
            A foreign program had the file open until the deadline.
        StoreError
            The file is not a DuckDB database.
        """
        if self._instance is None:
            self._instance = duckdb.connect(":memory:", config=_CONFIG)
        if not read_only and _is_absent(self._path):
            self._create()
        pause = 0.001
        while True:
            try:
                self._instance.execute(_attach_statement(self._path, read_only))
                break
            except duckdb.Error as error:
                if not _is_busy(error):
                    raise self._unreadable(error) from error
                if time.monotonic() >= deadline:
                    raise foreign_lock_error(self._path, str(error), waited) from error
            pause = wait(pause)
        return self._cursor()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        assert self._instance is not None
        con = self._instance.cursor()
        con.execute(f"USE {_NAME}")
        return con

    def overlay(self, con: duckdb.DuckDBPyConnection) -> None:
        """Let a connection work on a copy in memory of a file that cannot be written."""
        if con.execute("SELECT current_database()").fetchall() == [(_OVERLAY,)]:
            return
        con.execute(f"ATTACH ':memory:' AS {_OVERLAY}")
        con.execute(f"COPY FROM DATABASE {_NAME} TO {_OVERLAY}")
        con.execute(f"USE {_OVERLAY}")

    def mostly_free(self, con: duckdb.DuckDBPyConnection) -> bool:
        """Whether more than half of the file's blocks, or of its rows, hold nothing.

        A block is free when all its rows are deleted; until then deleted rows keep their place.
        """
        ((free, total),) = con.execute(
            "SELECT free_blocks, total_blocks FROM pragma_database_size() "
            "WHERE database_name = current_database()"
        ).fetchall()
        tables = con.execute(
            "SELECT schema_name, table_name, estimated_size FROM duckdb_tables() "
            "WHERE database_name = current_database()"
        ).fetchall()
        stored = sum(size or 0 for _, _, size in tables)
        counts = " UNION ALL ".join(
            f'SELECT count(*) AS n FROM "{schema}"."{table}"' for schema, table, _ in tables
        )
        ((live,),) = con.execute(f"SELECT coalesce(sum(n), 0) FROM ({counts})").fetchall()
        return bool(free * 2 > total or stored > 2 * live)

    def rewrite(self, con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """Replace the file by a copy of all its schemas; the connection to go on with."""
        assert self._instance is not None
        new = self._path.with_name(f".{self._path.name}-{durable.temporary_name()}")
        try:
            con.execute(f"ATTACH '{_quoted(new)}' AS {_REWRITTEN}")
            con.execute(f"COPY FROM DATABASE {_NAME} TO {_REWRITTEN}")
            con.execute(f"DETACH {_REWRITTEN}")
            con.close()
            self._instance.execute(f"DETACH {_NAME}")
            new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)
        durable.sync_folder(self._path.parent)
        self._instance.execute(_attach_statement(self._path, read_only=False))
        return self._cursor()

    def detach(self, con: duckdb.DuckDBPyConnection | None) -> None:
        """Close the file; what was committed is in it, or in the log beside it.

        Closing writes the log into the file. On a full disk it cannot, and whoever attaches the
        file next does it: what was committed stays so.
        """
        if con is not None:
            con.close()
        if self._instance is None:
            return
        try:
            self._instance.execute(f"DETACH DATABASE IF EXISTS {_OVERLAY}")
            self._instance.execute(f"DETACH DATABASE IF EXISTS {_NAME}")
        except duckdb.Error:
            self.discard()

    def discard(self) -> None:
        """Give up an instance that may be broken; the next lease makes a new one."""
        with suppress(duckdb.Error):
            self.close()
        self._instance = None

    def close(self) -> None:
        """Close the instance; the next lease makes a new one."""
        if self._instance is not None:
            self._instance.close()
            self._instance = None

    def held(self) -> tuple[duckdb.DuckDBPyConnection, ...]:
        """Return the connections that are open now."""
        return () if self._instance is None else (self._instance,)

    def _create(self) -> None:
        # A process killed while DuckDB lays out a new file would leave one that nobody can open.
        assert self._instance is not None
        new = self._path.with_name(f".{self._path.name}-{durable.temporary_name()}")
        try:
            self._instance.execute(_attach_statement(new, read_only=False))
            self._instance.execute(f"DETACH {_NAME}")
            new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)
        durable.sync_folder(self._path.parent)

    def _unreadable(self, error: duckdb.Error) -> Exception:
        text = str(error)
        if durable.is_full_message(text):
            return durable.full_error(self._path.parent)
        msg = f"{self._path} cannot be opened as a database: {text}"
        return StoreError(
            msg, "Restore it from a backup, or move it away to start with an empty one."
        )


def _is_absent(path: Path) -> bool:
    try:
        return os.stat(path).st_size == 0  # noqa: PTH116 - one call on the path of every lease
    except FileNotFoundError:
        return True


def _is_busy(error: duckdb.Error) -> bool:
    text = str(error)
    return "Could not set lock" in text or "Unique file handle conflict" in text


def _attach_statement(path: Path, read_only: bool) -> str:
    mode = "READ_ONLY" if read_only else "READ_WRITE"
    return f"ATTACH '{_quoted(path)}' AS {_NAME} (TYPE duckdb, {mode})"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
