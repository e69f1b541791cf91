"""Facts about individuals."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset.labels import IdTags
from mosaic_dagster.errors import LabelsError

FIELDS = st.fixed_dictionaries(
    {"focal": st.booleans(), "weight": st.floats(-1e9, 1e9), "sex": st.sampled_from("fm")}
)


@given(st.dictionaries(st.text("abc0123", min_size=1), FIELDS, max_size=5))
def test_tags_come_back_as_they_were_given(tags: dict[str, dict[str, Any]]) -> None:
    assert IdTags.from_mapping(tags).as_mapping() == tags


def test_values_keep_their_type() -> None:
    """A weight of 20.5 g that becomes 20 is a wrong weight; ids are compared as text."""
    tags = IdTags.from_mapping({3: {"weight": 20.5, "focal": True}, 1: {"weight": 30.0}})
    assert tags.table.schema == {"id": pl.String, "weight": pl.Float64, "focal": pl.Boolean}
    assert tags.as_mapping() == {
        "3": {"weight": 20.5, "focal": True},
        "1": {"weight": 30.0, "focal": None},
    }
    assert tags.fields == ["weight", "focal"]
    assert IdTags(pl.DataFrame({"sex": ["f"], "id": [7]})).table.row(0) == ("7", "f")


def test_facts_of_the_recording_are_no_fields() -> None:
    """As a field they would need a value for every individual."""
    tags = IdTags.from_mapping({0: {"sex": "f", "meta__rig": "B"}, 1: {"meta__rig": "B"}})
    assert tags.fields == ["sex"]
    assert tags.meta == {"rig": "B"}


def test_facts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(LabelsError, match="say 'B' and 'C' for 'meta__rig'"):
        IdTags.from_mapping({0: {"meta__rig": "B"}, 1: {"meta__rig": "C"}})


def test_nobody_tagged_is_a_table_too() -> None:
    assert IdTags.from_mapping({}).as_mapping() == {}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": ["a"]}, "no column 'id'; they have name"),
        ({"id": ["a", None], "x": [1, 2]}, "has no id"),
        ({"id": ["a", "b", "a"], "x": [1, 2, 3]}, "'a' has two rows"),
        ({"id": ["a"], "frame": [1]}, "cannot be called 'frame'"),
        ({"id": ["a"], "meta__rig": [1]}, "cannot be called 'meta__rig'"),
    ],
)
def test_impossible_tables_are_refused(table: dict[str, list[Any]], message: str) -> None:
    """Two rows would give a track twice its rows; a tag 'frame' would hide the frames."""
    with pytest.raises(LabelsError, match=message):
        IdTags(pl.DataFrame(table))


@pytest.mark.parametrize("other", [{"a": 1}, "x", True, [1.0], object()])
def test_values_of_types_that_do_not_go_together_are_refused(other: object) -> None:
    """In one column 20.5 would become null, or the text '20.5'."""
    with pytest.raises(LabelsError, match=r"have 'weight' as 20.5 and as "):
        IdTags.from_mapping({0: {"weight": 20.5}, 1: {"weight": None}, 2: {"weight": other}})


def test_what_no_table_can_hold_is_refused() -> None:
    with pytest.raises(LabelsError, match="cannot be made a table"):
        IdTags.from_mapping({0: {"weight": [1, "x"]}})
