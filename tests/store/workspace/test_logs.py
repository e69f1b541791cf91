from datetime import UTC, datetime

import polars as pl
import pytest

from mosaic_dagster.errors import (
    StateError,
    StoreClosedError,
    StoreError,
    StoreTypeError,
    StoreValueError,
    UnknownIdError,
)
from mosaic_dagster.store.workspace import WorkspaceStore, logs

LOG = {
    "log_id": pl.String, "step_idx": pl.Int32, "operator_class": pl.String, "event": pl.String,
    "duration_ms": pl.Int64, "message": pl.String, "details": pl.String, "level": pl.String,
    "timestamp": pl.Datetime("us"),
}  # fmt: skip
SUMMARY = {
    "pipeline_id": pl.String, "pipeline_name": pl.String, "pipeline_status": pl.String,
    "log_count": pl.Int64, "step_count": pl.Int64, "total_duration_ms": pl.Int64,
    "warning_count": pl.Int64, "error_count": pl.Int64,
}  # fmt: skip


def test_an_empty_log_has_all_columns(store, pipeline):
    """Else a page about a pipeline breaks until its first step."""
    for known in (pipeline, "nowhere"):
        found = store.get_pipeline_log(known)
        assert (found.schema, found.height) == (LOG, 0)
    assert store.get_run_log_summary("nowhere").schema == SUMMARY
    assert store.get_run_log_summary("nowhere").is_empty()


def test_every_value_is_read_as_it_was_given(store, pipeline):
    before = datetime.now(UTC).replace(tzinfo=None)
    store.log_step(pipeline, 3, "PLS", "end", 12, "done", {"n": [1, float("nan")]}, "debug")
    found = store.get_pipeline_log(pipeline)
    assert found.schema == LOG
    row = found.row(0, named=True)
    assert row.pop("log_id")
    assert before <= row.pop("timestamp") <= datetime.now(UTC).replace(tzinfo=None)
    assert row == {
        "step_idx": 3, "operator_class": "PLS", "event": "end", "duration_ms": 12,
        "message": "done", "details": '{"n":[1,null]}', "level": "debug",
    }  # fmt: skip


def test_what_may_be_left_out(store, pipeline):
    store.log_step(pipeline, 0, None, "of my own")
    row = store.get_pipeline_log(pipeline).row(0, named=True)
    assert (row["level"], row["event"]) == ("info", "of my own")
    assert [row[n] for n in ("operator_class", "duration_ms", "message", "details")] == [None] * 4


def test_order_is_step_time_and_writing(store, pipeline, monkeypatch):
    """Times 5, 5, 1 of the entries b, c, a of step 1: a, b, c; step 0 comes before them."""
    times = iter([5000, 5000, 1000, 9000])
    monkeypatch.setattr(logs.time, "time_ns", lambda: next(times))
    for step, message in ((1, "b"), (1, "c"), (1, "a"), (0, "first")):
        store.log_step(pipeline, step, None, "start", message=message)
    monkeypatch.undo()
    assert store.get_pipeline_log(pipeline)["message"].to_list() == ["first", "a", "b", "c"]


@pytest.mark.parametrize("level", logs.LEVELS)
def test_each_level(store, pipeline, level):
    store.log_step(pipeline, 0, None, "x", level=level)
    assert store.get_pipeline_log(pipeline)["level"].to_list() == [level]


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"level": "fatal"}, "level"), ({"level": "INFO"}, "level"), ({"event": None}, "event"),
     ({"step_idx": None}, "step_idx"), ({"step_idx": "a"}, "step_idx"),
     ({"step_idx": 2**31}, "step_idx"), ({"duration_ms": float("nan")}, "duration_ms"),
     ({"duration_ms": 2**63}, "duration_ms"), ({"message": 5}, "message"),
     ({"operator_class": object}, "operator_class"), ({"details": object()}, "details"),
     ({"message": "\ud800"}, "message")],
)  # fmt: skip
def test_values_that_are_refused(store, pipeline, changes, named):
    """Taken into the journal, such a row would stop every later call."""
    with pytest.raises((StoreValueError, StoreTypeError), match=named):
        store.log_step(**{"pipeline_id": pipeline, "step_idx": 0, "operator_class": None,
                          "event": "start"} | changes)  # fmt: skip
    assert store.get_pipeline_log(pipeline).is_empty()


def test_a_duration_from_a_clock_is_rounded(store, pipeline):
    """perf_counter gives fractions; 12.7 ms are 13."""
    store.log_step(pipeline, 0, None, "end", 12.7)
    assert store.get_pipeline_log(pipeline)["duration_ms"].to_list() == [13]


def test_pipelines_that_take_no_entries(store, pipeline, run):
    """Else entries vanish in silence."""
    with pytest.raises(UnknownIdError, match="nowhere"):
        store.log_step("nowhere", 0, None, "start")
    store.log_step(pipeline, 0, None, "start")
    store.fail_pipeline(pipeline, "boom", keep_logs=True)
    with pytest.raises(StateError):
        store.log_step(pipeline, 0, None, "end")
    assert store.get_pipeline_log(pipeline)["event"].to_list() == ["start"]


def test_a_failed_pipeline_gives_its_log_up(store, pipeline):
    store.log_step(pipeline, 0, None, "start")
    store.fail_pipeline(pipeline, "boom")
    assert store.get_pipeline_log(pipeline).is_empty()


def test_the_summary_counts(store, run, pipeline):
    """Steps 0 and 1 ended (0 twice, 10 + 20 ms; 1 with 5), step 2 only started: 2 steps, 35 ms."""
    quiet = store.begin_pipeline(run, "quiet", {}, None, "larvae", None)
    other_run = store.begin_run("other", {}, [{"name": "larvae"}])
    other = store.begin_pipeline(other_run, "other", {}, None, "larvae", None)
    store.log_step(other, 0, None, "end", 100)
    for step, event, duration, level in (
        (0, "start", 1000, "info"), (0, "end", 10, "info"), (0, "end", 20, "warning"),
        (1, "end", 5, "error"), (1, "warning", None, "warning"), (2, "error", 7, "info"),
    ):  # fmt: skip
        store.log_step(pipeline, step, None, event, duration, level=level)
    store.complete_pipeline(quiet, None, None, None, None)
    found = store.get_run_log_summary(run)
    assert found.schema == SUMMARY
    assert found.rows() == [
        (pipeline, "pls", "running", 6, 2, 35, 2, 1),
        (quiet, "quiet", "completed", 0, 0, 0, 0, 0),
    ]


def test_entries_of_two_stores_are_joined(store, pipeline):
    """Steps may run in several processes; none of their entries may be missing."""
    with WorkspaceStore(store.workspace_path) as other:
        other.log_step(pipeline, 1, None, "start")
        store.log_step(pipeline, 0, None, "start")
        assert other.get_pipeline_log(pipeline)["step_idx"].to_list() == [0, 1]


@pytest.mark.parametrize("name", ["\ud800", None, 5, [5]])
def test_what_is_no_identifier_names_nothing(store, run, name):
    """A name from a broken file must not look like a broken database."""
    with pytest.raises(UnknownIdError, match="no pipeline"):
        store.log_step(name, 0, None, "start")
    assert store.get_pipeline_log(name).is_empty()
    assert store.get_run_log_summary(name).is_empty()


@pytest.mark.parametrize(
    ("duration", "total"), [(2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (2**62, 2**63 - 1)]
)
def test_a_sum_of_durations_beyond_its_column_is_the_bound(store, run, pipeline, duration, total):
    """One clock that counts wrong must not take the summary of the whole run away.

    2 (2^63 - 1) > 2^63 - 1 and 2 * 2^62 = 2^63 > 2^63 - 1; -2 * 2^63 < -2^63.
    """
    for _ in range(2):
        store.log_step(pipeline, 0, None, "end", duration)
    found = store.get_run_log_summary(run)
    assert found.schema == SUMMARY
    assert found["total_duration_ms"].to_list() == [total]


def test_the_state_of_the_store_is_told_before_arguments(store, pipeline):
    """Who used a closed store would mend arguments one by one, and then learn of it."""
    with (
        WorkspaceStore(store.workspace_path, read_only=True) as reader,
        pytest.raises(StoreError, match="read-only"),
    ):
        reader.log_step([5], None, None, None, level="x")
    store.close()
    with pytest.raises(StoreClosedError):
        store.log_step([5], None, None, None, level="x")
