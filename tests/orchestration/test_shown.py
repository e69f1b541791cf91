"""What people see on an asset's page, and what assets of their own can read."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import polars as pl
import pytest

from mosaic_dagster.errors import StoreLockedError
from mosaic_dagster.orchestration import WorkspaceResource, io_manager, previews
from mosaic_dagster.orchestration.partitions import entries_definition

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

Refresh = Callable[..., Any]
Look = Callable[[str], Any]
MOST_BYTES = 2_000


def size_of(event: dg.AssetMaterialization) -> int:
    return len(dg.serialize_value(event))


def test_each_entry_is_told_in_numbers(refresh: Refresh, events: Look) -> None:
    """4 frames per recording: rows, bytes, seconds and run id, that the UI plots over time."""
    refresh()
    for event in events("layered/mean"):
        assert event.metadata["dagster/row_count"].value == 4
        assert event.metadata["bytes"].value > 0
        assert event.metadata["seconds"].value >= 0
        assert event.metadata["run_id"].value
        assert event.metadata["made"].value == "now"


def test_the_last_event_shows_the_step(refresh: Refresh, events: Look) -> None:
    """Counts, columns, a few rows and a picture, once per step."""
    refresh()
    metadata = events("layered/mean")[-1].metadata
    assert metadata["entries"].value == 4
    assert metadata["entries_made"].value == 4
    assert metadata["entries_failed"].value == 0
    columns = [column.name for column in metadata["dagster/column_schema"].value.columns]
    assert {"frame", "id", "x"} <= set(columns)
    assert metadata["columns"].value == len(columns)
    assert len(metadata["head"].records) == 4
    assert "data:image/png;base64" in metadata["preview"].value


def test_an_event_of_an_entry_is_small(refresh: Refresh, events: Look) -> None:
    """A page of the database per event: above that 100,000 of them take gigabytes."""
    refresh()
    for asset in ("tracks", "layered/shift", "layered/mean", "layered/scaled"):
        sizes = [size_of(event) for event in events(asset)[:-1]]
        assert len(sizes) == 3
        assert max(sizes) < MOST_BYTES


def test_a_model_shows_its_files(refresh: Refresh, events: Look) -> None:
    """mean.json, and a file that has no extension, with their sizes."""
    refresh()
    (event,) = events("layered/mean/model")
    assert set(event.metadata["files"].value) == {"mean.json", "model"}
    # "Row count 0" on the page of a fit looks as if it had seen nothing.
    assert "dagster/row_count" not in event.metadata


def test_pictures_of_callbacks_are_on_their_page_and_in_the_report(
    refresh: Refresh, events: Look
) -> None:
    """The picture is what a person wants to see first; it must not need a file browser."""
    refresh()
    for asset in ("layered/pictures", "layered/report"):
        assert "data:image/png;base64" in events(asset)[-1].metadata["pixel"].value


def test_the_report_is_a_table_of_steps(refresh: Refresh, events: Look) -> None:
    """One row per step, fits apart, with what was made."""
    refresh()
    metadata = events("layered/report")[-1].metadata
    rows = {record.data["step"]: record.data for record in metadata["steps"].records}
    assert list(rows)[:2] == ["tracks", "shift"]
    assert rows["mean"]["made"] == 4
    assert rows["mean/model"]["made"] == 1
    assert metadata["recordings"].value == 4
    assert "failures" not in metadata


def test_the_report_lists_what_failed(refresh: Refresh, events: Look, lab: Any) -> None:
    """Entry, step, state and message: the list with which one goes to the person who tracked."""
    lab.break_entry("shift", "s2")
    refresh()
    metadata = events("layered/report")[-1].metadata
    assert metadata["failed"].value == 1
    rows = [dict(record.data) for record in metadata["failures"].records]
    (failed,) = [row for row in rows if row["state"] == "failed"]
    assert (failed["step"], failed["entry"]) == ("shift", "g/s2")
    assert "cannot do s2" in failed["message"]
    assert {row["step"] for row in rows if row["state"] == "blocked"} == {"mean", "scaled", "above"}


def test_a_preview_that_cannot_be_drawn_fails_nothing(
    refresh: Refresh, events: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results are stored by then; a picture is not worth a failed run."""

    def broken(*_: Any) -> dict[str, Any]:
        msg = "no font"
        raise OSError(msg)

    monkeypatch.setattr(io_manager, "table_preview", broken)
    assert refresh().success
    assert "no font" in events("layered/mean")[-1].metadata["preview"].value


def test_the_preview_of_a_table() -> None:
    """Three columns of four frames: all in the schema, drawn without an instance or a screen."""
    table = pl.DataFrame({"frame": range(4), "a": [0.0, 1.0, None, 3.0], "b": [1, 2, 3, 4]})
    shown = previews.table_preview(table, "toy")
    assert [c.name for c in shown["dagster/column_schema"].columns] == ["frame", "a", "b"]
    assert shown["preview"].value.startswith("![preview](data:image/png;base64,iVBOR")
    empty = previews.table_preview(table.clear(), "toy")
    assert set(empty) == {"dagster/column_schema", "columns"}


def test_a_huge_picture_becomes_a_sentence() -> None:
    """The event log keeps every event twice: 10 MB of picture per run would fill a disk."""
    shown = previews.picture(b"x" * 500_000).value
    assert len(shown) < 200
    assert "500,000" in shown


def test_missing_values_in_a_table_are_shown_empty() -> None:
    """NaN is no JSON, and the UI would show no table at all."""
    frame = pl.DataFrame({"a": [1.23456, float("nan"), float("inf")], "b": [[1], None, [2]]})
    records = previews.frame_table(frame).records
    assert [record.data["a"] for record in records] == [1.2346, None, None]
    assert [record.data["b"] for record in records] == ["[1]", None, "[2]"]


# Assets of a lab's own.

seen: dict[str, Any] = {}


def own_assets(lab: Any) -> list[Any]:
    entries = entries_definition(lab.name)
    io = f"{lab.name}_io"

    @dg.asset(partitions_def=entries, ins={"mean": dg.AssetIn(lab.key("layered", "mean"),
                                                             input_manager_key=io)})  # fmt: skip
    def per_entry(mean: Any) -> None:
        seen["mean"] = mean

    @dg.asset(ins={"mean": dg.AssetIn(lab.key("layered", "mean"), input_manager_key=io)})
    def overall(mean: Any) -> None:
        seen["mean"] = mean

    @dg.asset(ins={"model": dg.AssetIn(lab.key("layered", "mean", "model"),
                                       input_manager_key=io)})  # fmt: skip
    def of_model(model: Any) -> None:
        seen["model"] = model

    @dg.asset(required_resource_keys={f"{lab.name}_workspace"})
    def by_sql(context: dg.AssetExecutionContext) -> None:
        workspace = getattr(context.resources, f"{lab.name}_workspace")
        with workspace.get_connection() as connection:
            seen["count"] = connection.execute("SELECT count(*) FROM features.entries").fetchone()

    return [per_entry, overall, of_model, by_sql]


@pytest.fixture
def materialize(lab: Any, instance: dg.DagsterInstance) -> Callable[..., Any]:
    """Materializes an asset of the lab's own beside those of the pipeline."""

    def run(name: str, **options: Any) -> Any:
        seen.clear()
        own = dg.Definitions(assets=own_assets(lab))
        merged = dg.Definitions.merge(lab.definitions(), own)
        return merged.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(name)],
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            **options,
        )

    return run


def test_one_partition_is_a_table(refresh: Refresh, materialize: Any, lab: Any) -> None:
    """X = 10..13 of s1, shifted by 1, less the mean of all: (11.5 + 0 + 10 + 20 + 30) …

    shift gives X + 1; the four recordings start at 0, 10, 20, 30, so the mean is 17.5.
    """
    refresh()
    assert materialize("per_entry", partition_key="g/s1").success
    assert isinstance(seen["mean"], pl.DataFrame)
    assert seen["mean"]["x"].to_list() == [-6.5, -5.5, -4.5, -3.5]


def test_all_partitions_are_a_lazy_mapping(refresh: Refresh, materialize: Any) -> None:
    """10,000 tables must not be in memory at once."""
    refresh()
    assert materialize("overall").success
    assert isinstance(seen["mean"], Mapping)
    assert not isinstance(seen["mean"], dict)
    assert list(seen["mean"]) == [f"g/s{i}" for i in range(4)]
    assert seen["mean"]["g/s1"].height == 4


def test_a_model_is_its_files(refresh: Refresh, materialize: Any) -> None:
    """The fitted mean, 17.5, as the file that the feature wrote."""
    refresh()
    assert materialize("of_model").success
    assert seen["model"]["mean.json"].read_text() == "17.5"
    assert seen["model"]["model"].read_bytes() == b""


def errors(done: Any) -> str:
    return str([e.step_failure_data.error for e in done.all_events if e.is_step_failure])


def test_what_was_never_made_is_a_clear_error(
    refresh: Refresh, materialize: Any, launch: Any
) -> None:
    """Not an empty table, which would silently become a number in a paper."""
    refresh(steps=["side"])
    one = materialize("per_entry", partition_key="g/s1")
    assert not one.success
    assert "has no result for g/s1" in errors(one)
    model = materialize("of_model")
    assert not model.success
    assert "has not been made yet" in errors(model)


def test_sql_over_the_workspace(refresh: Refresh, materialize: Any) -> None:
    """Four recordings, counted by a query of the lab's own."""
    refresh(steps=["side"])
    done = materialize("by_sql")
    assert done.success, errors(done)
    assert seen["count"] == (4,)


def test_a_held_database_is_waited_for_and_then_named(
    refresh: Refresh, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's DuckDB shell is open: say so, lose nothing, go on when it is closed."""
    refresh()
    database = lab.workspace / "store.duckdb"
    code = (
        "import duckdb, sys, time; con = duckdb.connect(sys.argv[1]); print('held', flush=True);"
        "sys.stdin.read()"
    )
    shell = [sys.executable, "-c", code, str(database)]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        monkeypatch.setattr(lab.dataset.registry.database, "lock_timeout", 0.5)
        blocked = refresh()
        assert other.stdin is not None
        other.stdin.close()
    assert not blocked.success
    assert str(other.pid) in blocked.errors[-1]
    assert str(database) in blocked.errors[-1]
    after = refresh()
    assert after.success
    assert after.computed == []


def test_a_workspace_waits_like_everyone(lab: Any, refresh: Refresh) -> None:
    """get_connection holds the lock for its block, so it cannot read half of a transaction."""
    refresh(steps=["side"])
    workspace = WorkspaceResource(database=str(lab.workspace / "store.duckdb"))
    with workspace.get_connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert lab.dataset.entries()
    with pytest.raises(Exception, match=r".") as caught:
        connection.execute("SELECT 1 FROM features.entries")
    assert not isinstance(caught.value, StoreLockedError)
