"""What fits and callbacks were made from, also while nothing is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mosaic_dagster import CallbackStep, Dataset
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.why import explain
from mosaic_dagster.store import StepOutput


def _note(dataset: Dataset, results: Mapping[str, Any]) -> StepOutput:
    return StepOutput(metadata={"read": len(results)})


def test_a_fresh_fit_names_what_it_saw(added, layered, run):
    """The state of `mean` came from the tables of `shift`: all of them, in the order of keys."""
    run(layered(), added)
    looked = DatasetRun(added, [layered()])
    keys = list(looked.tracks.keys)
    told = explain(looked, "layered", "mean", "")
    assert told.state == "fresh"
    assert told.inputs == [("shift", keys)]
    assert told.to_dict()["inputs"] == [{"step": "shift", "entries": keys}]
    assert explain(looked, "layered", "shift", keys[0]).inputs == []


def test_a_fresh_callback_names_what_it_could_read(added, layered, run):
    """A fitted step gives it the state (an empty key) and the tables; tracks give tables."""
    pipeline = layered().add(CallbackStep("note", _note, ["tracks", "mean"]))
    run(pipeline, added)
    looked = DatasetRun(added, [pipeline])
    keys = list(looked.tracks.keys)
    told = explain(looked, "layered", "note", "")
    assert (told.state, told.inputs) == ("fresh", [("tracks", keys), ("mean", ["", *keys])])


def test_a_fit_that_is_out_of_date_names_no_inputs(added, layered, run, toy):
    """What it would be made from now is not what it was made from; the changes tell that."""
    run(layered(), added)
    looked = DatasetRun(added, [layered(shift={"by": 7.0})])
    told = explain(looked, "layered", "mean", "")
    assert (told.state, told.inputs) == ("stale", [])
