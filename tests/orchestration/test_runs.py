"""Runs as the UI and the command line start them: one partition, a range, a list, everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView, TemporalContext
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._time import get_current_datetime

from mosaic_dagster.orchestration.partitions import register_entries
from mosaic_dagster.orchestration.tags import (
    DEFER_TAG,
    ENGINE_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    SELECTION_TAG,
)

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

PARTITION = "dagster/partition"
Look = Callable[[str], Any]
Run = Callable[..., Any]


@pytest.fixture
def registered(lab: Any, instance: dg.DagsterInstance) -> list[str]:
    keys = [f"g/s{i}" for i in range(4)]
    register_entries(instance, lab.name, keys)
    return keys


@pytest.fixture(params=["project", "stock"])
def any_instance(request: pytest.FixtureRequest, instance: Any) -> Iterator[dg.DagsterInstance]:
    if request.param == "project":
        yield instance
    else:
        with dg.DagsterInstance.ephemeral() as made:
            yield made


def failures(done: Any) -> str:
    return str([e.event_specific_data for e in done.all_events if e.is_step_failure])


def keys_told(events: list[dg.AssetMaterialization]) -> list[str | None]:
    return sorted(str(event.partition) for event in events)


def test_one_partition_makes_one_event_each(
    registered: list[str], launch: Run, events: Look, red: Look, lab: Any
) -> None:
    """Materialize of one recording in the UI: that recording in each step, and the fits' scope.

    A stale mean is fitted on all four, so what is above it is made, and told, for all four.
    """
    wanted = ["tracks", "layered/shift", "layered/mean/model", "layered/mean", "layered/side"]
    done = launch({PARTITION: "g/s1"}, wanted)
    assert done.success, failures(done)
    computed = lab.log.take()
    assert keys_told(events("layered/side")) == ["g/s1"]
    assert keys_told(events("layered/mean")) == ["g/s1"]
    assert "toy-mean:fit:s0+s1+s2+s3" in computed
    assert red("layered/side") == {"s0": None, "s1": "MATERIALIZED", "s2": None, "s3": None}


def test_one_partition_asked_again_ends_with_an_event(
    registered: list[str], launch: Run, events: Look, lab: Any
) -> None:
    """Materialize on what is up to date computes nothing and never ends without an event."""
    launch({PARTITION: "g/s1"}, ["tracks", "layered/side"])
    lab.log.take()
    done = launch({PARTITION: "g/s1"}, ["layered/side"])
    assert done.success
    assert lab.log.take() == []
    assert keys_told(events("layered/side")) == ["g/s1", "g/s1"]
    assert [e.metadata["made"].value for e in events("layered/side")] == ["now", "before"]


def test_a_range_of_tags(registered: list[str], launch: Run, events: Look, lab: Any) -> None:
    """`dagster job execute --tags` with a range: exactly its entries, one event each."""
    done = launch({RANGE_START_TAG: "g/s1", RANGE_END_TAG: "g/s2"}, ["tracks", "layered/shift"])
    assert done.success, failures(done)
    assert keys_told(events("layered/shift")) == ["g/s1", "g/s2"]
    assert lab.log.take() == ["toy-shift:s1", "toy-shift:s2"]


def test_the_whole_dataset_by_its_first_and_last(
    registered: list[str], launch: Run, events: Look
) -> None:
    """Everything in one run, models among it: they are made once, not per partition."""
    done = launch({RANGE_START_TAG: "g/s0", RANGE_END_TAG: "g/s3"})
    assert done.success, failures(done)
    assert keys_told(events("layered/scaled")) == registered
    assert len(events("layered/mean/model")) == 1
    assert len(events("layered/report")) == 1


def test_scattered_keys_in_one_run(
    make_lab: Any, project: Path, instance: dg.DagsterInstance, launch: Run, events: Look
) -> None:
    """37 of 100 keys, every third or so, none of their neighbours: what refresh and sensors ask."""
    big = make_lab(project, entries=100)
    dataset = big.dataset
    keys = [f"g/s{i}" for i in range(100)]
    register_entries(instance, big.name, keys)
    chosen = [f"g/s{i}" for i in range(0, 100, 3)] + ["g/s1", "g/s50", "g/s97"]
    assert len(chosen) == 37
    tags = {
        SELECTION_TAG: dataset.registry.put_selection(chosen),
        RANGE_START_TAG: "g/s0",
        RANGE_END_TAG: "g/s99",
        DEFER_TAG: "true",
    }
    done = launch(tags, ["tracks", "layered/side"])
    assert done.success, failures(done)
    assert keys_told(events("tracks")) == sorted(chosen)
    assert keys_told(events("layered/side")) == sorted(chosen)
    assert len(big.log.take()) == 37


def test_a_range_over_an_unknown_key_is_refused(registered: list[str], launch: Run) -> None:
    """A misspelt key must not silently become another range."""
    with pytest.raises(dg.DagsterInvalidInvocationError, match="no_such"):
        launch({RANGE_START_TAG: "g/s0", RANGE_END_TAG: "g/no_such"})


def test_a_partition_outside_the_dataset_fails_clearly(
    registered: list[str], launch: Run, lab: Any, instance: dg.DagsterInstance
) -> None:
    """A partition that was registered and whose recording is unknown: not a silent success."""
    register_entries(instance, lab.name, ["g/ghost"])
    done = launch({PARTITION: "g/ghost"}, ["tracks"])
    assert not done.success
    assert "ghost" in failures(done)


def test_an_entry_outside_the_scope_of_a_pipeline_is_no_failure(
    registered: list[str], launch: Run, lab: Any, monkeypatch: pytest.MonkeyPatch, events: Look
) -> None:
    """Entries outside the scope do not exist for a pipeline: nothing is computed or told."""
    from mosaic_dagster import Pipeline
    from mosaic_dagster.dataset import Scope

    scoped = Pipeline.of("layered", list(lab.pipeline().steps), scope=Scope(sequences=["s0", "s1"]))
    monkeypatch.setattr(lab, "pipeline", lambda: scoped)
    done = launch({RANGE_START_TAG: "g/s0", RANGE_END_TAG: "g/s3"})
    assert done.success, failures(done)
    assert keys_told(events("layered/side")) == ["g/s0", "g/s1"]
    assert "toy-mean:fit:s0+s1" in lab.log.take()


def test_a_step_alone_fails_itself_after_storing_the_good_entries(
    registered: list[str], launch: Run, lab: Any, events: Look, red: Look
) -> None:
    """No report in the run, so the step ends as failed; the three good ones are there."""
    lab.break_entry("side", "s2")
    done = launch({RANGE_START_TAG: "g/s0", RANGE_END_TAG: "g/s3"}, ["tracks", "layered/side"])
    assert not done.success
    assert "1 failed" in failures(done)
    assert keys_told(events("layered/side")) == ["g/s0", "g/s1", "g/s3"]
    assert red("layered/side") == {
        "s0": "MATERIALIZED", "s1": "MATERIALIZED", "s2": "FAILED", "s3": "MATERIALIZED"
    }  # fmt: skip


def test_a_model_alone(registered: list[str], launch: Run, events: Look, lab: Any) -> None:
    """Materialize of a model in the UI has no partition at all."""
    launch({RANGE_START_TAG: "g/s0", RANGE_END_TAG: "g/s3"}, ["tracks", "layered/shift"])
    lab.log.take()
    done = launch({}, ["layered/mean/model"])
    assert done.success, failures(done)
    assert lab.log.take() == ["toy-mean:fit:s0+s1+s2+s3"]
    assert len(events("layered/mean/model")) == 1


def test_the_job_of_a_pipeline(registered: list[str], launch: Run, lab: Any) -> None:
    """One job per pipeline, with the tracks that it needs."""
    done = launch({PARTITION: "g/s0"}, None, f"{lab.name}_layered")
    assert done.success, failures(done)


def test_a_range_in_the_ui_is_one_run(lab: Any) -> None:
    """A backfill of 1,000 recordings as 1,000 runs would take hours of starting them."""
    graph = lab.definitions().resolve_asset_graph()
    partitioned = [node for node in graph.asset_nodes if node.is_partitioned]
    assert len(partitioned) == 6
    assert {node.backfill_policy for node in partitioned} == {dg.BackfillPolicy.single_run()}


# What the UI says about freshness.


def stale_statuses(instance: dg.DagsterInstance, lab: Any, keys: list[str]) -> dict[str, Any]:
    graph = lab.definitions().resolve_asset_graph()
    now = TemporalContext(effective_dt=get_current_datetime(), last_event_id=None)
    view = AssetGraphView(temporal_context=now, instance=instance, asset_graph=graph)
    resolver = CachingStaleStatusResolver(instance, graph, view)
    found = {}
    for key in graph.get_all_asset_keys():
        parts = keys if graph.get(key).is_partitioned else [None]
        for part in parts:
            found[f"{key.to_user_string()}:{part}"] = resolver.get_status(key, part)
    return found


def test_everything_is_fresh_in_the_ui_after_a_refresh(
    lab: Any, refresh: Run, instance: dg.DagsterInstance
) -> None:
    """A yellow `stale` on what was just made teaches people to ignore it."""
    assert refresh().success
    found = stale_statuses(instance, lab, [f"g/s{i}" for i in range(4)])
    assert {name for name, state in found.items() if state != StaleStatus.FRESH} == set()


def test_a_result_that_stays_is_fresh_though_its_input_came_back(
    lab: Any, refresh: Run, instance: dg.DagsterInstance
) -> None:
    """side floors X: 10.3 gives what 10.0 gave. Edited and undone, it is fresh both times."""
    refresh()
    lab.record("s1", 10.3)
    refresh()
    found = stale_statuses(instance, lab, ["g/s1"])
    assert found["toy/layered/side:g/s1"] == StaleStatus.FRESH
    lab.record("s1", 10.0)
    refresh()
    found = stale_statuses(instance, lab, ["g/s1"])
    assert {name for name, state in found.items() if state != StaleStatus.FRESH} == set()


def test_the_ui_sees_a_change_of_code(lab: Any, refresh: Run, instance: dg.DagsterInstance) -> None:
    """Another parameter is another code version: that step is stale until it is made."""
    refresh()
    lab.params["side"] = {"by": 5.0, "rate": 3.0}
    found = stale_statuses(instance, lab, ["g/s0"])
    assert found["toy/layered/side:g/s0"] == StaleStatus.STALE
    assert found["toy/layered/shift:g/s0"] == StaleStatus.FRESH
    refresh()
    found = stale_statuses(instance, lab, ["g/s0"])
    assert set(found.values()) == {StaleStatus.FRESH}


def test_everything_is_fresh_after_a_parameter_of_a_fit_changed(
    lab: Any, refresh: Run, instance: dg.DagsterInstance
) -> None:
    """What reads the model's file keeps its event; the ones below the fit get new ones."""
    refresh()
    lab.params["mean"] = {"note": "other bytes, same mean"}
    assert refresh().success
    found = stale_statuses(instance, lab, [f"g/s{i}" for i in range(4)])
    assert {name for name, state in found.items() if state != StaleStatus.FRESH} == set()


# The ways of computing and of telling give the same.


def test_engines_give_the_same_digests(
    lab: Any, refresh: Run, digests: Look, launch: Run, toy: Any, project: Path
) -> None:
    """Who moves from a laptop to all cores must not get other numbers."""
    refresh(engine="sequential")
    sequential = {step: digests(step) for step in ("shift", "mean", "scaled", "above")}
    done = refresh(engine="loky", force_from="shift")
    assert done.success
    assert done.run.tags[ENGINE_TAG] == "loky"
    assert {step: digests(step) for step in sequential} == sequential


def test_without_internals_of_dagster_the_same_is_made(
    lab: Any,
    refresh: Run,
    launch: Run,
    digests: Look,
    events: Look,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MOSAIC_EVENTS=framework is what keeps a lab going when a new Dagster breaks the fast way."""
    monkeypatch.setenv("MOSAIC_EVENTS", "framework")
    done = refresh()
    assert done.success, done.errors
    versions = {e.partition: e.tags["dagster/data_version"] for e in events("layered/above")}
    assert versions == digests("above")
    assert len(events("layered/report")) == 1
    assert refresh().runs == []
    lab.params["side"] = {"by": 2.0}
    one = launch({PARTITION: "g/s1"}, ["layered/side"])
    assert one.success, failures(one)
    last = events("layered/side")[-1]
    assert last.partition == "g/s1"
    assert last.tags["dagster/data_version"] == digests("side")["g/s1"]


def test_stock_storages_do(lab: Any, any_instance: dg.DagsterInstance) -> None:
    """A lab that keeps Dagster's own storage, or puts it on Postgres, loses speed, nothing else."""
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = lab.definitions().resolve_job_def("refresh")
    assert job.execute_in_process(instance=any_instance, run_config=config).success
    told = any_instance.fetch_materializations(lab.key("layered", "scaled"), limit=100).records
    assert len(told) == 4
    lab.log.take()
    assert job.execute_in_process(instance=any_instance, run_config=config).success
    assert lab.log.take() == []


def test_a_model_is_fitted_although_a_new_file_lies_there(
    lab: Any, refresh: Any, launch: Any
) -> None:
    """The run reads no files, so it must not wait for tracks that it will not make."""
    assert refresh().success
    lab.record("s9", 90.0)
    lab.params["mean"] = {"note": "measured twice"}
    assert launch(assets=["layered/mean/model"]).success
    assert lab.log.take() == ["toy-mean:fit:s0+s1+s2+s3"]
