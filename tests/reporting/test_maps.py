"""Maps by the columns of steps."""

from __future__ import annotations

from mosaic_dagster import Dataset, Pipeline
from mosaic_dagster.reporting import Subject
from mosaic_dagster.reporting.behaviour import class_steps, tally
from mosaic_dagster.reporting.maps import map_figures


def test_a_map_is_coloured_by_the_clusters(made: Dataset, pipeline: Pipeline) -> None:
    """The map without its clusters says nothing to a biologist."""
    subject = Subject(made, pipeline)
    told = tally(subject, class_steps(subject)[0])
    assert told is not None
    (figure,) = map_figures(subject, [told])
    assert figure.data.startswith(b"\x89PNG"), figure.missing
    assert "Coloured by kinds." in figure.caption
    assert [t.step for t in figure.traces] == ["spots", "kinds"]


def test_without_clusters_recordings_colour_the_map(made: Dataset, pipeline: Pipeline) -> None:
    (figure,) = map_figures(Subject(made, pipeline), [])
    assert figure.data.startswith(b"\x89PNG"), figure.missing
    assert "Coloured by the recording." in figure.caption
