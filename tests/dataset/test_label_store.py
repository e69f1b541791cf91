"""Labels in the store of a dataset."""

from pathlib import Path

import polars as pl
import pytest

from mosaic_dagster.dataset import Dataset, EntryKey, SourceRule
from mosaic_dagster.dataset.label_store import load_id_labels, save_id_labels
from mosaic_dagster.dataset.labels import IdTags, Labels
from mosaic_dagster.dataset.paths import resolve_path
from mosaic_dagster.errors import EntryExistsError, EntryNotFoundError, LabelsError
from mosaic_dagster.store.feature_registry.records import SourceRow

KEY, OTHER = EntryKey("dish 01", "larva_007"), EntryKey("dish 01", "larva_008")
NAMES = {0: "none", 1: "turn"}
TAGS = {0: {"focal": True, "weight": 20.5}, 1: {"focal": False, "weight": None}}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = Dataset.create(tmp_path, "larvae", fps=16)
    for key in (KEY, OTHER):
        made.add_tracks(key, pl.DataFrame({"frame": [0, 1], "id": 0, "X": 0.0, "Y": [0.0, 1.0]}))
    return made


def labels(*classes: int | None) -> Labels:
    return Labels.per_frame(classes, NAMES, id1=0, fps=16.0)


def stored(dataset: Dataset, key: EntryKey = KEY, kind: str = "behavior") -> Labels:
    found = dataset.labels(key, kind)
    assert isinstance(found, Labels)
    return found


def test_what_was_added_comes_back(dataset: Dataset) -> None:
    """Also for another process, which opens the dataset anew."""
    dataset.add_labels(KEY, labels(1, None, 0))
    again = stored(Dataset.open(dataset.path))
    assert again.events.rows() == [(0, 0, -1, 1), (2, 0, -1, 0)]
    assert (again.names, again.fps) == (NAMES, 16.0)
    assert dataset.label_kinds() == ["behavior"]


def test_labels_are_not_replaced_unasked(dataset: Dataset) -> None:
    """Hours of scoring would be gone."""
    dataset.add_labels(KEY, labels(1))
    with pytest.raises(EntryExistsError, match=r"has labels/behavior already. Use overwrite=True"):
        dataset.add_labels(KEY, labels(0))
    assert stored(dataset).events["label"].to_list() == [1]
    dataset.add_labels(KEY, labels(0), overwrite=True)
    assert stored(dataset).events["label"].to_list() == [0]


def test_entries_and_kinds_are_apart(dataset: Dataset) -> None:
    dataset.add_labels(KEY, labels(1))
    dataset.add_labels(OTHER, labels(0))
    dataset.add_labels(KEY, labels(0, 0), kind="second_rater")
    assert stored(dataset).events.height == 1
    assert stored(dataset, OTHER).events["label"].to_list() == [0]
    assert stored(dataset, kind="second_rater").events.height == 2
    assert dataset.label_kinds() == ["behavior", "second_rater"]


def test_what_is_not_there_is_said(dataset: Dataset) -> None:
    with pytest.raises(EntryNotFoundError, match=r"no labels of kind 'behavior'. .*none at all"):
        dataset.labels(KEY)
    dataset.add_labels(KEY, labels(1), kind="second_rater")
    with pytest.raises(EntryNotFoundError, match="It has labels of: second_rater"):
        dataset.labels(KEY)


def test_labels_of_no_entry_are_refused(dataset: Dataset) -> None:
    """A name spelt otherwise than the tracks' would never be used, and nobody would know."""
    with pytest.raises(EntryNotFoundError, match=r"no entry .*larva_07.*Did you mean .*larva_007"):
        dataset.add_labels(EntryKey("dish 01", "larva_07"), labels(1))
    assert dataset.label_kinds() == []


def test_labels_from_a_file_belong_to_the_file(dataset: Dataset) -> None:
    """The next ingest would bring the file's labels back over those added by hand."""
    at = ("boris_events:x", "0" * 64, 1, 1, 1, "present", "labels/behavior")
    dataset.registry.put_sources([SourceRow("rec/a.csv", str(KEY), *at)])  # type: ignore[arg-type]
    file = resolve_path("rec/a.csv", dataset.base)
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(EntryExistsError, match=r"come from rec/a.csv. Change or remove that file"):
        dataset.add_labels(KEY, labels(1), overwrite=True)
    dataset.add_labels(KEY, labels(1), kind="second_rater")
    dataset.add_labels(OTHER, labels(1))


def test_a_source_of_labels_names_their_kind(dataset: Dataset) -> None:
    """Before anything was read from it."""
    dataset.add_source(SourceRule(path="rec", labels="grooming"))
    assert dataset.label_kinds() == ["grooming"]


@pytest.mark.parametrize("kind", ["", "Behavior", "a-b", "a__b", "../x", "1st"])
def test_a_kind_is_a_name(dataset: Dataset, kind: str) -> None:
    with pytest.raises(LabelsError, match="cannot be a kind of labels"):
        dataset.add_labels(KEY, labels(1), kind=kind)
    with pytest.raises(LabelsError, match="cannot be a kind of labels"):
        dataset.labels(KEY, kind)


def test_labels_change_no_tracks(dataset: Dataset) -> None:
    """Adding labels must not make what was computed from the tracks stale."""
    before = [(row.key, row.tracks_sha256, row.state) for row in dataset.registry.entries()]
    dataset.add_labels(KEY, labels(1))
    assert [(row.key, row.tracks_sha256, row.state) for row in dataset.registry.entries()] == before


def test_tags_come_back_by_id(dataset: Dataset) -> None:
    """Ids as text, values in their types."""
    save_id_labels(dataset, "id_tags", *_names(KEY), TAGS)
    assert load_id_labels(dataset, "id_tags", *_names(KEY)) == {
        str(individual): fields for individual, fields in TAGS.items()
    }
    found = dataset.labels(KEY, "id_tags")
    assert isinstance(found, IdTags)
    assert found.table["weight"].to_list() == [20.5, None]


def test_tags_are_not_replaced_unasked(dataset: Dataset) -> None:
    save_id_labels(dataset, "id_tags", *_names(KEY), TAGS)
    with pytest.raises(EntryExistsError, match="has labels/id_tags already"):
        save_id_labels(dataset, "id_tags", *_names(KEY), {0: {"focal": False}})
    save_id_labels(dataset, "id_tags", *_names(KEY), {0: {"focal": False}}, overwrite=True)
    assert load_id_labels(dataset, "id_tags", *_names(KEY)) == {"0": {"focal": False}}


def test_behaviour_is_no_tags(dataset: Dataset) -> None:
    dataset.add_labels(KEY, labels(1))
    with pytest.raises(LabelsError, match="of behaviour, not tags of individuals"):
        load_id_labels(dataset, "behavior", *_names(KEY))
    with pytest.raises(EntryNotFoundError, match="no labels of kind 'id_tags'"):
        load_id_labels(dataset, "id_tags", *_names(KEY))


def _names(key: EntryKey) -> tuple[str, str]:
    return key.group, key.sequence
