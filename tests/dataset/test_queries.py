"""Finding recordings and labels by name, frame and individual."""

from __future__ import annotations

import polars as pl
import pytest

from mosaic_dagster.dataset import Dataset, EntryKey, Labels
from mosaic_dagster.dataset.label_store import save_id_labels
from mosaic_dagster.dataset.queries import (
    get_label_map,
    get_labels_at_frame,
    get_labels_for_individual,
    list_groups,
    list_sequences,
    query_entries,
)
from mosaic_dagster.errors import EntryNotFoundError, LabelsError, ScopeError

KEY = EntryKey("a", "c1__m1")


@pytest.fixture
def dataset(tmp_path):
    """Entries a/c1__m1, a/c1__m2 and b/c2; the first has labels of 0, of the pair, of all."""
    made = Dataset.create(tmp_path / "w", "social", fps=10.0)
    table = pl.DataFrame({"frame": [0, 1, 2], "id": [0, 0, 0], "X": 0.0, "Y": 0.0})
    for group, sequence in (("a", "c1__m1"), ("a", "c1__m2"), ("b", "c2")):
        made.add_tracks(EntryKey(group, sequence), table)
    spans = [(0, 2, 0, -1, 1), (1, 3, 0, 1, 2), (2, 3, -1, -1, 1)]
    made.add_labels(KEY, Labels.from_spans(spans, {1: "rest", 2: "sniff"}))
    return made


def test_entries_are_found_by_parts_of_their_names(dataset):
    assert list_groups(dataset) == ["a", "b"]
    assert list_sequences(dataset, "a") == ["c1__m1", "c1__m2"]
    assert list_sequences(dataset) == ["c1__m1", "c1__m2", "c2"]
    assert query_entries(dataset, "m2", "endswith") == [EntryKey("a", "c1__m2")]
    assert query_entries(dataset, "c", "startswith") == dataset.entries()
    assert query_entries(dataset, "b", within="group") == [EntryKey("b", "c2")]
    with pytest.raises(ScopeError, match="like"):
        query_entries(dataset, "m2", "like")  # type: ignore[arg-type]


def test_labels_are_found_by_individual_and_frame(dataset):
    """0 rests in frames 0 and 1 and sniffs at 1 in frames 1 and 2; the scene is nobody's."""
    assert get_label_map(dataset, KEY) == {1: "rest", 2: "sniff"}
    own = get_labels_for_individual(dataset, KEY, 0)
    assert own.select("frame", "label").rows() == [(0, 1), (1, 1), (1, 2), (2, 2)]
    assert get_labels_for_individual(dataset, KEY, 0, (0, 1)).height == 1
    assert get_labels_at_frame(dataset, KEY, 2)["label"].to_list() == [2, 1]


def test_what_has_no_labels_is_said(dataset):
    with pytest.raises(EntryNotFoundError, match="none at all"):
        get_label_map(dataset, EntryKey("b", "c2"))
    save_id_labels(dataset, "id_tags", "b", "c2", {0: {"sex": "f"}})
    with pytest.raises(LabelsError, match="load_id_labels"):
        get_label_map(dataset, EntryKey("b", "c2"), "id_tags")
