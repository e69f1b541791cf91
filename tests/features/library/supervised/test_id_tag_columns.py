"""id-tag-columns: a tag on the wrong animal turns a control into a treatment."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset.labels import IdTags, Labels, encode_labels
from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.supervised.id_tag_columns import IdTagColumns, id_texts
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.testing import check_feature, toy_tracks

KEY = EntryKey("toy", "walk")
TAGS = {
    "0": {"focal": True, "sex": "f", "mass": 1.5, "meta__room": "B"},
    "1": {"focal": False, "sex": "m", "mass": None},
}
KEYS = ["frame", "time", "id"]
ORIGIN = ["fps", "group", "sequence"]


def ready(folder: Path, tags: IdTags | Labels | None, **params: object) -> IdTagColumns:
    files = {}
    if tags is not None:
        files[KEY] = folder / "tags.parquet"
        files[KEY].write_bytes(encode_labels(tags, KEY))
    feature = IdTagColumns(params=params)
    assert feature.load_state(None, {}, {"labels": files})
    return feature


def test_tags_are_given_to_the_rows_of_their_animal_and_keep_their_types(tmp_path):
    """Frames 0 and 1 of animals 0, 1 and 2; 2 has no tags, ``meta__room`` is no tag."""
    made = ready(tmp_path, IdTags.from_mapping(TAGS)).apply(toy_tracks(2, 3))
    assert made.table.columns == [*KEYS, "focal", "sex", "mass", *ORIGIN]
    assert made.table["focal"].to_list() == [True, False, None] * 2
    assert made.table["mass"].to_list() == [1.5, None, None] * 2
    types = [made.table.schema[c] for c in ("focal", "sex", "mass")]
    assert types == [pl.Boolean, pl.String, pl.Float64]
    assert made.notes == {}


def test_tags_follow_the_rows_in_any_order(tmp_path):
    tracks = toy_tracks(3, 2)
    feature = ready(tmp_path, IdTags.from_mapping(TAGS))
    backwards = feature.apply(tracks.reverse()).table
    assert backwards.equals(feature.apply(tracks).table.reverse())


def test_fields_are_chosen_ordered_and_renamed(tmp_path):
    params = {"fields": ("sex", "focal"), "field_renames": {"focal": "is_focal"}}
    made = ready(tmp_path, IdTags.from_mapping(TAGS), **params).apply(toy_tracks(1, 1))
    assert made.table.columns == [*KEYS, "sex", "is_focal", *ORIGIN]
    assert made.table.row(0)[3:5] == ("f", True)


def test_a_recording_without_tags_keeps_its_rows(tmp_path):
    """An empty table would make the recording vanish from everything below."""
    feature = ready(tmp_path, None, fields=("sex",))
    made = feature.apply(toy_tracks(2, 2))
    assert made.table["sex"].to_list() == [None] * 4
    assert made.table.schema["sex"] == pl.Null
    assert made.notes == {"warning": "this recording has no id tags"}
    assert ready(tmp_path, None).apply(toy_tracks(2, 2)).table.columns == [*KEYS, *ORIGIN]


def test_a_recording_of_another_entry_has_no_tags(tmp_path):
    """The tags of one recording must not be taken for another's animals of the same numbers."""
    feature = ready(tmp_path, IdTags.from_mapping(TAGS), fields=("sex",))
    other = toy_tracks(1, 2).with_columns(sequence=pl.lit("run"))
    assert feature.apply(other).table["sex"].to_list() == [None, None]


def test_a_field_that_the_file_lacks_is_null_and_said(tmp_path):
    made = ready(tmp_path, IdTags.from_mapping(TAGS), fields=("sex", "age")).apply(toy_tracks(1, 2))
    assert made.table["age"].to_list() == [None, None]
    assert made.table["sex"].to_list() == ["f", "m"]
    assert made.notes == {"warning": "the id tags of this recording have no field age"}


def test_contract_without_tags():
    result = check_feature(IdTagColumns, toy_tracks(), {"fields": ("sex", "age")})
    assert result.columns == [*KEYS, "sex", "age", *ORIGIN]


def test_columns_are_unknown_where_the_tags_decide(tmp_path):
    schema = toy_tracks().schema
    assert IdTagColumns().output_schema(schema) is None
    assert ready(tmp_path, IdTags.from_mapping(TAGS)).output_schema(schema) is None


def test_empty_and_single_tables_have_the_same_columns(tmp_path):
    feature = ready(tmp_path, IdTags.from_mapping(TAGS))
    tracks = toy_tracks(4, 2)
    schema = feature.apply(tracks).table.schema
    assert feature.apply(tracks.clear()).table.schema == schema
    assert feature.apply(tracks.head(1)).table.schema == schema


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pl.Series([3, -1], dtype=pl.Int32), ["3", "-1"]),
        (pl.Series([3.0, None, -1.0]), ["3", None, "-1"]),
        (pl.Series([3.0, float("nan")]), ["3", None]),
        (pl.Series(["3", "ant"]), ["3", "ant"]),
        (pl.Series([1.5]), ["1.5"]),
    ],
)
def test_ids_are_compared_as_text(ids, expected):
    """Animal 3 is 3, 3.0 and "3", whatever the tracker wrote."""
    assert id_texts(ids).to_list() == expected


@given(st.sets(st.integers(-(10**12), 10**12), min_size=1, max_size=8))
def test_any_whole_numbers_are_ids(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("tags")
    tags = IdTags.from_mapping({i: {"twice": 2 * i} for i in ids})
    tracks = toy_tracks(1, len(ids)).with_columns(id=pl.Series(sorted(ids)))
    made = ready(folder, tags).apply(tracks).table
    assert made["twice"].to_list() == [2 * i for i in sorted(ids)]


def test_what_cannot_be_done_is_refused(tmp_path):
    behaviour = Labels.per_frame([0], {0: "rest"})
    with pytest.raises(FeatureError, match="'id_tags' are behaviour, not id tags"):
        ready(tmp_path, behaviour).apply(toy_tracks())
    with pytest.raises(MissingColumnError, match="needs the column"):
        ready(tmp_path, None).apply(toy_tracks().drop("id"))
    clash = ready(tmp_path, IdTags.from_mapping(TAGS), field_renames={"sex": "mass"})
    with pytest.raises(ParamsError, match="Two tags would be in the column 'mass'"):
        clash.apply(toy_tracks())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fields": ()}, "fields"),
        ({"fields": ("a", "a")}, "'a' is taken twice"),
        ({"fields": ("frame",)}, "'frame' is taken twice or is a key column"),
        ({"fields": ("a", "b"), "field_renames": {"a": "b"}}, "'b' is taken twice"),
        ({"fields": ("a",), "field_renames": {"z": "b"}}, "'z', which is not among the fields"),
        ({"field_renames": {"a": "id"}}, "the name 'id', which is taken"),
        ({"labels": {"kind": "Not A Kind"}}, "kind"),
    ],
)
def test_wrong_parameters_are_refused(params, message):
    with pytest.raises(ParamsError, match=message):
        IdTagColumns(params=params)
