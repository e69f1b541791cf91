"""Tasks are done once each, wherever they run."""

from __future__ import annotations

import pytest

from mosaic_dagster.errors import PipelineError
from mosaic_dagster.pipeline import Engine
from mosaic_dagster.pipeline.compute import Chunk, in_chunks
from mosaic_dagster.pipeline.engine import _slices
from mosaic_dagster.pipeline.work import Record


def double(tasks):
    return [2 * task for task in tasks]


def test_every_task_has_one_result():
    assert list(Engine("sequential").map(double, range(5))) == [0, 2, 4, 6, 8]
    assert list(Engine("loky", 2).map(double, [])) == []


def test_results_come_while_work_goes_on():
    """A step is stored as it goes; a list at its end would lose all of it to a crash."""
    results = Engine("sequential").map(double, range(10**9))
    assert [next(results), next(results)] == [0, 2]


@pytest.mark.slow
def test_what_is_left_after_a_second_goes_to_other_processes(monkeypatch):
    monkeypatch.setattr("mosaic_dagster.pipeline.engine._ALONE_SECONDS", 0.0)
    found = list(Engine("loky", 2).map(double, range(100)))
    assert sorted(found) == [2 * i for i in range(100)]


def test_slices_lose_nothing():
    assert list(_slices(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_an_engine_that_is_not_there_is_refused():
    with pytest.raises(PipelineError, match="no engine 'threads'"):
        Engine("threads")
    with pytest.raises(PipelineError, match="0 workers"):
        Engine("loky", 0)


def test_records_are_gathered_until_there_are_many(monkeypatch):
    monkeypatch.setattr("mosaic_dagster.pipeline.compute.CHUNK_ENTRIES", 2)
    records = [Record(outcome, 0.5) for outcome in "abc"]
    assert list(in_chunks(iter(records))) == [
        Chunk(made=("a", "b"), computing=1.0), Chunk(made=("c",), computing=0.5),
    ]  # fmt: skip
    monkeypatch.setattr("mosaic_dagster.pipeline.compute.CHUNK_SECONDS", -1.0)
    assert len(list(in_chunks(iter(records)))) == 3
