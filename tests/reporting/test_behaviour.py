"""Which steps say what animals do, and how often."""

from __future__ import annotations

import pytest

from mosaic_dagster import Dataset, Pipeline
from mosaic_dagster.reporting import Subject, behaviour
from mosaic_dagster.reporting.behaviour import bout_tables, class_steps, tally


def test_steps_with_a_class_are_found_by_their_columns(made: Dataset, pipeline: Pipeline) -> None:
    """The summary has a column ``cluster``, too, and no frames: it is no ethogram."""
    (found,) = class_steps(Subject(made, pipeline))
    assert (found.step, found.column, found.identity) == ("kinds", "cluster", ("id",))
    assert not found.predicts


def test_classes_are_counted_over_all_recordings(made: Dataset, pipeline: Pipeline) -> None:
    """Eight frames each, even ones in cluster 0: 16 of 32 rows, 8 in each group."""
    subject = Subject(made, pipeline)
    told = tally(subject, class_steps(subject)[0])
    assert told is not None
    assert told.sizes == [("0", 16), ("1", 16)]
    assert (told.rows, told.unclassed, told.recordings) == (32, 0, 4)
    assert told.counts.rows() == [("a", 0, 8), ("a", 1, 8), ("b", 0, 8), ("b", 1, 8)]


def test_of_many_recordings_some_are_counted_and_it_is_told(
    made: Dataset, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share over two recordings must not pass for one over all."""
    monkeypatch.setattr(behaviour, "MOST_RECORDINGS", 2)
    subject = Subject(made, pipeline)
    told = tally(subject, class_steps(subject)[0])
    assert told is not None
    assert (told.recordings, told.known, told.rows) == (2, 4, 16)
    assert told.trace.results == 2


def test_bouts_are_pooled_over_animals(made: Dataset, pipeline: Pipeline) -> None:
    """Clusters change with every frame: four bouts of 0.1 s per cluster and animal, half each."""
    (told,) = bout_tables(Subject(made, pipeline))
    assert (told.animals, told.recordings) == (4, 4)
    rows = told.table.to_dicts()
    assert [row["bouts"] for row in rows] == [16, 16]
    assert [row["share"] for row in rows] == pytest.approx([0.5, 0.5])
    assert [row["mean_bout_s"] for row in rows] == pytest.approx([0.1, 0.1])
