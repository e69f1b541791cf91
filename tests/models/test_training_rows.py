"""Which rows a model learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset import IdTags, Labels
from mosaic_dagster.errors import (
    FeatureError,
    FitError,
    LabelsError,
    MissingColumnError,
    ParamsError,
)
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.models.training_rows import LabelledTables, even_quotas, read_training_rows

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


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(0, 200))
def test_quotas_use_up_the_total_and_cut_the_largest_first(counts: list[int], total: int) -> None:
    """No class that was cut has fewer than one that was not, but for one row."""
    quotas = even_quotas(np.array(counts), total)
    assert quotas.sum() == min(total, sum(counts))
    assert (quotas <= counts).all()
    cut = quotas[quotas < counts]
    if len(cut):
        assert cut.max() - cut.min() <= 1
        assert quotas.max() <= cut.min() + 1


def test_quotas_by_hand() -> None:
    """12 of 100, 3 and 10 rows: 3 whole, the other two share 9 as 4 and 5."""
    assert even_quotas(np.array([100, 3, 10]), 12).tolist() == [5, 3, 4]


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
