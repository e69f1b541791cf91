"""The summary in sentences."""

from __future__ import annotations

from collections.abc import Callable

from mosaic_dagster import Dataset, Pipeline
from mosaic_dagster.reporting import Subject, gather
from mosaic_dagster.reporting.behaviour import class_steps, tally
from mosaic_dagster.reporting.trained import trainings
from mosaic_dagster.reporting.words import state_sentence, summary


def test_the_summary_says_what_was_run_on_what(made: Dataset, pipeline: Pipeline) -> None:
    """A biologist reads one paragraph and knows; each number has its digest behind it."""
    subject = Subject(made, pipeline)
    told = tally(subject, class_steps(subject)[0])
    assert told is not None
    sentences = summary(gather(subject), [told], list(trainings(subject)))
    text = " ".join(sentence for sentence, _ in sentences)
    assert "4 recordings in 2 groups (a: 2, b: 2), filmed at 10 frames per second" in text
    assert "with coordinates in mm" in text
    assert "32 rows, one for each animal in each frame" in text
    assert "All 19 results are up to date." in text
    assert "kinds sorts behaviour into 2 clusters; the largest, 0, takes 50 % of 32 rows" in text
    assert "the model guess reached f1_macro 0.8 on held-out rows, the mean of 2 folds" in text
    behind = {trace.step for _, traces in sentences for trace in traces}
    assert behind == {"tracks", "kinds", "models"}


def test_what_is_late_is_said(
    lab: Dataset, pipeline: Pipeline, run: Callable[..., None], broken: set[str]
) -> None:
    """A page that looks finished and is not would end in a paper."""
    nothing = state_sentence(gather(Subject(lab, pipeline)))
    assert nothing.startswith("4 of 19 results are up to date; 15 ")
    broken.add("two")
    run(pipeline, lab)
    assert "1 failed" in state_sentence(gather(Subject(lab, pipeline)))
