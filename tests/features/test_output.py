"""Tables of features have one shape, whoever makes them."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features import feature_columns, with_values
from mosaic_dagster.features.output import drop_values, natural_key, values_schema

TABLE = pl.DataFrame(
    {"sequence": ["s"], "f10": [1.0], "f2": [2.0], "id": [0], "frame": [0], "moves": [True],
     "name": ["n"], "label": [1], "split": [0], "fps": [10.0], "time": [0.0], "count": [3]}
)  # fmt: skip


def test_features_are_the_numeric_columns_that_say_nothing_about_the_row():
    """A frame number or a label among the features would be learned from."""
    assert feature_columns(TABLE) == ["count", "f2", "f10"]
    assert feature_columns(dict(TABLE.schema)) == ["count", "f2", "f10"]


def test_numbers_in_names_count_as_numbers():
    names = ["f10", "f2", "f", "1f", "f2b10", "f2b9"]
    assert sorted(names, key=natural_key) == ["f", "f2", "f2b9", "f2b10", "f10", "1f"]


@given(st.lists(st.text(max_size=8)))
def test_any_names_have_an_order(names):
    """Column names come from labs: superscripts are digits to Python and no numbers."""
    different = list({natural_key(name): name for name in names}.values())
    backwards = different[::-1]
    assert sorted(different, key=natural_key) == sorted(backwards, key=natural_key)
    assert natural_key("v²")


def test_values_stand_between_keys_and_origin():
    made = with_values(TABLE, {"v": np.array([4.0]), "w": pl.Series([5])})
    assert made.columns == ["frame", "time", "id", "v", "w", "fps", "sequence"]
    assert made.row(0) == (0, 0.0, 0, 4.0, 5, 10.0, "s")


def test_the_schema_can_be_told_without_making_the_table():
    """So that an empty recording has the columns of the others."""
    made = with_values(TABLE, {"v": np.array([4.0])})
    assert values_schema(TABLE.schema, {"v": pl.Float64()}) == made.schema


def test_keys_are_never_dropped():
    assert "frame" in drop_values(TABLE, ["frame", "f2"]).columns
    assert "f2" not in drop_values(TABLE, ["frame", "f2"]).columns
