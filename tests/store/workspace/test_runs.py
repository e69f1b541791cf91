"""Runs: who deletes, fails or lists the wrong one loses an experiment."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

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
from mosaic_dagster.store.workspace import WorkspaceStore

COLUMNS = [
    "run_id", "name", "config", "datasets", "status", "created_at", "completed_at", "summary",
    "error",
]  # fmt: skip


def test_a_run_begins_running_with_all_it_was_given(store: WorkspaceStore):
    """Keys of a dataset beside its name are what a later run is compared with."""
    datasets = [{"name": "wheat", "path": "a/b", "n_samples": 3, "y_stats": {"mean": 1.5}, "x": 1}]
    run_id = store.begin_run("first", {"seed": 1}, datasets)
    found = store.get_run(run_id)
    now = datetime.now(UTC).replace(tzinfo=None)
    assert list(found) == COLUMNS
    assert found["created_at"].tzinfo is None
    assert abs(now - found.pop("created_at")) < timedelta(minutes=1)
    assert found == {
        "run_id": run_id,
        "name": "first",
        "config": {"seed": 1},
        "datasets": datasets,
        "status": "running",
        "completed_at": None,
        "summary": None,
        "error": None,
    }


def test_identifiers_are_fresh(store: WorkspaceStore):
    assert len({store.begin_run("same", {}, []) for _ in range(3)}) == 3


def test_completing_keeps_the_summary_and_repeats_as_nothing(store: WorkspaceStore, run: str):
    """A retried hook must not overwrite what the first one recorded."""
    store.complete_run(run, {"best": float("nan"), "n": 3})
    first = store.get_run(run)
    assert (first["status"], first["summary"]) == ("completed", {"best": None, "n": 3})
    assert first["completed_at"] >= first["created_at"]
    store.complete_run(run, {"other": 1})
    assert store.get_run(run) == first


def test_failing_keeps_the_error_and_repeats_as_nothing(store: WorkspaceStore, run: str):
    store.fail_run(run, "disk full: a\udcff")
    first = store.get_run(run)
    assert (first["status"], first["error"]) == ("failed", "disk full: a\\udcff")
    assert first["completed_at"] is not None
    store.fail_run(run, "again")
    assert store.get_run(run) == first


def test_an_ended_run_is_not_ended_the_other_way(store: WorkspaceStore):
    completed, failed = (store.begin_run(name, {}, []) for name in "ab")
    store.complete_run(completed, {})
    store.fail_run(failed, "broken")
    with pytest.raises(StateError, match=completed):
        store.fail_run(completed, "late")
    with pytest.raises(StateError, match=failed):
        store.complete_run(failed, {})
    assert store.get_run(completed)["error"] is None
    assert store.get_run(failed)["summary"] is None


def test_failing_a_run_fails_its_running_pipelines_and_takes_their_work_back(
    store: WorkspaceStore,
    run: str,
    pipeline: str,
    make_prediction: Callable[..., dict[str, Any]],
    make_chain: Callable[..., str],
):
    """Work of a completed pipeline stays: it was paid for."""
    done = store.begin_pipeline(run, "done", {}, None, "larvae", None)
    other = store.begin_pipeline(store.begin_run("o", {}, []), "other", {}, None, "larvae", None)
    for owner in (pipeline, done, other):
        chain = make_chain(store, owner)
        store.save_prediction(**make_prediction(pipeline_id=owner, chain_id=chain))
        store.log_step(owner, 0, "Ridge", "end")
    store.complete_pipeline(done, 0.1, 0.2, "rmse", 5)
    store.fail_run(run, "node died")
    statuses = [store.get_pipeline(p)["status"] for p in (pipeline, done, other)]
    assert statuses == ["failed", "completed", "running"]
    assert store.get_pipeline(pipeline)["error"] == "node died"
    assert store.query_predictions(pipeline_id=pipeline).is_empty()
    assert store.get_chains_for_pipeline(pipeline).is_empty()
    assert store.get_pipeline_log(pipeline).is_empty()
    for owner in (done, other):
        assert store.query_predictions(pipeline_id=owner).height == 1
        assert store.get_chains_for_pipeline(owner).height == 1
        assert store.get_pipeline_log(owner).height == 1
    with pytest.raises(StateError):
        store.save_prediction(**make_prediction())


@pytest.mark.parametrize(
    "act", [lambda s: s.complete_run("nobody", {}), lambda s: s.fail_run("nobody", "x")]
)
def test_ending_an_unknown_run_is_told(store: WorkspaceStore, act: Callable[[Any], None]):
    """Zero rows updated in silence would look like a recorded ending."""
    with pytest.raises(KeyError, match="nobody"):
        act(store)


def test_looking_up_an_unknown_run_gives_none(store: WorkspaceStore):
    assert store.get_run("nobody") is None


@pytest.mark.parametrize("datasets", [[{}], [{"name": 3}], ["wheat"], [None], "wheat", [{"n": 1}]])
def test_datasets_need_names(store: WorkspaceStore, datasets: Any):
    with pytest.raises(StoreValueError, match="name"):
        store.begin_run("run", {}, datasets)
    assert store.list_runs().is_empty()


@pytest.mark.parametrize("name", [None, 3])
def test_a_run_needs_a_name(store: WorkspaceStore, name: Any):
    with pytest.raises(StoreTypeError, match="name"):
        store.begin_run(name, {}, [])


def test_a_dataset_is_found_by_its_exact_name_only(store: WorkspaceStore):
    """'whea' or a path must not bring runs of 'wheat' into a comparison."""
    wheat = store.begin_run("1", {}, [{"name": "barley"}, {"name": "wheat", "path": "rye/oat"}])
    store.begin_run("2", {}, [{"name": "wheat2", "tags": [{"name": "rye"}]}])
    store.begin_run("3", {}, [])
    assert store.list_runs(dataset="wheat")["run_id"].to_list() == [wheat]
    for name in ("whea", "heat", "rye", "rye/oat", "name", "", "%", "wheat%", '"wheat"', "WHEAT"):
        assert store.list_runs(dataset=name).is_empty(), name


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a\\b", "a\0b", "é😀", "a$b", " a ", "[*]"])
def test_any_name_of_a_dataset_is_found(store: WorkspaceStore, name: str):
    run_id = store.begin_run("r", {}, [{"name": name}])
    assert store.list_runs(dataset=name)["run_id"].to_list() == [run_id]


def test_runs_are_listed_newest_first_by_status_and_in_pages(store: WorkspaceStore):
    with store.session():
        ids = [store.begin_run(str(n), {}, [{"name": "d"}]) for n in range(5)]
        store.complete_run(ids[1], {})
        store.fail_run(ids[3], "x")
        assert store.list_runs()["run_id"].to_list() == ids[::-1]
        assert store.list_runs(status="running")["name"].to_list() == ["4", "2", "0"]
        assert store.list_runs(status="failed", dataset="d")["name"].to_list() == ["3"]
        assert store.list_runs(limit=2, offset=1)["name"].to_list() == ["3", "2"]
        assert store.list_runs(limit=None, offset=4)["name"].to_list() == ["0"]
        assert store.list_runs(offset=9).is_empty()


def test_pages_of_runs_of_one_moment_neither_repeat_nor_skip(store: WorkspaceStore):
    """Equal times are common on coarse clocks; then the identifier decides."""
    with store.session():
        for n in range(6):
            store.begin_run(str(n), {}, [])
        with store._open.writing() as con:
            con.execute("UPDATE main.runs SET created_at = TIMESTAMP '2024-01-01'")
        pages = [store.list_runs(limit=2, offset=n)["run_id"].to_list() for n in (0, 2, 4)]
        in_order = store.list_runs()["run_id"].sort().to_list()
        assert [run_id for page in pages for run_id in page] == in_order


def test_frames_have_all_columns_and_types_when_empty(store: WorkspaceStore, run: str):
    """An empty frame of other types breaks the code that joins it."""
    full, empty = store.list_runs(), store.list_runs(limit=0)
    assert full.columns == COLUMNS
    assert empty.is_empty()
    assert full.schema == empty.schema
    assert full.schema["created_at"] == pl.Datetime("us")
    assert full["config"].to_list() == ['{"seed":1}']


@pytest.mark.parametrize("page", [{"limit": -1}, {"offset": -1}])
def test_negative_pages_are_refused(store: WorkspaceStore, page: dict[str, int]):
    with pytest.raises(ValueError, match="-1"):
        store.list_runs(**page)


def test_a_refused_change_leaves_nothing(store: WorkspaceStore, run: str):
    with pytest.raises(TypeError, match=r"summary\.model"):
        store.complete_run(run, {"model": object()})
    assert store.get_run(run)["status"] == "running"
    with pytest.raises(UnknownIdError):
        store.begin_pipeline("nobody", "p", {}, None, "d", None)
    assert store.list_pipelines().is_empty()


NO_IDS = ["\ud800", None, 5, [1], object()]


@pytest.mark.parametrize("name", NO_IDS)
def test_what_is_no_identifier_names_no_run(store: WorkspaceStore, run: str, name: Any):
    """A name from a broken file must not look like a broken database."""
    assert store.get_run(name) is None
    for act in (lambda: store.complete_run(name, {}), lambda: store.fail_run(name, "x")):
        with pytest.raises(UnknownIdError, match="no run"):
            act()
    assert store.list_runs()["status"].to_list() == ["running"]


@pytest.mark.parametrize(
    ("filters", "error"),
    [({"dataset": "\ud800"}, StoreValueError), ({"dataset": 5}, StoreTypeError),
     ({"status": 5}, StoreTypeError)],
)  # fmt: skip
def test_filters_that_are_no_text_are_refused_by_name(
    store: WorkspaceStore, filters: dict[str, Any], error: type[Exception]
):
    with pytest.raises(error, match=next(iter(filters))):
        store.list_runs(**filters)


@pytest.mark.parametrize("datasets", [5, 0, object()])
def test_datasets_are_a_list(store: WorkspaceStore, datasets: Any):
    """A bare TypeError would not say which argument is meant; 0 is no empty list."""
    with pytest.raises(StoreTypeError, match="datasets"):
        store.begin_run("run", {}, datasets)
    assert store.list_runs().is_empty()


def test_a_configuration_with_a_number_too_long_for_json_is_refused(store: WorkspaceStore):
    with pytest.raises(StoreValueError, match=r"config\.a"):
        store.begin_run("run", {"a": 10**5000}, [])
    assert store.list_runs().is_empty()


def test_the_state_of_the_store_is_told_before_arguments(store: WorkspaceStore, run: str):
    """Who used a closed store would mend arguments one by one, and then learn of it."""
    acts = [
        lambda s: s.begin_run(None, object(), 5),
        lambda s: s.complete_run(run, object()),
    ]
    with WorkspaceStore(store.workspace_path, read_only=True) as reader:
        for act in acts:
            with pytest.raises(StoreError, match="read-only"):
                act(reader)
    store.close()
    for act in [*acts, lambda s: s.list_runs(limit=-1)]:
        with pytest.raises(StoreClosedError):
            act(store)
