"""The dataset file."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.dataset.manifest import DatasetDeclaration, Manifest, SourceRule, check_name
from mosaic_dagster.errors import ManifestError

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=10)
values = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | texts | st.lists(texts, max_size=2)
)
rules = st.builds(
    SourceRule,
    path=texts.filter(bool),
    params=st.dictionaries(texts, values, max_size=2),
    group=st.none() | texts,
    declared=st.booleans(),
)


@settings(max_examples=30)
@given(
    sources=st.lists(rules, max_size=3),
    keypoints=st.lists(texts, unique=True, max_size=3),
    fps=st.none() | st.floats(0.01, 1e4),
    notes=texts,
)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, **fields: Any) -> None:
    """Without it a rule with an unusual path or group would be lost or changed."""
    path = tmp_path_factory.mktemp("manifest") / "dataset.yaml"
    manifest = Manifest.new(name="larvae", **fields)
    manifest.save(path)
    assert Manifest.load(path) == manifest
    assert [item.name for item in path.parent.iterdir()] == ["dataset.yaml"]


@pytest.mark.parametrize("name", ["larvae", "a", "mice_2", "a1_b2_c3"])
def test_names_that_may_be(name: str) -> None:
    """Asset keys begin with the name."""
    assert check_name(name) == name
    assert Manifest.new(name=name).name == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "Larvae", "2mice", "a__b", "_a", "a_", "a-b", "a b", "ä", "a\n"),
        *("model", "report", "tracks", "labels", "dagster"),
    ],
)
def test_names_that_may_not_be(name: str) -> None:
    """Dagster would refuse them later, or take them for a step."""
    with pytest.raises(ManifestError, match="cannot be the name of a dataset"):
        check_name(name)
    with pytest.raises(ManifestError, match="cannot be the name of a dataset"):
        DatasetDeclaration(name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("name: larvae\nfsp: 16\n", r"fsp is not a known name \(Did you mean 'fps'"),
        ("name: larvae\nsources:\n- {path: a, fromat: b}\n", r"sources.0.fromat .*'format'"),
        ("fps: 16\n", "name: Field required"),
        ("name: Larvae\n", "cannot be the name of a dataset"),
        ("name: larvae\nfps: -1\n", r"fps: .*greater than 0 \(given -1"),
        ("name: larvae\nfps: .inf\n", "fps: .*finite"),
        ("name: larvae\nkeypoints: [a, b, a]\n", "keypoints: named twice: a"),
        ("name: larvae\nsources: [{path: ''}]\n", "the path is empty"),
        ("name: larvae\nversion: 99\n", "version 99; this package knows 1"),
        ("- a\n- b\n", "not a list of `name: value` lines"),
        ("", "not a list of `name: value` lines"),
        ("name: [larvae\n", "cannot be read"),
        ("!!python/object/apply:os.getcwd []\n", "cannot be read"),
    ],
)
def test_a_malformed_file_is_explained(tmp_path: Path, content: str, told: str) -> None:
    """People edit this file by hand: the message names the file and the line's name."""
    path = tmp_path / "dataset.yaml"
    path.write_text(content)
    with pytest.raises(ManifestError, match=told) as caught:
        Manifest.load(path)
    assert str(path) in str(caught.value)


def test_no_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no dataset at .*Dataset.create"):
        Manifest.load(tmp_path / "dataset.yaml")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not cost the manifest."""
    path = tmp_path / "dataset.yaml"
    Manifest.new(name="larvae").save(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        Manifest.new(name="other").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_declaration_wins_where_it_speaks() -> None:
    """fps is declared, the unit is not: the manifest takes one and keeps the other."""
    manifest = Manifest.new(name="larvae", fps=30, unit="mm", keypoints=("a", "b"))
    updated = manifest.updated_by(DatasetDeclaration("larvae", fps=16))
    assert (updated.fps, updated.unit, updated.keypoints) == (16, "mm", ("a", "b"))
    assert (updated.uuid, updated.created_at) == (manifest.uuid, manifest.created_at)


def test_declared_sources_replace_declared_ones_and_spare_ingested_ones() -> None:
    """A folder that was taken out of the code goes; one that was ingested by hand stays."""
    manifest = Manifest.new(name="larvae").with_source(SourceRule(path="by_hand"))
    first = manifest.updated_by(DatasetDeclaration("larvae", sources=("old", "kept")))
    second = first.updated_by(DatasetDeclaration("larvae", sources=("kept", "new")))
    assert [(rule.path, rule.declared) for rule in second.sources] == [
        ("kept", True),
        ("new", True),
        ("by_hand", False),
    ]
    assert second.updated_by(DatasetDeclaration("larvae", sources=("kept", "new"))) == second


def test_a_declared_path_replaces_the_same_ingested_path() -> None:
    """Two rules for one path would make every file in it appear twice."""
    manifest = Manifest.new(name="larvae").with_source(SourceRule(path="a", params={"fps": 1}))
    declared = DatasetDeclaration("larvae", sources=(SourceRule(path="a"),))
    assert manifest.updated_by(declared).sources == (SourceRule(path="a", declared=True),)


def test_ingesting_a_path_again_replaces_its_rule() -> None:
    """Ingesting with corrected parameters must not leave the wrong ones in place."""
    manifest = Manifest.new(name="larvae").with_source(SourceRule(path="a"))
    again = manifest.with_source(SourceRule(path="a", params={"fps": 25}))
    assert again.sources == (SourceRule(path="a", params={"fps": 25}),)


def test_a_declaration_of_another_dataset_is_refused() -> None:
    with pytest.raises(ManifestError, match="holds 'larvae', the declaration is of 'mice'"):
        Manifest.new(name="larvae").updated_by(DatasetDeclaration("mice"))


def test_the_identity_of_a_rule_is_what_it_reads() -> None:
    """Where a rule was written does not change what it gives; its parameters do."""
    rule = SourceRule(path=Path("a/b"), params={"fps": 30})
    assert rule.path == "a/b"
    assert rule.digest == SourceRule(path="a/b", params={"fps": 30.0}, declared=True).digest
    assert rule.digest != SourceRule(path="a/b", params={"fps": 31}).digest
    assert rule.digest != SourceRule(path="a/b", params={"fps": 30}, group="g").digest


def test_the_file_is_for_people(tmp_path: Path) -> None:
    """Plain YAML in a fixed order, the name first after the version."""
    path = tmp_path / "dataset.yaml"
    Manifest.new(name="larvae", fps=16.0, unit="µm").save(path)
    assert list(yaml.safe_load(path.read_text(encoding="utf-8")))[:3] == ["version", "name", "uuid"]
    assert "unit: µm" in path.read_text(encoding="utf-8")
