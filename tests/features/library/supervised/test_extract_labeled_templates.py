"""extract-labeled-templates: what it calls attack is all that a classifier learns of attack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.dataset.labels import IdTags, Labels, encode_labels
from mosaic_dagster.errors import FeatureError, FitError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.supervised.extract_labeled_templates import (
    ExtractLabeledTemplates,
)
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.testing import check_feature, toy_stream, toy_values

NAMES = {0: "attack", 1: "groom", 5: "rest"}
Tables = Mapping[EntryKey, pl.DataFrame]
ONE = EntryKey("g", "s0")


def table(key: EntryKey, n: int, **columns: object) -> pl.DataFrame:
    """Row i of entry s<k> has v = k + i/1000, so a template says where it comes from."""
    values = {"v": int(key.sequence[1:]) + np.arange(n + 1)[:n] / 1000, "w": np.ones(n), **columns}
    origin = (pl.lit(key.group).alias("group"), pl.lit(key.sequence).alias("sequence"))
    return toy_values(values).with_columns(origin)


class World:
    """Recordings and their labels, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: dict[EntryKey, pl.DataFrame] = {}
        self.files: dict[EntryKey, Path] = {}

    def add(self, key: EntryKey, classes: list[int | None], **columns: object) -> World:
        self.tables[key] = table(key, len(classes), **columns)
        return self.label(key, Labels.per_frame(classes, NAMES))

    def label(self, key: EntryKey, labels: Labels | IdTags) -> World:
        path = self.folder / f"{key.group}-{key.sequence}.parquet"
        path.write_bytes(encode_labels(labels, key))
        self.files[key] = path
        return self

    def fit(self, **params: object) -> ExtractLabeledTemplates:
        feature = ExtractLabeledTemplates(params=params)
        assert not feature.load_state(None, {}, {"labels": self.files})
        feature.fit(toy_stream(self.tables))
        return feature


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


@pytest.fixture
def five(world) -> World:
    """Five recordings of 20 rows: 8 of attack, 6 of groom, 6 unlabelled."""
    for i in range(5):
        world.add(EntryKey(f"g{i % 2}", f"s{i}"), [0] * 8 + [1] * 6 + [None] * 6)
    return world


def sources(feature: ExtractLabeledTemplates, split: str) -> set[str]:
    assert feature.templates is not None
    assert feature.rows is not None
    both = pl.concat([feature.rows, feature.templates], how="horizontal")
    return set(both.filter(pl.col("split") == split)["sequence"])


def counts(feature: ExtractLabeledTemplates) -> dict[tuple[str, int], int]:
    assert feature.templates is not None
    rows = feature.templates.group_by("split", "label").len().iter_rows()
    return {(split, label): n for split, label, n in rows}


@pytest.mark.parametrize("strategy", ["random", "farthest_first"])
@pytest.mark.parametrize("allocation", ["reservoir", "exact"])
def test_contract(five, strategy, allocation):
    """The same bytes again, in another process and from the saved state; the schema is known."""

    class Labelled(ExtractLabeledTemplates):
        def load_state(self, folder, artifacts, lookups):
            return super().load_state(folder, artifacts, {"labels": five.files})

    pool = {"size": 6, "allocation": allocation}
    params = {"n_per_class": 4, "strategy": strategy, "pool": pool}
    given = five.tables[EntryKey("g1", "s3")]
    result = check_feature(Labelled, given, params, state_from=toy_stream(five.tables))
    assert result.columns == ["frame", "time", "id", "split", "label", "fps", "group", "sequence"]
    assert result["label"].to_list() == [0] * 8 + [1] * 6 + [None] * 6
    assert result["split"].n_unique() == 1
    assert result["frame"].equals(given["frame"])


def test_each_class_has_its_rows_in_each_split_and_no_recording_is_in_both(five):
    feature = five.fit(n_per_class=5, test_fraction=0.4)
    assert counts(feature) == {(s, c): 5 for s in ("train", "test") for c in (0, 1)}
    train, test = sources(feature, "train"), sources(feature, "test")
    assert not train & test
    assert feature.templates.columns == ["v", "w", "label", "split"]
    assert dict(feature.templates.schema)["label"] == pl.Int64
    assert feature.provenance["split"].to_list().count("test") == 2
    assert feature.provenance["count"].sum() == 20
    np.testing.assert_allclose(feature.provenance["proportion"].sum(), 1.0)


def test_a_template_has_the_label_of_its_row(five):
    """Rows 0–7 are attack and 8–13 groom; v tells the recording and the row."""
    feature = five.fit(n_per_class=6)
    frame = feature.rows["frame"]
    expected = feature.rows["sequence"].str.slice(1).cast(pl.Int64) + frame / 1000
    np.testing.assert_allclose(feature.templates["v"], expected)
    assert feature.templates["label"].to_list() == [0 if f < 8 else 1 for f in frame]
    assert frame.max() < 14


def test_unlabelled_rows_are_no_class_and_unlabelled_recordings_in_no_split(five):
    """Read as class 0 they would teach that doing nothing is attack."""
    extra = EntryKey("g0", "s9")
    five.tables[extra] = table(extra, 50)
    feature = five.fit(n_per_class=1000)
    assert feature.templates.height == 5 * 14
    made = feature.apply(five.tables[extra])
    assert made["split"].null_count() == made["label"].null_count() == 50
    assert feature.provenance.filter(pl.col("sequence") == "s9").row(0)[2:] == (None, 0, 0.0)
    assert "1 of 6 entries have no usable labelled row" in feature.state_notes()["warnings"]


def test_unlabelled_recordings_are_not_even_read(five):
    five.tables[EntryKey("g0", "s9")] = pl.DataFrame({"nonsense": [1]})
    assert five.fit(n_per_class=2).templates.height == 8


def test_background_is_the_class_of_unlabelled_frames_of_labelled_recordings(five):
    """5 · 6 rows become class 5; a recording that nobody labelled stays unlabelled."""
    extra = EntryKey("g0", "s9")
    five.tables[extra] = table(extra, 50)
    feature = five.fit(n_per_class=1000, background_class=5)
    assert feature.templates["label"].value_counts().sort("label")["count"].to_list() == [
        40,
        30,
        30,
    ]
    assert feature.apply(five.tables[extra])["label"].null_count() == 50


def test_events_of_one_individual_count(world):
    """An event (1, nobody) labels individual 1 and not individual 0."""
    rows = table(ONE, 6).with_columns(id=pl.Series([0, 1] * 3), frame=pl.Series([0, 0, 1, 1, 2, 2]))
    world.tables[ONE] = rows
    world.label(ONE, Labels.per_frame([0, 0, 1], NAMES, id1=1))
    made = world.fit(n_per_class=1).apply(rows)
    assert made["label"].to_list() == [None, 0, None, 0, None, 1]


def test_a_pair_is_labelled_in_both_orders_unless_directed(world):
    rows = pl.DataFrame(
        {"frame": [0, 0, 1, 1], "id1": [0, 1, 0, 1], "id2": [1, 0, 1, 0], "perspective": [0, 1] * 2,
         "v": [1.0, 2.0, 3.0, 4.0], "group": "g", "sequence": "s0"}
    )  # fmt: skip
    world.tables[ONE] = rows
    world.label(ONE, Labels.per_frame([0, 1], NAMES, id1=1, id2=0))
    both = world.fit(n_per_class=2)
    assert both.apply(rows)["label"].to_list() == [0, 0, 1, 1]
    assert both.rows.columns == ["group", "sequence", "frame", "id1", "id2", "perspective"]
    directed = world.fit(n_per_class=2, directed=True)
    assert directed.apply(rows)["label"].to_list() == [None, 0, None, 1]


def test_rows_with_missing_values_are_no_templates_and_keep_their_label(world):
    values = np.array([1.0, np.nan, np.inf, 4.0])
    world.add(ONE, [0, 0, 1, 1], v=values)
    feature = world.fit(n_per_class=9)
    assert sorted(feature.templates["v"]) == [1.0, 4.0]
    assert feature.apply(world.tables[ONE])["label"].to_list() == [0, 0, 1, 1]


def test_numbers_by_class(five):
    """n_total 7 over two classes is 3 each; a mapping names the classes that are wanted."""
    assert set(counts(five.fit(n_total=7)).values()) == {3}
    feature = five.fit(n_per_class={1: 2})
    assert counts(feature) == {("train", 1): 2, ("test", 1): 2}
    assert feature.apply(five.tables[EntryKey("g0", "s0")])["label"].to_list()[0] == 0


def test_shortages_are_said_with_their_numbers(five):
    """One recording for testing has 8 of attack and 6 of groom."""
    warnings = five.fit(n_per_class=7).state_notes()["warnings"]
    assert warnings == ["class 1 has only 6 of 7 rows in the test entries"]


def test_a_class_that_a_split_lacks_is_said_and_stratified_mends_it(world):
    """Class 5 is in s0 and s1 alone; by lot they may both fall on one side."""
    for i in range(8):
        world.add(EntryKey("g", f"s{i}"), [0] * 5 + ([5] * 5 if i < 2 else [1] * 5))
    missing = [
        seed
        for seed in range(12)
        if any("class 5 has no row" in w for w in warnings_of(world, seed, "random"))
    ]
    assert missing
    for seed in missing[:3]:
        assert not any("no row" in w for w in warnings_of(world, seed, "stratified"))


def warnings_of(world: World, seed: int, split: str) -> list[str]:
    feature = world.fit(n_per_class=2, test_fraction=0.5, random_state=seed, split=split)
    found: list[str] = feature.state_notes()["warnings"]
    return found


def test_whole_groups_and_named_entries(five):
    """Groups g0 (s0, s2, s4) and g1 (s1, s3)."""
    feature = five.fit(n_per_class=20, split="group", test_fraction=0.5)
    assert {frozenset(sources(feature, s)) for s in ("train", "test")} == {
        frozenset({"s0", "s2", "s4"}), frozenset({"s1", "s3"}),
    }  # fmt: skip
    named = five.fit(n_per_class=20, split={"g0/s0": "train", "g1/s1": "test", "g1/s7": "test"})
    assert (sources(named, "train"), sources(named, "test")) == ({"s0"}, {"s1"})
    assert named.apply(five.tables[EntryKey("g0", "s2")])["split"].to_list() == [None] * 20
    first, second = named.state_notes()["warnings"][:2]
    assert first.startswith("split names g1/s7, which is not among the entries; the nearest is g")
    assert second == "split does not name 3 labelled entries, such as g0/s2"


def test_one_labelled_recording_is_for_training(world):
    feature = world.add(ONE, [0, 1, 0]).fit(n_per_class=1)
    assert sources(feature, "test") == set()
    assert "no labelled entry is for testing" in feature.state_notes()["warnings"]
    none = world.fit(n_per_class=1, test_fraction=0)
    assert none.state_notes()["warnings"] == []


def test_another_recording_leaves_the_draws_of_the_others_alone(world):
    for i in range(3):
        world.add(EntryKey("g", f"s{i}"), [0] * 200 + [1] * 200)
    split = {f"g/s{i}": "train" for i in range(4)}
    before = set(world.fit(n_per_class=60, split=split).templates["v"])
    world.add(EntryKey("g", "s3"), [0] * 200 + [1] * 200)
    after = set(world.fit(n_per_class=60, split=split).templates["v"])
    kept = {value for value in after if value < 3}
    assert kept < before


@pytest.mark.parametrize("allocation", ["reservoir", "exact"])
def test_one_recording_cannot_fill_a_class(world, allocation):
    """Cap 0.4 of 10 is 4: the long recording gives 4, the short ones their 3."""
    for i, n in enumerate((500, 3, 3)):
        world.add(EntryKey("g", f"s{i}"), [0] * n + [1])
    pool = {"size": 10, "allocation": allocation, "max_entry_fraction": 0.4}
    feature = world.fit(n_per_class={0: 10}, pool=pool, test_fraction=0)
    assert feature.provenance["count"].to_list() == [4, 3, 3]


def test_exact_gives_each_recording_its_share_of_the_class(world):
    """80 and 20 rows of attack: 8 and 2 of 10."""
    world.add(EntryKey("g", "s0"), [0] * 80 + [1] * 5).add(
        EntryKey("g", "s1"), [0] * 20 + [1] * 300
    )
    pool = {"allocation": "exact"}
    feature = world.fit(n_per_class={0: 10}, pool=pool, test_fraction=0)
    assert feature.provenance["count"].to_list() == [8, 2]


def test_farthest_first_reaches_the_rare_row_of_a_class(world):
    world.add(ONE, [0] * 50, v=[0.0] * 49 + [9.0])
    params = {"n_per_class": 2, "strategy": "farthest_first", "pool": {"size": 50}}
    assert sorted(world.fit(**params).templates["v"]) == [0.0, 9.0]


def test_conflicts_and_changing_names_are_said(world):
    events = pl.DataFrame({"frame": [0, 0, 1], "id1": -1, "id2": -1, "label": [0, 1, 0]})
    world.add(ONE, [0, 0]).label(ONE, Labels(events, NAMES))
    other = EntryKey("g", "s1")
    world.add(other, [0, 0]).label(other, Labels.per_frame([0, 0], {0: "bite"}))
    feature = world.fit(n_per_class=1)
    warnings = feature.state_notes()["warnings"]
    assert "1 rows have several classes; the later one counts" in warnings
    assert "class 0 is called attack and bite" in warnings
    assert feature.apply(world.tables[ONE])["label"].to_list() == [1, 0]


def test_empty_tables_keep_their_columns(five):
    feature = five.fit(n_per_class=1)
    empty = five.tables[EntryKey("g0", "s0")].clear()
    assert feature.apply(empty).schema == feature.output_schema(empty.schema)
    five.tables[EntryKey("g0", "s0")] = empty
    assert five.fit(n_per_class=1).provenance.height == 5


def test_recordings_with_other_columns_are_refused_by_name(five):
    five.tables[EntryKey("g1", "s1")] = five.tables[EntryKey("g1", "s1")].drop("w")
    with pytest.raises(MissingColumnError, match="Entry g1/s1 lacks the column 'w'"):
        five.fit(n_per_class=1)


def test_what_cannot_be_done_is_refused(five, world):
    with pytest.raises(FitError, match="of a wanted class; found: 0, 1"):
        five.fit(n_per_class={7: 1})
    with pytest.raises(FitError, match="no labelled entry has a split"):
        five.fit(n_per_class=1, split={"g0/s8": "train"})
    with pytest.raises(ParamsError, match="n_total 1 is less than one row"):
        five.fit(n_total=1)
    with pytest.raises(ParamsError, match=r"pool.size 3 is smaller than the 4 rows"):
        five.fit(n_per_class=4, pool={"size": 3})
    tags = IdTags.from_mapping({0: {"sex": "f"}})
    with pytest.raises(FeatureError, match="'behavior' are id tags"):
        five.label(EntryKey("g0", "s0"), tags).fit(n_per_class=1)
    five.files.clear()
    with pytest.raises(FitError, match="found: none"):
        five.fit(n_per_class=1)
    with pytest.raises(FeatureError, match="not fitted"):
        ExtractLabeledTemplates(params={"n_total": 1}).apply(table(ONE, 1))
    with pytest.raises(FitError, match="not fitted"):
        ExtractLabeledTemplates(params={"n_total": 1}).save_state(Path())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "neither is given"),
        ({"n_total": 1, "n_per_class": 1}, "both are given"),
        ({"n_per_class": {}}, "names no class"),
        ({"n_per_class": 0}, "n_per_class"),
        ({"n_total": 1, "test_fraction": 1.5}, "test_fraction"),
        ({"n_total": 1, "split": "by hand"}, "split"),
        ({"n_total": 1, "split": {"not a key": "test"}}, "not an entry key"),
        ({"n_total": 1, "split": {"g/s": "valid"}}, "split"),
    ],
)
def test_wrong_parameters_are_refused(params, message):
    with pytest.raises(ParamsError, match=message):
        ExtractLabeledTemplates(params=params)
