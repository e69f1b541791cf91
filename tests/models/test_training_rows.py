"""Which rows a model learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.dataset import IdTags, Labels
from mosaic_dagster.errors import (
    EntryNotFoundError,
    FeatureError,
    FitError,
    LabelsError,
    MissingColumnError,
    ParamsError,
)
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.models.training_rows import LabelledTables, read_training_rows

S0, S1 = EntryKey("g0", "s0"), EntryKey("g1", "s1")


def test_only_labelled_rows_are_learned_from(toys: Any) -> None:
    """60 frames of two animals: 55 of animal 0 are labelled, none of animal 1.

    Bouts of ten are 1 3 8 1 3 8, the last cut to 5: 20, 20 and 15 frames.
    """
    rows = read_training_rows(LabelledTables(*toys(2)))
    assert rows.columns == ("flat", "value")
    assert rows.counts == {S0: {1: 20, 3: 20, 8: 15}, S1: {1: 20, 3: 20, 8: 15}}
    assert rows.totals == {1: 40, 3: 40, 8: 30}
    assert len(rows.labels) == 110
    assert (rows.values[:, 1] == 10 * rows.labels).all()
    assert rows.of([S1]).sum() == 55


def test_a_background_class_labels_the_rest_of_labelled_recordings_only(toys: Any) -> None:
    """Two recordings of 120 rows are labelled throughout; the third was never looked at."""
    features, labels = toys(3)
    del labels.values[EntryKey("g0", "s2")]
    rows = read_training_rows(LabelledTables(features, labels, background=1))
    assert sum(rows.totals.values()) == 240
    assert rows.keys == [S0, S1]


def test_a_sample_keeps_rare_classes_and_is_the_same_every_time(toys: Any) -> None:
    """Two recordings may give 24 rows each: 8 of every class."""
    rows = read_training_rows(LabelledTables(*toys(2)), max_rows=48)
    assert np.unique(rows.labels, return_counts=True)[1].tolist() == [16, 16, 16]
    assert rows.totals == {1: 40, 3: 40, 8: 30}
    again = read_training_rows(LabelledTables(*toys(2)), max_rows=48)
    assert np.array_equal(rows.values, again.values)
    features, labels = toys(2)
    features.values = dict(reversed(features.values.items()))
    turned = read_training_rows(LabelledTables(features, labels), max_rows=48)
    assert np.array_equal(rows.values, turned.values)


def test_each_table_is_read_once(toys: Any) -> None:
    """Tables of 500 columns are gigabytes."""
    features, labels = toys(3)
    read_training_rows(LabelledTables(features, labels))
    assert sorted(features.reads) == sorted(features.keys())


def test_labels_that_match_nothing_are_told(toys: Any) -> None:
    """Ids of another numbering would leave a recording out without a word."""
    features, labels = toys(2)
    labels.values[S1] = Labels.per_frame([1, 3], {1: "rest", 3: "walk"}, id1=99)
    rows = read_training_rows(LabelledTables(features, labels))
    assert rows.unmatched == (S1,)
    labels.values[S0] = labels.values[S1]
    with pytest.raises(FitError, match="2 recordings have labels, and none"):
        read_training_rows(LabelledTables(features, labels))
    with pytest.raises(FitError, match="No recording has labels"):
        read_training_rows(LabelledTables(features, type(labels)({})))


def test_tables_and_labels_that_do_not_fit_say_where(toys: Any) -> None:
    features, labels = toys(2)
    tables = LabelledTables(features, labels)
    with pytest.raises(ParamsError, match="max_train_rows is 0"):
        read_training_rows(tables, 0)
    whole = features.values[S1]
    features.values[S1] = whole.drop("value")
    with pytest.raises(MissingColumnError, match="g1/s1 has no column 'value'"):
        read_training_rows(tables)
    features.values[S1] = pl.concat([whole, whole])
    with pytest.raises(FeatureError, match="more than one row"):
        read_training_rows(tables)
    features.values = {S0: whole.drop("value", "flat")}
    with pytest.raises(FitError, match="no value columns"):
        read_training_rows(tables)
    features.values = {S0: whole, S1: whole}
    labels.values[S1] = Labels.per_frame([1], {1: "sleep"}, id1=0)
    with pytest.raises(LabelsError, match="class 1 is 'rest', and in g1/s1 it is 'sleep'"):
        read_training_rows(tables)
    labels.values[S1] = IdTags.from_mapping({0: {"sex": "f"}})
    with pytest.raises(LabelsError, match="IdTags"):
        read_training_rows(tables)


def test_a_recording_whose_labels_cannot_be_read_is_left_out(toys: Any, monkeypatch: Any) -> None:
    """One bad file of labels would stop a training on a hundred good ones."""
    features, labels = toys(3)
    read = labels.labels

    def broken(key: EntryKey) -> Any:
        if key == S1:
            msg = f"The labels of {key} are failed."
            raise EntryNotFoundError(msg)
        return read(key)

    monkeypatch.setattr(labels, "labels", broken)
    rows = read_training_rows(LabelledTables(features, labels))
    assert S1 not in rows.keys
    assert len(rows.keys) == 2
    assert rows.left_out == ["excluded: g1/s1 (their labels cannot be read)"]
    features.values, labels.values = {S1: features.values[S1]}, {}
    with pytest.raises(FitError, match="labels of 1 recordings cannot be read, and no other"):
        read_training_rows(LabelledTables(features, labels))


def test_labels_without_a_table_are_not_called_missing_labels(toys: Any) -> None:
    """Somebody would look for labels that are there, though the step of the features failed."""
    features, labels = toys(2)
    whole = dict(features.values)
    del features.values[S1]
    rows = read_training_rows(LabelledTables(features, labels))
    assert rows.left_out == ["excluded: g1/s1 (they have no table)"]
    features.values = {}
    with pytest.raises(FitError, match=r"2 recordings have labels, .*no table of the features"):
        read_training_rows(LabelledTables(features, labels))
    features.values, labels.values = {S1: whole[S1]}, {S0: labels.values[S0]}
    with pytest.raises(FitError, match=r"1 recordings have labels, .*1 others have one"):
        read_training_rows(LabelledTables(features, labels))


def test_a_background_without_a_name_is_called_background(toys: Any) -> None:
    """Class 0 of 130 unlabelled rows: 240 less 2 · 55 labelled."""
    rows = read_training_rows(LabelledTables(*toys(2), background=0))
    assert rows.names[0] == "background"
    assert rows.totals == {0: 130, 1: 40, 3: 40, 8: 30}


def test_labels_of_other_ids_are_no_background(toys: Any) -> None:
    """A model would learn that 120 rows of all kinds are nothing.

    Labels without a single event are: somebody looked and saw nothing.
    """
    features, labels = toys(2)
    labels.values[S1] = Labels.per_frame([1, 3], {1: "rest", 3: "walk"}, id1=99)
    rows = read_training_rows(LabelledTables(features, labels, background=0))
    assert rows.keys == [S0]
    assert rows.left_out == ["excluded: g1/s1 (their labels match no row)"]
    labels.values[S1] = Labels.per_frame([], {1: "rest"}, id1=99)
    rows = read_training_rows(LabelledTables(features, labels, background=0))
    assert rows.counts[S1] == {0: 120}


def test_a_class_of_one_recording_is_kept_under_a_small_budget(toys: Any) -> None:
    """4 recordings, 9 rows: 3 of each class, though 9 / 4 are 2 a recording and 2 < 3 classes."""
    features, labels = toys(4)
    for key in list(labels.values)[1:]:
        events = labels.values[key].events.filter(pl.col("label") != 8)
        labels.values[key] = Labels(events, labels.values[key].names)
    rows = read_training_rows(LabelledTables(features, labels), max_rows=9)
    assert np.unique(rows.labels, return_counts=True)[1].tolist() == [3, 3, 3]
    assert len(np.unique(rows.entry)) == 4


def test_a_budget_below_the_number_of_classes_is_refused(toys: Any) -> None:
    with pytest.raises(ParamsError, match=r"is 2, and 3 classes .*Raise max_train_rows"):
        read_training_rows(LabelledTables(*toys(2)), 2)
    with pytest.raises(ParamsError, match="max_train_rows is '5'"):
        read_training_rows(LabelledTables(*toys(2)), "5")  # type: ignore[arg-type]
