"""Labels of individuals that the tracks do not have."""

from __future__ import annotations

from typing import Any

from mosaic_dagster.dataset import IdTags, Labels
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.label_ids import unknown_individuals

NAMES = {1: "walk"}


def labelled(dataset: Any, sequence: str, *spans: tuple[int, int, int, int, int]) -> None:
    dataset.add_labels(EntryKey("g", sequence), Labels.from_spans(list(spans), NAMES))


def test_labels_of_who_is_not_there_are_told(added: Any) -> None:
    """The tracks have individual 0 alone; 7, a tracker's own number, would fit nobody silently."""
    labelled(added, "s1", (0, 2, 7, -1, 1), (2, 3, 0, -1, 1))
    labelled(added, "s2", (0, 2, 0, -1, 1), (2, 3, -1, -1, 1))
    (told,) = unknown_individuals(DatasetRun(added, []))
    assert told.startswith("labels/behavior of g/s1 name the individuals 7; the tracks have 0 (")
    assert "source_track_id" in told


def test_tags_are_compared_as_text(added: Any) -> None:
    tags = IdTags.from_mapping({"0": {"sex": "f"}, "3": {"sex": "m"}})
    added.add_labels(EntryKey("g", "s1"), tags, kind="id_tags")
    (told,) = unknown_individuals(DatasetRun(added, []))
    assert "labels/id_tags of g/s1 name the individuals 3;" in told


def test_no_more_recordings_are_read_than_asked_for(added: Any) -> None:
    """A status of thousands of labelled recordings must not take minutes."""
    for sequence in ("s1", "s2"):
        labelled(added, sequence, (0, 2, 7, -1, 1))
    assert len(unknown_individuals(DatasetRun(added, []))) == 2
    assert len(unknown_individuals(DatasetRun(added, []), most=1)) == 1
