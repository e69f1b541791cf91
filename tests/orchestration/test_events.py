"""What Dagster knows after a run: which entries were made, from what, and which failed."""

import ast
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView, TemporalContext
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._time import get_current_datetime

from mosaic_dagster.errors import PipelineError, ProjectError
from mosaic_dagster.orchestration import event_types, events, framework_events, tags
from mosaic_dagster.orchestration.events import (
    MODE_VARIABLE,
    OWN_EVENTS,
    BatchEventWriter,
    EntryEvent,
    EventWriter,
    FrameworkEventWriter,
    backfill_policy,
    event_mode,
    event_writer,
    materialization,
)

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

ENTRIES = dg.DynamicPartitionsDefinition(name="larvae_entries")
TRACKS = dg.AssetKey(["larvae", "tracks"])
SPEED = dg.AssetKey(["larvae", "kinematics", "speed"])
MODEL = dg.AssetKey(["larvae", "kinematics", "scaler", "model"])
KEYS = ["d1/a", "d1/b", "d1/c", "d2/a", "d2/b"]
BOTH = pytest.mark.parametrize("mode", ["batch", "framework"])
CONFIG = """
telemetry: {enabled: false}
storage:
  custom:
    module: mosaic_dagster.orchestration.event_log
    class: MosaicSqliteStorage
    config: {base_dir: instance}
"""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    (tmp_path / "dagster.yaml").write_text(CONFIG)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        made.add_dynamic_partitions("larvae_entries", KEYS)
        yield made


class TableIO(dg.IOManager):
    """Announces, chunk by chunk, what a step lists; the digest of x in step s is s-x."""

    def __init__(self, writer: EventWriter, bad: Sequence[str]) -> None:
        self.writer = writer
        self.bad = bad

    def handle_output(self, context: dg.OutputContext, obj: Sequence[str | None]) -> None:
        name = context.asset_key.path[-1]
        upstream = {} if name == "tracks" else {TRACKS.to_user_string(): "tracks-"}
        good = [key for key in obj if key not in self.bad]
        made = [
            EntryEvent(
                key,
                f"{name}-{key}",
                {"rows": len(key or "")},
                {up: digest + str(key) for up, digest in upstream.items() if key},
            )
            for key in good
        ]
        for start in range(0, len(made), 2):
            chunk = made[start : start + 2]
            self.writer.materialized(context, context.asset_key, "1", chunk)
        failed = [key for key in obj if key in self.bad]
        self.writer.finish(context, context.asset_key, announced=len(made), failed=failed)

    def load_input(self, context: dg.InputContext) -> str:
        return "tracks"


def assets(writer: EventWriter, bad: Sequence[str] = (), chosen: Sequence[str] = KEYS) -> list[Any]:
    """tracks -> speed per entry, and a model over all; entries in ``bad`` fail in speed."""
    policy = backfill_policy(writer.mode)

    @dg.asset(key=TRACKS, partitions_def=ENTRIES, code_version="1", backfill_policy=policy)
    def tracks(context: dg.AssetExecutionContext):
        keys = [key for key in context.partition_keys if key in chosen]
        yield dg.Output(keys, metadata=writer.output_metadata(context))

    @dg.asset(
        key=SPEED,
        partitions_def=ENTRIES,
        code_version="1",
        backfill_policy=policy,
        ins={"tracks": dg.AssetIn(TRACKS)},
        io_manager_key="speed_io",
    )
    def speed(context: dg.AssetExecutionContext, tracks):
        keys = [key for key in context.partition_keys if key in chosen]
        yield dg.Output(keys, metadata=writer.output_metadata(context))
        failed = [key for key in keys if key in bad]
        if failed:
            writer.planned(context, SPEED, failed)
            raise dg.Failure("some failed", allow_retries=False)

    @dg.asset(key=MODEL, code_version="1")
    def model(context: dg.AssetExecutionContext):
        yield dg.Output([None], metadata=writer.output_metadata(context))

    return [tracks, speed, model]


def run(
    instance: dg.DagsterInstance,
    mode: str,
    *,
    bad: Sequence[str] = (),
    chosen: Sequence[str] = KEYS,
    select: Sequence[dg.AssetKey] = (TRACKS, SPEED),
    **options: Any,
) -> dg.ExecuteInProcessResult:
    writer = event_writer(mode)
    defs = dg.Definitions(
        assets(writer, bad, chosen),
        resources={"io_manager": TableIO(writer, ()), "speed_io": TableIO(writer, bad)},
        jobs=[dg.define_asset_job("job", dg.AssetSelection.assets(*select))],
    )
    return defs.resolve_job_def("job").execute_in_process(
        instance=instance, raise_on_error=False, **options
    )


DEFERRED = {
    tags.DEFER_TAG: "true",
    tags.RANGE_START_TAG: KEYS[0],
    tags.RANGE_END_TAG: KEYS[-1],
    tags.SELECTION_TAG: "digest of a list",
}
RANGE = {tags.RANGE_START_TAG: KEYS[0], tags.RANGE_END_TAG: KEYS[-1]}


def announced(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[tuple[Any, Any, Any, Any]]:
    """(partition, data version, code version, rows) of each materialization, oldest first."""
    records = instance.fetch_materializations(key, limit=5000, ascending=True).records
    found = []
    for record in records:
        event = record.asset_materialization
        assert event is not None
        assert event.tags is not None
        version, code = event.tags["dagster/data_version"], event.tags["dagster/code_version"]
        found.append((event.partition, version, code, event.metadata["rows"].value))
    return found


def expected(name: str, keys: Sequence[str]) -> list[tuple[Any, Any, Any, Any]]:
    return [(key, f"{name}-{key}", "1", len(key)) for key in keys]


def statuses(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, str | None]:
    found = instance.get_status_by_partition(key, KEYS, ENTRIES)
    assert found is not None
    return {name: status.value if status else None for name, status in found.items()}


def stale_status(instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str | None) -> Any:
    graph = AssetGraph.from_assets(assets(BatchEventWriter()))
    now = TemporalContext(effective_dt=get_current_datetime(), last_event_id=None)
    view = AssetGraphView(temporal_context=now, instance=instance, asset_graph=graph)
    resolver = CachingStaleStatusResolver(instance, graph, view)
    return resolver.get_status(asset, partition)


# The same picture, however the run was started and whoever writes.


@BOTH
def test_one_partition_from_the_ui(instance: dg.DagsterInstance, mode: str) -> None:
    """Materialize on one entry: one event with its own digest and metadata, not two, not none."""
    assert run(instance, mode, partition_key="d1/b").success
    assert announced(instance, TRACKS) == expected("tracks", ["d1/b"])
    assert announced(instance, SPEED) == expected("speed", ["d1/b"])
    assert statuses(instance, SPEED)["d1/b"] == "MATERIALIZED"


@BOTH
def test_a_selection(instance: dg.DagsterInstance, mode: str) -> None:
    """What refresh and the sensor start: the chosen entries get one event each, others none."""
    chosen = ["d1/a", "d1/c", "d2/b"]
    assert run(instance, mode, chosen=chosen, tags=DEFERRED).success
    assert announced(instance, SPEED) == expected("speed", chosen)
    assert statuses(instance, SPEED) == {
        "d1/a": "MATERIALIZED",
        "d1/b": None,
        "d1/c": "MATERIALIZED",
        "d2/a": None,
        "d2/b": "MATERIALIZED",
    }


def test_a_range_from_the_ui(instance: dg.DagsterInstance) -> None:
    """Materialize on a range is one run; each entry keeps its own digest."""
    assert run(instance, "batch", tags=RANGE).success
    assert announced(instance, SPEED) == expected("speed", KEYS)
    assert set(statuses(instance, SPEED).values()) == {"MATERIALIZED"}


def test_a_range_is_one_run_each_in_framework_mode(instance: dg.DagsterInstance) -> None:
    """The backfill policy cuts a range from the UI up; together they give the same events."""
    policy = backfill_policy("framework")
    assert policy.max_partitions_per_run == 1
    assert backfill_policy("batch").policy_type.name == "SINGLE_RUN"
    for key in KEYS[:3]:
        one = {tags.RANGE_START_TAG: key, tags.RANGE_END_TAG: key}
        assert run(instance, "framework", tags=one).success
    assert announced(instance, SPEED) == expected("speed", KEYS[:3])


def test_a_range_run_is_refused_in_framework_mode(instance: dg.DagsterInstance) -> None:
    """Dagster would give all entries one data version; the error says what to do instead."""
    result = run(instance, "framework", tags=RANGE)
    assert not result.success
    [failure] = [e for e in result.all_events if e.is_step_failure]
    text = str(failure.step_failure_data.error)
    assert "range d1/a to d2/b" in text
    assert "dagster/defer_asset_events=true" in text
    assert announced(instance, TRACKS) == []


@BOTH
@pytest.mark.parametrize("deferred", [False, True])
def test_an_asset_without_partitions(
    instance: dg.DagsterInstance, mode: str, deferred: bool
) -> None:
    """A fitted model: one event, with the digest of its state as data version."""
    run_tags = {tags.DEFER_TAG: "true"} if deferred else {}
    assert run(instance, mode, select=[MODEL], tags=run_tags).success
    assert announced(instance, MODEL) == [(None, "model-None", "1", 0)]
    assert stale_status(instance, MODEL, None) is StaleStatus.FRESH


@BOTH
def test_the_ui_says_fresh_and_then_stale(instance: dg.DagsterInstance, mode: str) -> None:
    """Without the tags of its inputs every entry would be yellow for ever."""
    assert run(instance, mode, chosen=["d1/b"], tags=DEFERRED).success
    assert run(instance, mode, partition_key="d1/c").success
    assert stale_status(instance, SPEED, "d1/b") is StaleStatus.FRESH
    assert stale_status(instance, SPEED, "d1/c") is StaleStatus.FRESH
    assert stale_status(instance, SPEED, "d1/a") is StaleStatus.MISSING
    for key in ("d1/b", "d1/c"):
        same = materialization(TRACKS, "1", EntryEvent(key, f"tracks-{key}"))
        instance.report_runless_asset_event(same)
        assert stale_status(instance, SPEED, key) is StaleStatus.FRESH
        changed = materialization(TRACKS, "1", EntryEvent(key, "other tracks"))
        instance.report_runless_asset_event(changed)
    assert stale_status(instance, SPEED, "d1/c") is StaleStatus.STALE
    # A deferred run in framework mode does not know which event it read.
    known = StaleStatus.STALE if mode == "batch" else StaleStatus.FRESH
    assert stale_status(instance, SPEED, "d1/b") is known


# Failures.


def test_exactly_the_failed_entries_turn_red(instance: dg.DagsterInstance) -> None:
    """2 bad of 5 in a range: 3 green with an event, 2 red without."""
    result = run(instance, "batch", bad=["d1/b", "d2/a"], tags=RANGE)
    assert not result.success
    assert announced(instance, SPEED) == expected("speed", ["d1/a", "d1/c", "d2/b"])
    assert statuses(instance, SPEED) == {
        "d1/a": "MATERIALIZED",
        "d1/b": "FAILED",
        "d1/c": "MATERIALIZED",
        "d2/a": "FAILED",
        "d2/b": "MATERIALIZED",
    }
    assert set(statuses(instance, TRACKS).values()) == {"MATERIALIZED"}


def test_failed_entries_of_a_selection_turn_red(instance: dg.DagsterInstance) -> None:
    """With the defer tag Dagster plans nothing, so the writer's planned events are all there is."""
    chosen = ["d1/a", "d1/b"]
    assert not run(instance, "batch", bad=["d1/b"], chosen=chosen, tags=DEFERRED).success
    assert announced(instance, SPEED) == expected("speed", ["d1/a"])
    red = [key for key, status in statuses(instance, SPEED).items() if status == "FAILED"]
    assert red == ["d1/b"]


@BOTH
def test_one_failed_partition_is_red_and_has_no_event(
    instance: dg.DagsterInstance, mode: str
) -> None:
    """Else an entry that could not be computed looks made."""
    assert not run(instance, mode, bad=["d1/b"], partition_key="d1/b").success
    assert announced(instance, SPEED) == []
    assert statuses(instance, SPEED)["d1/b"] == "FAILED"
    assert announced(instance, TRACKS) == expected("tracks", ["d1/b"])


def test_failed_entries_of_a_selection_have_no_event_in_framework_mode(
    instance: dg.DagsterInstance,
) -> None:
    """The good ones are announced all the same, and the run fails."""
    chosen = ["d1/a", "d1/b", "d1/c"]
    assert not run(instance, "framework", bad=["d1/b"], chosen=chosen, tags=DEFERRED).success
    assert announced(instance, SPEED) == expected("speed", ["d1/a", "d1/c"])


def test_nothing_made_is_not_announced_in_framework_mode(instance: dg.DagsterInstance) -> None:
    """An output without entries must not leave Dagster's own event behind."""
    result = run(instance, "framework", chosen=[], partition_key="d1/b")
    assert not result.success
    assert announced(instance, TRACKS) == []


def test_several_entries_in_one_event_are_refused_in_framework_mode() -> None:
    """Else all but the last would be lost silently."""

    class Context:
        dagster_run = type("Run", (), {"tags": {}})

        def get_step_execution_context(self) -> Any:
            return self

    made = [EntryEvent("d1/a", "1"), EntryEvent("d1/b", "2")]
    with pytest.raises(PipelineError, match=r"speed has 2 entries.*defer_asset_events=true"):
        FrameworkEventWriter().materialized(Context(), SPEED, "1", made)  # type: ignore[arg-type]


# Writing.


def test_a_slice_that_fails_is_stored_one_by_one(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another storage whose batches fail must not lose what was computed."""

    def broken(self: Any, batch: Any) -> None:
        raise RuntimeError("no batches here")

    monkeypatch.setattr(type(instance.event_log_storage), "store_event_batch", broken)
    assert run(instance, "batch", tags=DEFERRED).success
    assert announced(instance, SPEED) == expected("speed", KEYS)
    assert "stored one by one: no batches here" in caplog.text


def test_events_are_sliced(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk of 2 entries in slices of 1 is two calls: a huge chunk is not one transaction."""
    sizes = []
    storage = type(instance.event_log_storage)
    stock = storage.store_event_batch

    def counting(self: Any, batch: Any) -> None:
        sizes.append(len(batch))
        stock(self, batch)

    monkeypatch.setattr(storage, "store_event_batch", counting)
    monkeypatch.setattr(events, "SLICE", 1)
    assert run(instance, "batch", select=[TRACKS], chosen=KEYS[:3], tags=DEFERRED).success
    assert sizes == [1, 1, 1]
    assert announced(instance, TRACKS) == expected("tracks", KEYS[:3])


def test_events_may_be_written_from_an_asset_body(instance: dg.DagsterInstance) -> None:
    """Adopted results are announced by a body, without an IO manager."""
    writer = BatchEventWriter()

    @dg.asset(key=SPEED, partitions_def=ENTRIES, code_version="1")
    def speed(context: dg.AssetExecutionContext):
        writer.materialized(context, SPEED, "1", [EntryEvent("d1/a", "speed-d1/a", {"rows": 4})])
        yield dg.Output(None, metadata=writer.output_metadata(context))

    assert dg.materialize([speed], instance=instance, partition_key="d1/a").success
    assert announced(instance, SPEED) == expected("speed", ["d1/a"])


def test_events_link_to_run_and_step(instance: dg.DagsterInstance) -> None:
    """Else "View logs" of an entry leads nowhere."""
    result = run(instance, "batch", partition_key="d1/a")
    [record] = instance.fetch_materializations(SPEED, limit=10).records
    entry = record.event_log_entry
    assert record.run_id == result.run_id
    assert entry.step_key == "larvae__kinematics__speed"
    assert entry.dagster_event is not None
    assert entry.dagster_event.step_key == "larvae__kinematics__speed"
    assert entry.job_name == "job"


# Modes.


def test_the_mode_comes_from_the_argument_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(MODE_VARIABLE, raising=False)
    assert event_mode() == "batch"
    assert isinstance(event_writer(), BatchEventWriter)
    monkeypatch.setenv(MODE_VARIABLE, "framework")
    assert event_mode() == "framework"
    assert isinstance(event_writer(), FrameworkEventWriter)
    assert event_mode("batch") == "batch"


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE_VARIABLE, "fast")
    with pytest.raises(ProjectError, match=r"'fast'.*MOSAIC_EVENTS to batch or framework"):
        event_mode()


def test_a_dagster_without_the_internals_gets_framework_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new Dagster makes announcing slower and says so once; it stops nothing."""
    monkeypatch.setattr(events, "_missing", "cannot import name 'StepMaterializationData'")
    monkeypatch.setattr(events, "_fallback_warned", False)
    with pytest.warns(RuntimeWarning, match=r"StepMaterializationData.*MOSAIC_EVENTS=framework"):
        assert isinstance(event_writer("batch"), FrameworkEventWriter)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backfill_policy("batch").max_partitions_per_run == 1


@pytest.mark.parametrize("module", [framework_events, event_types, tags])
def test_the_framework_way_imports_nothing_internal(module: Any) -> None:
    """Else the way out would break together with what it is the way out of."""
    tree = ast.parse(Path(module.__file__).read_text())
    names = [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert [name for name in names if name.startswith("dagster._")] == []


# Contracts with Dagster.

WITHOUT = f"Set {MODE_VARIABLE}=framework to do without."


def test_contract_the_internals_are_there() -> None:
    """If this fails, a class or key was moved: announcing falls back to several ms per entry."""
    assert events._missing == "", WITHOUT


def test_contract_own_events_switch_dagsters_off(instance: dg.DagsterInstance) -> None:
    """If this fails, SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION no longer does: events double."""

    @dg.asset(key=SPEED)
    def silent():
        return dg.Output(1, metadata=dict(OWN_EVENTS))

    assert dg.materialize([silent], instance=instance).success
    assert instance.fetch_materializations(SPEED, limit=10).records == [], WITHOUT


def test_contract_planned_data_names_one_partition() -> None:
    """If this fails, AssetMaterializationPlannedData has changed: failed entries are not red."""
    assert events._PlannedData(SPEED, partition="d1/a").partition == "d1/a", WITHOUT


def test_contract_the_storage_knows_the_latest_event_of_a_partition() -> None:
    """If this fails, entries are not seen as stale when their upstream changes."""
    from dagster._core.storage.event_log import EventLogStorage

    assert hasattr(EventLogStorage, "get_latest_storage_id_by_partition"), WITHOUT
    assert hasattr(EventLogStorage, "store_event_batch"), WITHOUT


def test_contract_materialization_data_holds_the_event() -> None:
    """If this fails, StepMaterializationData has changed: entries are not announced."""
    made = materialization(SPEED, "1", EntryEvent("d1/a", "x"))
    assert events._MaterializationData(made).materialization == made, WITHOUT


def test_contract_tags_are_those_dagster_reads() -> None:
    """If this fails, Dagster reads other tags: every entry looks stale, or runs start too often."""
    from dagster._core.definitions import data_version
    from dagster._core.storage import tags as stock

    assert stock.EXTERNALLY_MANAGED_ASSETS_TAG == tags.DEFER_TAG
    assert stock.ASSET_PARTITION_RANGE_START_TAG == tags.RANGE_START_TAG
    assert stock.ASSET_PARTITION_RANGE_END_TAG == tags.RANGE_END_TAG
    up = TRACKS.to_user_string()
    made = materialization(SPEED, "7", EntryEvent("d1/a", "x", inputs={up: "y"}))
    provenance = data_version.DataProvenance.from_tags(made.tags or {})
    assert provenance is not None
    assert provenance.code_version == "7"
    assert provenance.input_data_versions == {TRACKS: dg.DataVersion("y")}
    assert provenance.input_storage_ids == {TRACKS: None}
    assert (made.tags or {})[data_version.DATA_VERSION_TAG] == "x"


def test_contract_set_data_version_counts_after_the_output_is_handled(
    instance: dg.DagsterInstance,
) -> None:
    """If this fails, one-partition runs in framework mode get Dagster's own data version."""
    assert run(instance, "framework", select=[MODEL]).success
    assert announced(instance, MODEL)[0][1] == "model-None", f"Set {MODE_VARIABLE}=batch instead."
