"""Dagster's SQLite storage, with batches of asset events written as batches.

Dagster's own SQLite class writes one event at a time, and for each opens two databases and
reflects their tables anew: 7-11 ms per event. :class:`BatchSqliteEventLogStorage` writes a batch
in two transactions over connections that stay open. Its files are the same, so a project may
change to ``storage: sqlite:`` in ``dagster.yaml`` and back at any time.

Of Dagster's internals this module uses, besides the two base classes:

- the table ``SqlEventLogStorageTable`` and its primary key ``id``;
- the methods named in :data:`INTERNAL_METHODS`, with the arguments given there;
- the attributes named in :data:`INTERNAL_ATTRIBUTES` of ``SqliteEventLogStorage``;
- ``DagsterSqliteStorage._event_log_storage``;
- ``partitions_subset`` and ``partition`` of the data of a planned event;
- the environment variable ``DAGSTER_EVENT_BATCH_SIZE``, which Dagster reads before each event.

If one of them is missing, :class:`MosaicSqliteStorage` warns once and is Dagster's own storage.
The setting that does without this module is ``storage: sqlite: {base_dir: workspaces/dagster}``.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.storage.event_log import schema
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration.instance_folder import made_once, project_folder
from mosaic_dagster.orchestration.kept_engines import KeptEngines

_TABLE: Any = getattr(schema, "SqlEventLogStorageTable", None)

_log = logging.getLogger(__name__)

INDEX: Final = "index"
"""Name of the database that mirrors the asset events of all runs."""

BATCH_SIZE_VARIABLE: Final = "DAGSTER_EVENT_BATCH_SIZE"
"""How many of its own planned events Dagster gathers before it stores them."""

PLANNED_SINGLY: Final = 100
"""Up to how many partitions of a plan are marked one by one, as running and then as failed."""

INTERNAL_METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "_connect": ("shard",),
    "_initdb": ("engine",),
    "_event_to_row": ("event",),
    "_store_asset_event": ("conn", "event", "event_id"),
    "_store_asset_event_tags": ("conn", "events", "event_ids"),
    "_has_asset_key_col_on_connection": ("conn", "column_name"),
    "path_for_shard": ("run_id",),
    "conn_string_for_shard": ("shard_name",),
    "run_connection": ("run_id",),
    "index_connection": (),
    "has_table": ("table_name",),
    "store_event": ("event",),
    "store_event_batch": ("events",),
}
"""Methods of Dagster's class that are called or replaced here, with their first arguments."""

INTERNAL_ATTRIBUTES: Final = ("_db_lock", "_initialized_dbs", "_base_dir")
"""Attributes that Dagster's class sets when it is made and that are used here."""

_BATCHABLE: Final = frozenset(
    {
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_OBSERVATION,
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    }
)
_BATCH_ERRORS: Final = (SQLAlchemyError, AttributeError, KeyError, TypeError, ValueError)
_warned = False


def missing_internals() -> list[str]:
    """Names used here that this version of Dagster lacks or has changed; empty when all is well."""
    missing = [] if _TABLE is not None and "id" in _TABLE.c else ["SqlEventLogStorageTable"]
    for name, wanted in INTERNAL_METHODS.items():
        method = getattr(SqliteEventLogStorage, name, None)
        if method is None or not _accepts(method, wanted):
            missing.append(f"SqliteEventLogStorage.{name}")
    return missing


def _accepts(method: Any, wanted: tuple[str, ...]) -> bool:
    given = tuple(inspect.signature(method).parameters)
    return given[1 : 1 + len(wanted)] == wanted


def _is_batchable(event: dg.EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in _BATCHABLE


def _one_by_one(event: dg.EventLogEntry) -> list[dg.EventLogEntry]:
    """Split a plan for a few partitions, since Dagster shows no status for those of a set."""
    planned = event.dagster_event
    if planned is None or planned.event_type != dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
        return [event]
    data: Any = planned.event_specific_data
    subset = getattr(data, "partitions_subset", None)
    if subset is None or not 0 < len(subset) <= PLANNED_SINGLY:
        return [event]
    single = (
        data._replace(partition=p, partitions_subset=None) for p in subset.get_partition_keys()
    )
    return [event._replace(dagster_event=planned._replace(event_specific_data=d)) for d in single]


class BatchSqliteEventLogStorage(SqliteEventLogStorage):
    """SQLite event log that stores a batch of asset events in two transactions.

    Parameters
    ----------
    base_dir
        Folder of the databases: one per run and one index over all.
    planned_subset
        Store one planned event per asset and run, rather than one per partition, where a run has
        more than :data:`PLANNED_SINGLY` partitions.
    kept_connections
        How many databases of one process stay open; the index always does.

    Notes
    -----
    Connections are opened with ``synchronous=NORMAL``: after a power cut the last events may be
    missing, but the database is whole; a killed process loses nothing.
    """

    def __init__(
        self,
        base_dir: str,
        inst_data: Any = None,
        *,
        planned_subset: bool = True,
        kept_connections: int = 4,
    ) -> None:
        self._planned_subset = planned_subset
        self._engines = KeptEngines(kept_connections, always=INDEX)
        self._known_tables: set[str] = set()
        self._known_columns: set[str] = set()
        super().__init__(base_dir, inst_data)

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """Whether Dagster may plan all partitions of an asset in one event."""
        return self._planned_subset

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        if self._engines.leave_to_parent():
            # Another thread of the parent may have held the lock at the moment of the fork.
            self._db_lock = threading.Lock()
        with self._db_lock:
            path = Path(self.path_for_shard(shard))
            engine = self._engines.get(shard, path)
            if engine is None:
                self._prepare_file(shard, path)
                engine = self._engines.open(shard, path, self.conn_string_for_shard(shard))
            try:
                with engine.connect() as conn, conn.begin():
                    driver: Any = conn.connection.driver_connection
                    before = driver.total_changes
                    yield conn
                    changed = driver.total_changes != before
            except DBAPIError:
                self._engines.close(shard)
                raise
            if changed and shard != INDEX:
                # The run page waits for a change of this file, which a write to the log of an
                # open database alone does not make.
                with suppress(FileNotFoundError):
                    os.utime(path)

    def _prepare_file(self, shard: str, path: Path) -> None:
        if not path.exists():
            self._initialized_dbs.discard(shard)
        if shard not in self._initialized_dbs:
            with self._engines.passing(self.conn_string_for_shard(shard)) as engine:
                self._initdb(engine)
            self._initialized_dbs.add(shard)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; only a yes is remembered, since a migration may add it."""
        if table_name not in self._known_tables and super().has_table(table_name):
            self._known_tables.add(table_name)
        return table_name in self._known_tables

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._known_columns and super()._has_asset_key_col_on_connection(
            conn, column_name
        ):
            self._known_columns.add(column_name)
        return column_name in self._known_columns

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store one event; a plan for a few partitions becomes one planned event for each."""
        planned = _one_by_one(event)
        if len(planned) > 1:
            self.store_event_batch(planned)
        else:
            super().store_event(planned[0])

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store a batch, all of it or nothing, or event by event as Dagster does.

        The latter holds for a single event, for a batch with an event of a kind other than
        materialization, observation and planned materialization, and for a batch that failed and
        of which nothing is left.
        """
        events = [single for event in events for single in _one_by_one(event)]
        if len(events) < 2 or not all(map(_is_batchable, events)):
            super().store_event_batch(events)
            return
        try:
            self._store_batch(events)
        except _BATCH_ERRORS as error:
            if getattr(error, "_half_written", False):
                raise
            _log.warning("A batch of %d events is stored one by one: %s", len(events), error)
            super().store_event_batch(events)

    def _store_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        by_run: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_run.setdefault(row["run_id"], []).append(row)
        written: dict[str, list[int]] = {}
        try:
            # The run's own database first, as Dagster does: sensors watch the index.
            for run_id, run_rows in by_run.items():
                with self.run_connection(run_id) as conn:
                    ids = self._insert(conn, run_rows)
                written[run_id] = ids
            with self.index_connection() as conn:
                self._store_in_index(conn, events, rows)
        except _BATCH_ERRORS as error:
            self._take_back(written, error)
            raise

    def _store_in_index(
        self, conn: Connection, events: Sequence[dg.EventLogEntry], rows: list[dict[str, Any]]
    ) -> None:
        ids = self._insert(conn, rows)
        self._store_asset_event_tags(conn, events, ids)
        latest = {
            (row["asset_key"], row["dagster_event_type"]): (event, event_id)
            for row, event, event_id in zip(rows, events, ids, strict=True)
        }
        for event, event_id in latest.values():
            self._store_asset_event(conn, event, event_id)

    @staticmethod
    def _insert(conn: Connection, rows: list[dict[str, Any]]) -> list[int]:
        # The first insert takes SQLite's write lock, so the ids that follow are ours.
        result = conn.execute(_TABLE.insert().values(**rows[0]))
        first: int = result.inserted_primary_key[0]  # type: ignore[index]
        ids = list(range(first, first + len(rows)))
        if len(rows) > 1:
            rest = zip(rows[1:], ids[1:], strict=True)
            conn.execute(_TABLE.insert(), [{**row, "id": event_id} for row, event_id in rest])
        return ids

    def _take_back(self, written: Mapping[str, list[int]], error: BaseException) -> None:
        try:
            for run_id, ids in written.items():
                with self.run_connection(run_id) as conn:
                    conn.execute(_TABLE.delete().where(_TABLE.c.id.between(ids[0], ids[-1])))
        except SQLAlchemyError:
            error._half_written = True  # type: ignore[attr-defined]

    def upgrade(self) -> None:
        """Migrate the databases, with no connection open and nothing remembered."""
        self._forget()
        super().upgrade()
        self._forget()

    def wipe(self) -> None:
        """Delete the events of all runs."""
        self._forget()
        super().wipe()

    def dispose(self) -> None:
        """Close all connections; the next use opens them again."""
        self._forget()
        super().dispose()

    def _forget(self) -> None:
        self._engines.leave_to_parent()
        self._engines.close_all()
        self._known_tables.clear()
        self._known_columns.clear()


class MosaicSqliteStorage(DagsterSqliteStorage):
    """Runs, schedules and events of a project in SQLite files, for ``storage.custom``.

    Parameters
    ----------
    base_dir
        Folder of the databases. A relative one is below the project, see
        :func:`~mosaic_dagster.orchestration.instance_folder.project_folder`.
    planned_subset
        One planned event per asset in a run over more than :data:`PLANNED_SINGLY` partitions;
        False writes one per partition (slower), which also shows as running, and as failed, those
        that a killed run did not reach.
    batch_size
        How many of its own events Dagster stores at once.
    kept_connections
        How many databases a process keeps open, at least 1.

    Raises
    ------
    ProjectError
        A number is below 1.
    """

    def __init__(
        self,
        base_dir: str,
        inst_data: Any = None,
        *,
        planned_subset: bool = True,
        batch_size: int = 1000,
        kept_connections: int = 4,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("kept_connections", kept_connections)):
            if value < 1:
                what = f"storage.custom.config.{name} in dagster.yaml is {value}."
                raise ProjectError(what, "Give a whole number of at least 1, or leave it out.")
        folder = str(project_folder() / base_dir)
        with made_once(folder):
            super().__init__(folder, inst_data)
        storage = _batch_storage(
            self, planned_subset=planned_subset, kept_connections=kept_connections
        )
        if storage is not None:
            self._event_log_storage = storage
            os.environ.setdefault(BATCH_SIZE_VARIABLE, str(batch_size))

    @classmethod
    def config_type(cls) -> Any:
        """Describe what ``storage.custom.config`` in ``dagster.yaml`` may hold."""
        return {
            "base_dir": dg.StringSource,
            "planned_subset": dg.Field(bool, default_value=True),
            "batch_size": dg.Field(int, default_value=1000),
            "kept_connections": dg.Field(int, default_value=4),
        }

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> MosaicSqliteStorage:
        """Build the storage from ``dagster.yaml``."""
        return cls(inst_data=inst_data, **config_value)

    @classmethod
    def from_local(cls, base_dir: str, inst_data: Any = None) -> MosaicSqliteStorage:
        """Build the storage over a folder, with the default settings."""
        return cls(base_dir, inst_data)


def _batch_storage(
    stock: DagsterSqliteStorage, *, planned_subset: bool, kept_connections: int
) -> BatchSqliteEventLogStorage | None:
    missing = missing_internals()
    events = getattr(stock, "_event_log_storage", None)
    if events is None:
        missing.append("DagsterSqliteStorage._event_log_storage")
    else:
        lacking = [name for name in INTERNAL_ATTRIBUTES if not hasattr(events, name)]
        missing += [f"SqliteEventLogStorage.{name}" for name in lacking]
    if missing or events is None:
        _warn_once(missing)
        return None
    return BatchSqliteEventLogStorage(
        events._base_dir, planned_subset=planned_subset, kept_connections=kept_connections
    )


def _warn_once(missing: list[str]) -> None:
    global _warned
    if not _warned:
        _warned = True
        text = (
            f"Dagster {dg.__version__} has changed {', '.join(missing)}. Its own event log is used "
            "instead: all works, at about 10 ms rather than 0.2 ms per entry. To silence this, put "
            "`storage: {sqlite: {base_dir: workspaces/dagster}}` into dagster.yaml."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=4)
