"""The event log of the project: batches, kept connections, other processes, other Dagsters."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration import event_log
from mosaic_dagster.orchestration.event_log import (
    BATCH_SIZE_VARIABLE,
    INTERNAL_ATTRIBUTES,
    INTERNAL_METHODS,
    BatchSqliteEventLogStorage,
    MosaicSqliteStorage,
    missing_internals,
)
from mosaic_dagster.orchestration.event_types import EntryEvent, materialization
from mosaic_dagster.orchestration.instance_folder import project_folder
from mosaic_dagster.orchestration.kept_engines import KeptEngines

pytestmark = pytest.mark.dagster

SPEED = dg.AssetKey(["larvae", "kinematics", "speed"])
CONFIG = """
telemetry: {{enabled: false}}
storage:
  custom:
    module: mosaic_dagster.orchestration.event_log
    class: MosaicSqliteStorage
    config: {config}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a dagster.yaml, as the current folder, and nothing set by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "1000")
    (tmp_path / "dagster.yaml").write_text(CONFIG.format(config="{base_dir: instance}"))
    return tmp_path


@pytest.fixture
def instance(project: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(project)) as made:
        yield made


def log_entries(partitions: list[str], run_id: str = "run") -> list[dg.EventLogEntry]:
    """One materialization per partition: digest sha-<partition>, rows = length of its name."""
    from dagster._core.events import StepMaterializationData

    made = []
    for partition in partitions:
        result = EntryEvent(partition, f"sha-{partition}", {"rows": len(partition)})
        event = dg.DagsterEvent(
            event_type_value="ASSET_MATERIALIZATION",
            job_name="job",
            event_specific_data=StepMaterializationData(materialization(SPEED, "1", result)),
        )
        made.append(
            dg.EventLogEntry(None, 10, partition, run_id, time.time(), "speed", "job", event)
        )
    return made


def storage_of(instance: dg.DagsterInstance) -> BatchSqliteEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, BatchSqliteEventLogStorage)
    return storage


def partitions_in_index(instance: dg.DagsterInstance) -> list[str]:
    records = instance.fetch_materializations(SPEED, limit=5000, ascending=True).records
    return [record.partition_key for record in records]


def partitions_in_run(instance: dg.DagsterInstance, run_id: str = "run") -> list[str]:
    return [entry.user_message for entry in instance.all_logs(run_id)]


def test_a_batch_is_readable_through_dagster_itself(instance: dg.DagsterInstance) -> None:
    """Else the Partitions tab is empty although everything was made."""
    names = [f"g/s{i}" for i in range(300)]
    storage_of(instance).store_event_batch(log_entries(names))
    records = instance.fetch_materializations(SPEED, limit=1000, ascending=True).records
    assert [record.partition_key for record in records] == names
    assert len({record.storage_id for record in records}) == 300
    for record in records:
        found = record.asset_materialization
        assert found is not None
        assert found.metadata["rows"].value == len(record.partition_key)
        assert found.tags["dagster/data_version"] == f"sha-{record.partition_key}"
    assert partitions_in_run(instance) == names
    last = instance.get_latest_materialization_event(SPEED)
    assert last is not None
    assert last.asset_materialization.partition == "g/s299"
    assert instance.get_materialized_partitions(SPEED) == set(names)


def test_data_versions_of_a_batch_are_indexed(instance: dg.DagsterInstance) -> None:
    """Else staleness in the UI reads nothing: 3 partitions have 3 different data versions."""
    storage_of(instance).store_event_batch(log_entries(["a", "b", "c"]))
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        SPEED, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
    )
    assert {name: found["dagster/data_version"] for name, found in tags.items()} == {
        "a": "sha-a",
        "b": "sha-b",
        "c": "sha-c",
    }


def test_batches_and_single_events_mix_and_go_to_the_run_that_made_them(
    instance: dg.DagsterInstance,
) -> None:
    """Else a run page shows the entries of another run."""
    storage = storage_of(instance)
    storage.store_event(log_entries(["a"], "one")[0])
    storage.store_event_batch(log_entries(["b", "c"], "one") + log_entries(["d"], "two"))
    storage.store_event_batch(log_entries(["e"], "two"))
    assert partitions_in_index(instance) == ["a", "b", "c", "d", "e"]
    assert partitions_in_run(instance, "one") == ["a", "b", "c"]
    assert partitions_in_run(instance, "two") == ["d", "e"]


def test_a_batch_that_fails_halfway_is_stored_once_all_the_same(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The index fails after the run's database was written: no entry is lost, none is double."""
    storage = storage_of(instance)
    stock = BatchSqliteEventLogStorage._store_asset_event_tags
    calls = []

    def fail_once(self, conn, events, event_ids):
        calls.append(len(events))
        if len(calls) == 1:
            raise TypeError("changed by a new Dagster")
        stock(self, conn, events, event_ids)

    monkeypatch.setattr(BatchSqliteEventLogStorage, "_store_asset_event_tags", fail_once)
    storage.store_event_batch(log_entries(["a", "b", "c"]))
    assert calls == [3, 1, 1, 1]
    assert partitions_in_index(instance) == ["a", "b", "c"]
    assert partitions_in_run(instance) == ["a", "b", "c"]
    assert "stored one by one: changed by a new Dagster" in caplog.text


def test_a_batch_half_of_which_cannot_be_taken_back_is_an_error(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the run page would silently show entries twice."""
    storage = storage_of(instance)
    stock = storage._connect

    def no_index_and_no_second_time(shard):
        if shard == "index" or seen:
            raise sqlalchemy_error()
        seen.append(shard)
        return stock(shard)

    def sqlalchemy_error():
        from sqlalchemy.exc import OperationalError

        return OperationalError("insert", {}, Exception("disk I/O error"))

    seen: list[str] = []
    monkeypatch.setattr(storage, "_connect", no_index_and_no_second_time)
    with pytest.raises(Exception, match="disk I/O error"):
        storage.store_event_batch(log_entries(["a", "b"]))
    assert seen == ["run"]


def test_a_batch_with_another_kind_of_event_goes_the_stock_way(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster mirrors some kinds in other tables; a batch that ignored it would lose a status."""
    storage = storage_of(instance)
    monkeypatch.setattr(storage, "_store_batch", lambda events: pytest.fail("batched"))
    start = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="job")
    other = dg.EventLogEntry(None, 10, "start", "run", time.time(), None, "job", start)
    storage.store_event_batch([*log_entries(["a", "b"]), other])
    assert partitions_in_run(instance) == ["a", "b", "start"]


def test_connections_are_kept_up_to_a_limit(instance: dg.DagsterInstance) -> None:
    """Else a webserver that shows many runs has all their databases open."""
    storage = storage_of(instance)
    for i in range(10):
        storage.store_event_batch(log_entries(["a", "b"], f"run{i}"))
    assert len(storage._engines) == 4
    before = storage._engines.get("index", Path(storage.path_for_shard("index")))
    storage.store_event_batch(log_entries(["c", "d"], "run0"))
    assert before is not None
    assert storage._engines.get("index", Path(storage.path_for_shard("index"))) is before
    assert len(partitions_in_index(instance)) == 22
    assert partitions_in_run(instance, "run0") == ["a", "b", "c", "d"]


def test_a_database_deleted_by_another_process_is_made_anew(instance: dg.DagsterInstance) -> None:
    """Else the writer fills a file that no one can see, or fails for want of tables."""
    storage = storage_of(instance)
    storage.store_event_batch(log_entries(["a", "b"]))
    for path in Path(storage.path_for_shard("run")).parent.glob("run.db*"):
        path.unlink()
    storage.store_event_batch(log_entries(["c", "d"]))
    assert partitions_in_run(instance) == ["c", "d"]


def test_wipe_and_dispose_leave_a_storage_that_works(instance: dg.DagsterInstance) -> None:
    """`dagster instance wipe`-like calls must not leave the webserver with closed files."""
    storage = storage_of(instance)
    storage.store_event_batch(log_entries(["a", "b"]))
    storage.wipe()
    assert partitions_in_index(instance) == []
    storage.store_event_batch(log_entries(["c", "d"]))
    storage.dispose()
    assert len(storage._engines) == 0
    assert partitions_in_index(instance) == ["c", "d"]
    assert partitions_in_run(instance) == ["c", "d"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(instance: dg.DagsterInstance) -> None:
    """Else loky or dask workers started by fork corrupt the database of their parent."""
    storage = storage_of(instance)
    storage.store_event_batch(log_entries(["a", "b"]))
    child = os.fork()
    if child == 0:
        try:
            storage.store_event_batch(log_entries(["c", "d"]))
            own = all(engine in _open(storage._engines) for engine in _open(storage._engines))
            os._exit(0 if own else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    storage.store_event_batch(log_entries(["e", "f"]))
    assert partitions_in_index(instance) == ["a", "b", "c", "d", "e", "f"]
    assert partitions_in_run(instance) == ["a", "b", "c", "d", "e", "f"]


def test_a_fork_lets_go_of_its_parents_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child must neither use nor close them: SQLite's locks belong to the parent."""
    engines = KeptEngines(2, always="index")
    path = tmp_path / "index.db"
    engine = engines.open("index", path, f"sqlite:///{path}")
    closed = []
    monkeypatch.setattr(engine, "dispose", lambda: closed.append("index"))
    assert not engines.leave_to_parent()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert engines.leave_to_parent()
    assert engines.get("index", path) is None
    engines.close_all()
    assert closed == []


def _open(engines: KeptEngines) -> list[object]:
    return [engine for engine, _ in engines._open.values()]


def test_the_run_page_is_told_of_a_write(instance: dg.DagsterInstance) -> None:
    """Else an open run page stands still: it watches the file, not the log SQLite writes first."""
    storage = storage_of(instance)
    storage.store_event_batch(log_entries(["a", "b"]))
    seen: list[str] = []
    done = threading.Event()

    def callback(entry: dg.EventLogEntry, cursor: str) -> None:
        seen.append(entry.user_message)
        if len(seen) == 4:
            done.set()

    storage.watch("run", None, callback)
    try:
        storage.store_event_batch(log_entries(["c", "d"]))
        assert done.wait(5), seen
    finally:
        storage.end_watch("run", callback)
    assert seen == ["a", "b", "c", "d"]


WRITER = textwrap.dedent(
    """
    import sys, importlib.util
    import dagster as dg
    spec = importlib.util.spec_from_file_location("shared", sys.argv[1])
    shared = importlib.util.module_from_spec(spec); spec.loader.exec_module(shared)
    name, batches = sys.argv[2], int(sys.argv[3])
    with dg.DagsterInstance.from_config(".") as instance:
        for i in range(batches):
            names = [f"{name}-{i}-{j}" for j in range(20)]
            instance.event_log_storage.store_event_batch(shared.log_entries(names, name))
            print(i, flush=True)
    """
)


def start_writer(project: Path, name: str, batches: int) -> subprocess.Popen[str]:
    path = os.pathsep.join(p for p in sys.path if p)
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, __file__, name, str(batches)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_three_processes_write_at_once(project: Path, instance: dg.DagsterInstance) -> None:
    """Three runs side by side: 3 x 10 batches of 20 are 600 events, each once, none refused."""
    writers = [start_writer(project, f"w{i}", 10) for i in range(3)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    wanted = {f"w{i}-{j}-{k}" for i in range(3) for j in range(10) for k in range(20)}
    found = partitions_in_index(instance)
    assert len(found) == 600
    assert set(found) == wanted
    assert [len(partitions_in_run(instance, f"w{i}")) for i in range(3)] == [200, 200, 200]


@pytest.mark.slow
def test_a_killed_writer_leaves_a_whole_database(
    project: Path, instance: dg.DagsterInstance
) -> None:
    """kill -9 anywhere: what was acknowledged is there, in whole batches, and writing goes on."""
    writer = start_writer(project, "w", 100_000)
    assert writer.stdout is not None
    for _ in range(20):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    acknowledged = 20 + len(writer.stdout.read().split())
    writer.wait(timeout=10)
    writer.stdout.close()
    for path in Path(storage_of(instance).path_for_shard("index")).parent.glob("*.db"):
        with sqlite3.connect(path) as conn:
            assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        conn.close()
    found = partitions_in_index(instance)
    assert len(found) % 20 == 0
    assert len(found) // 20 in (acknowledged, acknowledged + 1)
    storage_of(instance).store_event_batch(log_entries(["after", "wards"]))
    assert partitions_in_index(instance)[-2:] == ["after", "wards"]


def planned_entry(count: int) -> dg.EventLogEntry:
    """A plan for the partitions p0 ... of one run, as Dagster makes it."""
    from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
    from dagster._core.events import AssetMaterializationPlannedData

    subset = DefaultPartitionsSubset({f"p{i}" for i in range(count)})
    data = AssetMaterializationPlannedData(SPEED, partitions_subset=subset)
    event = dg.DagsterEvent(
        event_type_value="ASSET_MATERIALIZATION_PLANNED",
        job_name="job",
        event_specific_data=data,
    )
    return dg.EventLogEntry(None, 10, "planned", "run", time.time(), "speed", "job", event)


@pytest.mark.parametrize("count", [1, 3, 100])
def test_a_plan_for_a_few_partitions_names_each(instance: dg.DagsterInstance, count: int) -> None:
    """Else Materialize on one entry does not show that it runs, nor that its run died."""
    storage_of(instance).store_event(planned_entry(count))
    planned = instance.event_log_storage
    found = planned.get_latest_asset_partition_materialization_attempts_without_materializations(
        SPEED
    )
    assert set(found) == {f"p{i}" for i in range(count)}
    assert {run_id for run_id, _ in found.values()} == {"run"}


def test_a_plan_for_many_partitions_stays_one_event(instance: dg.DagsterInstance) -> None:
    """101 are one event: else a run over 10,000 entries starts with 10,000 events per step."""
    storage = storage_of(instance)
    storage.store_event_batch([planned_entry(101), planned_entry(101)])
    assert len(instance.all_logs("run")) == 2


# What dagster.yaml may say.


def test_settings_of_dagster_yaml_arrive(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a setting that a lab wrote down does nothing."""
    monkeypatch.delenv(BATCH_SIZE_VARIABLE)
    config = "{base_dir: other, planned_subset: false, batch_size: 7, kept_connections: 2}"
    (project / "dagster.yaml").write_text(CONFIG.format(config=config))
    with dg.DagsterInstance.from_config(str(project)) as instance:
        storage = storage_of(instance)
        assert not storage.supports_partition_subset_in_asset_materialization_planned_events
        assert os.environ[BATCH_SIZE_VARIABLE] == "7"
        for i in range(4):
            storage.store_event_batch(log_entries(["a", "b"], f"run{i}"))
        assert len(storage._engines) == 2
    assert (project / "other" / "history" / "runs" / "index.db").is_file()


def test_defaults_plan_all_partitions_in_one_event(instance: dg.DagsterInstance) -> None:
    """Else a run over 10,000 entries starts with 10,000 events per step."""
    storage = storage_of(instance)
    assert storage.supports_partition_subset_in_asset_materialization_planned_events


@pytest.mark.parametrize("name", ["batch_size", "kept_connections"])
def test_a_setting_below_one_is_refused(project: Path, name: str) -> None:
    with pytest.raises(ProjectError, match=rf"config\.{name} in dagster\.yaml is 0.*at least 1"):
        MosaicSqliteStorage("instance", **{name: 0})


def test_a_relative_folder_is_below_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process started elsewhere, or with a temporary home, must not make a second event log."""
    (project / "sub" / "tmp_home").mkdir(parents=True)
    monkeypatch.chdir(project / "sub")
    assert project_folder() == project
    monkeypatch.setenv("DAGSTER_HOME", str(project / "sub" / "tmp_home"))
    assert project_folder() == project
    MosaicSqliteStorage("instance").dispose()
    assert (project / "instance" / "history").is_dir()
    (project / "sub" / "tmp_home" / "dagster.yaml").touch()
    assert project_folder() == project / "sub" / "tmp_home"


def test_without_a_project_the_current_folder_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    assert project_folder() == tmp_path


def test_the_stock_storage_reads_what_was_written(
    project: Path, instance: dg.DagsterInstance
) -> None:
    """The way out of any trouble, `storage: sqlite`, must keep all history."""
    storage_of(instance).store_event_batch(log_entries(["a", "b"]))
    instance.dispose()
    stock = "telemetry: {enabled: false}\nstorage: {sqlite: {base_dir: instance}}\n"
    (project / "dagster.yaml").write_text(stock)
    with dg.DagsterInstance.from_config(str(project)) as other:
        assert type(other.event_log_storage) is SqliteEventLogStorage
        assert partitions_in_index(other) == ["a", "b"]


# Contracts with Dagster.

WITHOUT = "Set `storage: {sqlite: {base_dir: workspaces/dagster}}` in dagster.yaml to do without."


@pytest.mark.parametrize("name", list(INTERNAL_METHODS))
def test_contract_dagsters_event_log_has_the_method(name: str) -> None:
    """If this fails, batches are off: entries cost 7-11 ms instead of 0.2."""
    missing = missing_internals()
    assert f"SqliteEventLogStorage.{name}" not in missing, f"{name} has changed. {WITHOUT}"


def test_contract_the_event_table_has_an_id() -> None:
    """If this fails, the ids of a batch are not known and batches are off."""
    assert "SqlEventLogStorageTable" not in missing_internals(), WITHOUT


@pytest.mark.parametrize("name", INTERNAL_ATTRIBUTES)
def test_contract_dagsters_event_log_has_the_attribute(name: str, tmp_path: Path) -> None:
    """If this fails, connections cannot be kept and batches are off."""
    storage = SqliteEventLogStorage(str(tmp_path))
    assert hasattr(storage, name), f"{name} is gone. {WITHOUT}"


def test_contract_the_storage_takes_another_event_log(instance: dg.DagsterInstance) -> None:
    """If this fails, ``_event_log_storage`` is not where Dagster looks any more."""
    assert type(instance.event_log_storage) is BatchSqliteEventLogStorage, WITHOUT


def test_contract_dagster_gathers_planned_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, ``DAGSTER_EVENT_BATCH_SIZE`` is not read any more: planning is slow."""
    from dagster._core.instance import utils

    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "1000")
    assert utils._get_event_batch_size() == 1000, WITHOUT


def _renamed_argument(monkeypatch: pytest.MonkeyPatch) -> str:
    stock = SqliteEventLogStorage._event_to_row
    monkeypatch.setattr(SqliteEventLogStorage, "_event_to_row", lambda self, e: stock(self, e))
    return "SqliteEventLogStorage._event_to_row"


def _missing_attribute(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(event_log, "INTERNAL_ATTRIBUTES", ("_db_lock", "_gone"))
    return "SqliteEventLogStorage._gone"


def _missing_table(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(event_log, "_TABLE", None)
    return "SqlEventLogStorageTable"


def _missing_method(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(event_log.INTERNAL_METHODS, "_gone", ())  # type: ignore[arg-type]
    return "SqliteEventLogStorage._gone"


@pytest.mark.parametrize(
    "change", [_renamed_argument, _missing_attribute, _missing_table, _missing_method]
)
def test_a_dagster_without_the_internals_gets_its_own_storage(
    change, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a new Dagster stops a lab: it must only be slower, and say so once."""
    monkeypatch.setattr(event_log, "_warned", False)
    name = change(monkeypatch)
    with pytest.warns(RuntimeWarning, match=rf"has changed {name}.*storage: {{sqlite"):
        storage = MosaicSqliteStorage("instance")
    assert type(storage.event_log_storage) is SqliteEventLogStorage
    storage.event_log_storage.store_event_batch(log_entries(["a", "b"]))
    assert storage.event_log_storage.get_materialized_partitions(SPEED) == {"a", "b"}
    MosaicSqliteStorage("instance").dispose()  # a second warning would be an error
    storage.dispose()


@pytest.mark.slow
def test_two_first_commands_at_once_both_get_an_instance(tmp_path: Path) -> None:
    """A lab that starts two runs right after the installation must not lose one to a race."""
    config = {"base_dir": str(tmp_path / "workspaces" / "dagster")}
    script = (
        "from mosaic_dagster.orchestration.event_log import MosaicSqliteStorage as S\n"
        f"storage = S.from_config_value(None, {config!r} | "
        "{'planned_subset': True, 'batch_size': 10, 'kept_connections': 2})\n"
        "print(len(storage.run_storage.get_runs()))\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for process in started:
        told, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint.decode()[-2000:]
        assert told.strip() == b"0"
