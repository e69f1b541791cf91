"""Pictures of recordings and of classes over time."""

from __future__ import annotations

import polars as pl

from mosaic_dagster import Dataset, Pipeline
from mosaic_dagster.reporting import Subject
from mosaic_dagster.reporting.behaviour import class_steps, tally
from mosaic_dagster.reporting.pictures import (
    Figure,
    drawn,
    graph_figure,
    recordings_figure,
    thinned,
    time_figures,
)

PNG = b"\x89PNG"


def test_paths_are_coloured_by_the_animals_cluster(made: Dataset, pipeline: Pipeline) -> None:
    """Both steps stand behind the picture, each with the recordings that are in it."""
    subject = Subject(made, pipeline)
    told = tally(subject, class_steps(subject)[0])
    assert told is not None
    (figure,) = recordings_figure(subject, [told])
    assert figure.data.startswith(PNG), figure.missing
    assert "the class of step kinds" in figure.caption
    assert [(t.step, t.results) for t in figure.traces] == [("tracks", 4), ("kinds", 4)]


def test_each_animal_has_a_row_over_time(made: Dataset, pipeline: Pipeline) -> None:
    subject = Subject(made, pipeline)
    told = tally(subject, class_steps(subject)[0])
    assert told is not None
    (figure,) = time_figures(subject, [told])
    assert figure.data.startswith(PNG), figure.missing
    assert figure.alt


def test_the_graph_names_the_steps(made: Dataset, pipeline: Pipeline) -> None:
    figure = graph_figure(Subject(made, pipeline))
    assert figure.data.startswith(PNG)
    assert "5 steps" in figure.alt


def test_a_picture_that_fails_spoils_nothing_else() -> None:
    """One odd table must not cost the whole page; what went wrong is told in its place."""

    def draw() -> bytes:
        msg = "odd table"
        raise ValueError(msg)

    figure = drawn(Figure("T", "C", "A", ()), draw)
    assert figure.data == b""
    assert "ValueError: odd table" in figure.missing


def test_long_recordings_are_thinned_by_frame() -> None:
    """Every third of 30 frames, all animals of a frame together: paths stay joined."""
    frames = [f for f in range(30) for _ in range(2)]
    table = pl.DataFrame({"frame": frames, "id": [0, 1] * 30})
    kept = thinned(table, most=20)
    assert kept["frame"].unique().sort().to_list() == list(range(0, 30, 3))
    assert kept.height == 20
    assert thinned(table, most=60).height == 60
