"""Entries that are as recorded are told from columns; the answer must be that of a closer look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from mosaic_dagster import Dataset, FeatureStep, Pipeline
from mosaic_dagster.pipeline import DatasetRun, snapshot
from mosaic_dagster.pipeline.entry_states import EntryStates, made_of, tally, unfinished
from mosaic_dagster.pipeline.ingested import StatusReader
from mosaic_dagster.pipeline.plan import status_of_run
from mosaic_dagster.pipeline.staleness import Evaluation
from mosaic_dagster.pipeline.status import MODEL, EntryStatus
from mosaic_dagster.store.database.connection import Database


def all_states(dataset: Dataset, pipeline: Pipeline) -> dict[str, Mapping[str, EntryStatus]]:
    run = DatasetRun(dataset, [pipeline])
    evaluation = run.evaluations[pipeline.name]
    steps = {step: evaluation.units(step) for step in evaluation.bound.steps}
    return {"tracks": run.tracks.statuses} | steps


@pytest.fixture
def compared(monkeypatch):
    """Says that a state from columns is the state from looking at each entry, all of it."""

    def compare(dataset: Dataset, pipeline: Pipeline) -> dict[str, Mapping[str, EntryStatus]]:
        quick = all_states(dataset, pipeline)
        with monkeypatch.context() as patched:
            patched.setattr(Evaluation, "_as_they_were", lambda *_: None)
            patched.setattr(StatusReader, "_as_they_were", lambda *_: None)
            slow = all_states(dataset, pipeline)
        for step, units in slow.items():
            assert not isinstance(units, EntryStates)
            assert list(quick[step]) == list(units)
            assert {key: quick[step][key] for key in units} == dict(units)
            assert tally(quick[step]) == tally(units)
            assert list(unfinished(quick[step])) == list(unfinished(units))
            keys = [*units, "g/nobody"]
            assert made_of(quick[step], keys) == made_of(units, keys)
        return quick

    return compare


def forget_object(dataset: Dataset, status: EntryStatus) -> None:
    assert status.result is not None
    assert status.result.output_sha256 is not None
    dataset.objects.path(status.result.output_sha256).unlink()


@pytest.mark.slow
def test_all_is_told_alike_whether_it_is_new_made_changed_or_failed(
    files, layered, run, toy, compared, tmp_path
):
    """A state that differed would compute too much, or leave something out of date."""
    dataset, folder = files
    pipeline = layered()
    compared(dataset, pipeline)
    run(pipeline, dataset)
    made = compared(dataset, pipeline)
    assert all(isinstance(units, EntryStates) for units in made.values())
    toy.write_csv(folder / "s2.csv", 100.0)
    toy.write_csv(folder / "s9.csv", 5.0)
    compared(dataset, pipeline)
    broken = tmp_path / "broken"
    broken.write_text("s2")
    pipeline = layered(side={"broken": str(broken)})
    with pytest.raises(Exception, match="s2"):
        run(pipeline, dataset)
    found = compared(dataset, pipeline)
    assert found["side"]["g/s2"].state == "failed"
    assert found["side"]["g/s9"].state == "fresh"
    compared(dataset, layered(shift={"by": 2.0}))


@pytest.mark.parametrize("few", [snapshot.FEW, 0])
def test_a_deleted_object_is_noticed_in_one_step_and_all_below_it_waits(
    added, layered, run, compared, monkeypatch, few
):
    """Nobody would know that a result is gone until a run below it fails.

    Few objects are looked at one by one; of more than ``FEW`` the folders are listed.
    """
    monkeypatch.setattr(snapshot, "FEW", few)
    pipeline = layered()
    run(pipeline, added)
    forget_object(added, compared(added, pipeline)["shift"]["g/s2"])
    found = compared(added, pipeline)
    assert found["shift"]["g/s2"].reason == "object missing"
    assert found["shift"]["g/s1"].state == "fresh"
    assert found["mean"][MODEL].reason == "upstream: shift"


def test_what_is_stored_after_the_folders_were_listed_is_there(added, layered, run, monkeypatch):
    """A result that another process makes meanwhile would be computed a second time."""
    monkeypatch.setattr(snapshot, "FEW", 0)
    run(layered(), added)
    looked = DatasetRun(added, [layered()])
    assert looked.snapshot.present_objects([("0" * 64, "bin", 4)]) == set()
    late = added.objects.put(b"late", "bin")
    asked = [(late.digest, "bin", 4), ("0" * 64, "bin", 4)]
    assert looked.snapshot.present_objects(asked) == {late.digest}


def test_a_run_looks_again_after_it_made_something(added, layered, run, monkeypatch):
    """An object that went away during a long run would count as there until its end."""
    monkeypatch.setattr(snapshot, "FEW", 0)
    run(layered(), added)
    looked = DatasetRun(added, [layered()])
    evaluation = looked.evaluations["layered"]
    forget_object(added, evaluation.entries("shift")["g/s2"])
    evaluation.record("mean", [])
    evaluation.retake("tracks", looked.tracks.statuses)
    assert evaluation.entries("shift")["g/s2"].reason == "object missing"


def test_a_result_of_another_pipeline_is_adopted_beside_recorded_ones(
    added, toy, log, run, compared
):
    """What a notebook made would be computed again."""
    step = FeatureStep("shift", toy.Shift, {"log": str(log)})
    run(Pipeline(name="first").add(step), added)
    found = compared(added, Pipeline(name="second").add(step))
    assert {status.state for status in found["shift"].values()} == {"fresh"}
    assert all(status.needs_adoption for status in found["shift"].values())


def test_an_entry_that_became_empty_counts_as_empty(toy, tmp_path, run, log, compared):
    """A recording without rows would be counted among the fresh ones."""
    dataset = toy.added(tmp_path / "workspace", {"s1": 0.0, "s2": 10.0})
    pipeline = Pipeline(name="one").add(
        FeatureStep("part", toy.Shift, {"log": str(log)}, run_kwargs={"filter_start_frame": 99})
    )
    run(pipeline, dataset)
    found = compared(dataset, pipeline)["part"]
    assert [(key, status.state) for key, status in unfinished(found)] == [
        ("g/s1", "empty"), ("g/s2", "empty"),
    ]  # fmt: skip
    assert tally(found).states == {"empty": 2}


class Counted:
    """A connection that counts what is asked of it."""

    def __init__(self, con: Any, counts: dict[str, int]) -> None:
        self.con, self.counts = con, counts

    def __getattr__(self, name: str) -> Any:
        if name in ("execute", "sql"):
            self.counts["statements"] += 1
        return getattr(self.con, name)


@pytest.fixture
def counts(monkeypatch) -> dict[str, int]:
    """How many leases and statements there were."""
    counts = {"leases": 0, "statements": 0}
    lease = Database.lease

    @contextmanager
    def counting(self: Database) -> Iterator[Counted]:
        with lease(self) as con:
            counts["leases"] += 1
            yield Counted(con, counts)

    monkeypatch.setattr(Database, "lease", counting)
    return counts


@pytest.mark.slow
def test_a_status_asks_the_database_as_often_for_ten_entries_as_for_three(
    toy, layered, run, tmp_path, counts
):
    """A question per entry would make the status of 10,000 recordings take a minute."""
    asked = []
    for count in (3, 10):
        dataset = toy.added(tmp_path / str(count), {f"s{i}": 10.0 * i for i in range(count)})
        pipeline = layered()
        run(pipeline, dataset)
        status_of_run(DatasetRun(dataset, [pipeline]))
        counts.update(leases=0, statements=0)
        status_of_run(DatasetRun(dataset, [pipeline]))
        asked.append(dict(counts))
    assert asked[0] == asked[1]
    assert asked[0]["statements"] < 20
