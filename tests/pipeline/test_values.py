"""Columns of several steps in one table: what people take to their own statistics."""

from __future__ import annotations

import pytest

from mosaic_dagster import EntryKey
from mosaic_dagster.dataset import Labels, Scope
from mosaic_dagster.errors import (
    MissingColumnError,
    ParamsError,
    PipelineError,
    UnknownRunError,
    UnknownStepError,
)
from mosaic_dagster.features import LabelsSource, ResultColumn, StepRef, TracksColumn
from mosaic_dagster.pipeline import load_values

SOURCES = [
    StepRef("shift", column="x"),
    TracksColumn(column="X"),
    StepRef("scaled", column="x"),
    LabelsSource(kind="behavior"),
]


@pytest.fixture
def made(added, layered, run):
    pipeline = layered()
    run(pipeline, added)
    labels = Labels.from_spans([(0, 2, 0, -1, 1)], {1: "walk"})
    added.add_labels(EntryKey("g", "s1"), labels)
    return added, pipeline


def test_columns_of_one_name_are_told_apart_and_unlabelled_is_null(made):
    """X starts at 0, 10, 20 and shift adds 1; frames 0 and 1 of s1 are labelled."""
    dataset, pipeline = made
    table = load_values(dataset, SOURCES, pipeline)
    assert [c for c in table.columns if c not in ("frame", "time", "id", "fps", "group")] == [
        "x", "X", "x-1", "sequence", "labels-behavior",
    ]  # fmt: skip
    assert table.height == 12
    assert (table["x"] - table["X"]).unique().to_list() == [1.0]
    labels = table.filter(sequence="s1")["labels-behavior"].to_list()
    assert labels == [1, 1, None, None]
    assert table.filter(sequence="s2")["labels-behavior"].to_list() == [None] * 4


def test_a_scope_chooses_recordings(made):
    dataset, pipeline = made
    table = load_values(dataset, SOURCES, pipeline, Scope(entries=["g/s2"]))
    assert table["sequence"].unique().to_list() == ["s2"]


def test_runs_are_found_without_a_pipeline(made):
    """Notebooks often know a feature's name alone."""
    dataset, pipeline = made
    by_run = load_values(dataset, [ResultColumn(feature="toy-shift", column="x")])
    by_step = load_values(dataset, [StepRef("shift", column="x")], pipeline)
    assert by_run.equals(by_step)


def test_what_cannot_be_gathered_is_said(made):
    dataset, pipeline = made
    with pytest.raises(ParamsError, match="beside labels"):
        load_values(dataset, [LabelsSource(kind="behavior")])
    with pytest.raises(ParamsError, match="names no column"):
        load_values(dataset, [StepRef("shift")], pipeline)
    with pytest.raises(UnknownStepError, match="shift"):
        load_values(dataset, [StepRef("shft", column="x")], pipeline)
    with pytest.raises(MissingColumnError, match="no column 'y'"):
        load_values(dataset, [StepRef("shift", column="y")], pipeline)
    with pytest.raises(ParamsError, match="Its kinds are: behavior"):
        load_values(dataset, [SOURCES[0], LabelsSource(kind="behaviour")], pipeline)
    with pytest.raises(ParamsError, match="always there"):
        load_values(dataset, [TracksColumn(column="time")])
    with pytest.raises(ParamsError, match="twice"):
        load_values(dataset, [SOURCES[1], SOURCES[3], SOURCES[3]])
    with pytest.raises(UnknownRunError, match="no run 'zz'"):
        load_values(dataset, [ResultColumn(feature="toy-shift", run_id="zz", column="x")])


def test_what_is_only_out_of_date_is_not_left_out(made, toy):
    """A figure of eleven recordings must not turn into one of ten without a word."""
    dataset, pipeline = made
    dataset.add_tracks(EntryKey("g", "s2"), toy.tracks(99.0), overwrite=True)
    with pytest.raises(PipelineError, match=r"'shift' is stale for g/s2, and 1 of 3"):
        load_values(dataset, SOURCES, pipeline)
    rest = load_values(dataset, SOURCES[:2], pipeline, Scope(entries=["g/s1", "g/s3"]))
    assert rest["sequence"].unique().sort().to_list() == ["s1", "s3"]
