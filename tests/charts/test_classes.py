"""Classes of columns: order, names, nulls."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.charts.canvas import shorten
from mosaic_dagster.charts.classes import class_column, find_classes
from mosaic_dagster.errors import ParamsError

NAMES = {0: "rest", 1: "attack"}


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-5, 200)))
def test_codes_lead_back_to_the_values(values):
    """Else a frame is drawn in the colour of another class."""
    column = class_column(pl.Series("c", values, dtype=pl.Int64))
    classes = find_classes([column])
    back = [None if code < 0 else classes.values[code] for code in classes.codes(column)]
    assert back == values


def test_clusters_stored_as_floats_are_whole_numbers_and_nan_is_null():
    """A join leaves 3.0 and NaN where there was 3 and nothing; keys must not say 3.0."""
    column = class_column(pl.Series("c", [3.0, float("nan"), None, -0.0]))
    assert column.to_list() == [3, None, None, 0]


@pytest.mark.parametrize("values", [[0.5], [float("inf")], [[1]]])
def test_what_is_no_class_is_refused(values):
    """Each speed would become a class of its own."""
    with pytest.raises(ParamsError, match="'c'"):
        class_column(pl.Series("c", values))


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["b", "a"])])
def test_text_of_every_type_is_text(dtype):
    """A category is as good as its name."""
    column = class_column(pl.Series("c", ["b", None], dtype=dtype))
    assert (column.dtype, column.to_list()) == (pl.String, ["b", None])


def test_numbers_in_text_are_in_their_order():
    """mouse 10 comes after mouse 9 for everyone but a sort of text."""
    classes = find_classes([pl.Series(["m10", "m9", "2", "a"])])
    assert classes.values == ("2", "a", "m9", "m10")


def test_named_classes_come_first_and_stay_when_they_do_not_occur():
    """A recording without attacks must not give the colour of attack to rest."""
    column = class_column(pl.Series([0, 7, None]), NAMES)
    assert column.to_list() == ["rest", "7", None]
    classes = find_classes([column], NAMES)
    assert classes.names == ["rest", "attack", "7"]
    assert classes.codes(column).tolist() == [0, 2, -1]


def test_text_can_be_named_too():
    """Labels as text "0", "1" with the class map of the dataset."""
    assert class_column(pl.Series(["1", "x"]), NAMES).to_list() == ["attack", "x"]


def test_numbers_and_text_of_two_columns_share_their_classes():
    """Truth as numbers beside a prediction as text: equal names, equal colours."""
    numbers, text = class_column(pl.Series([2, 10])), class_column(pl.Series(["2"]))
    classes = find_classes([numbers, text])
    assert classes.values == ("2", "10")
    assert classes.codes(numbers).tolist() == [0, 1]
    assert classes.codes(text).tolist() == [0]


def test_long_names_keep_both_ends():
    """Names of recordings differ at their end: 3 letters, the dots, 4 letters."""
    assert shorten("abcdefghijkl", 8) == "abc…ijkl"
    assert shorten("abcdefgh", 8) == "abcdefgh"
