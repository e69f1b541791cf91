"""Callbacks per recording as assets, and recordings that a lab has deleted for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster import CallbackStep, Dataset, Pipeline
from mosaic_dagster.orchestration.partitions import forget_entries, register_entries
from mosaic_dagster.pipeline.clean import clean_table
from mosaic_dagster.store import StepOutput

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]


def count_rows(dataset: Dataset, results: Mapping[str, Any]) -> StepOutput:
    """How many rows one recording has."""
    (key,) = results["tracks"].keys()
    return StepOutput([(str(results["tracks"].table(key).height), "rows", "txt")])


@pytest.fixture
def per_entry(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's pipeline is one callback, called for each recording."""
    counted = CallbackStep("counted", count_rows, ["tracks"], per_entry=True)
    pipeline = Pipeline(name="layered").add(counted)
    monkeypatch.setattr(lab, "pipeline", lambda: pipeline)


@pytest.mark.usefixtures("per_entry")
def test_a_callback_per_recording_is_partitioned_and_redone_for_what_changed(
    lab: Any, refresh: Callable[..., Any], events: Callable[[str], Any]
) -> None:
    """Four recordings, one edited: five events in all, and four files."""
    asset = lab.definitions().resolve_asset_graph().get(lab.key("layered", "counted"))
    assert asset.partitions_def.name == "toy_entries"
    first = refresh()
    assert first.success, first.errors
    assert len(events("layered/counted")) == 4
    lab.record("s1", 10.0, n_frames=7)
    second = refresh()
    assert second.success, second.errors
    (changed,) = events("layered/counted")[4:]
    assert changed.partition == "g/s1"
    assert "files" in changed.metadata
    folder = lab.dataset.exports / "toy_layered" / "counted" / "g"
    texts = {path.name: (path / "rows.txt").read_text() for path in folder.iterdir()}
    assert texts == {"s0": "4", "s1": "7", "s2": "4", "s3": "4"}


@pytest.mark.usefixtures("per_entry")
def test_a_recording_that_clean_forgot_is_no_partition_any_more(
    lab: Any, refresh: Callable[..., Any], instance: dg.DagsterInstance
) -> None:
    """Else the list of partitions in the UI keeps what the lab has deleted, as if it were due."""
    refresh()
    (lab.folder / "s2.csv").unlink()
    assert refresh().success
    assert "g/s2" in instance.get_dynamic_partitions("toy_entries")
    clean_table(lab.dataset, [lab.pipeline()], dry_run=False, all_declared=True)
    assert refresh().success
    assert list(instance.get_dynamic_partitions("toy_entries")) == ["g/s0", "g/s1", "g/s3"]


def test_only_keys_that_are_gone_are_forgotten(instance: dg.DagsterInstance) -> None:
    register_entries(instance, "toy", ["g/a", "g/b", "g/c"])
    assert forget_entries(instance, "toy", ["g/a", "g/c", "g/d"]) == ["g/b"]
    assert list(instance.get_dynamic_partitions("toy_entries")) == ["g/a", "g/c"]


def test_a_fit_alone_goes_on_without_a_recording_that_is_broken(
    lab: Any, refresh: Callable[..., Any], launch: Callable[..., Any]
) -> None:
    """One bad file among four: Materialize on the fit alone must not wait for it for ever."""
    (lab.folder / "bad.csv").write_text("name,weight\n")
    assert not refresh().success
    lab.params["mean"] = {"note": "again"}
    lab.log.take()
    assert launch(assets=["layered/mean/model"]).success
    assert lab.log.take() == ["toy-mean:fit:s0+s1+s2+s3"]


def test_a_folder_without_recordings_is_said_to_be_empty(
    lab: Any, refresh: Callable[..., Any]
) -> None:
    """The first thing a new lab has is an empty folder, and the answer must not be a traceback."""
    for path in lab.folder.iterdir():
        path.unlink()
    done = refresh()
    assert done.success, done.errors
    assert "there are no recordings yet" in done.printed


def test_the_report_alone_does_not_call_a_failed_pipeline_good(
    lab: Any, refresh: Callable[..., Any], launch: Callable[..., Any]
) -> None:
    """'Re-execute from failure' runs the report only, and must not turn a failed run green."""
    (lab.folder / "bad.csv").write_text("name,weight\n")
    assert not refresh().success
    assert not launch(assets=["layered/report"]).success
    (lab.folder / "bad.csv").unlink()
    lab.record("bad", 5.0)
    assert refresh().success
    assert launch(assets=["layered/report"]).success
