"""Manifests: what one process wrote down, another must read back, or be told why not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.store.artifact_registry import ArtifactRecord, MetaModelConfig
from mosaic_dagster.store.artifact_registry.manifests import (
    manifest_path,
    manifest_paths,
    read_manifest,
    records_of,
    scan_manifests,
    to_manifest,
    write_manifest,
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def record(name: str, **fields: Any) -> ArtifactRecord:
    return ArtifactRecord(f"{name}$aa:all", "sha256:00", "00/00.npz", **fields)


def test_records_come_back_from_a_file(tmp_path: Path) -> None:
    """Training and replay are different processes; all the second knows is this file."""
    written = [
        record("p", params={"alpha": 1e-05, "deep": {"on": True}}, branch_path=[0, 1], fold_id=3),
        record("é: x", artifact_type="meta_model", meta_config=MetaModelConfig([], ["a"])),
    ]
    path = write_manifest(tmp_path / "deep" / "m.yaml", written)
    assert read_manifest(path) == written
    assert [item.name for item in path.parent.iterdir()] == ["m.yaml"]


def test_a_file_is_plain_yaml_with_its_version(tmp_path: Path) -> None:
    """People and other tools read it without this package."""
    path = write_manifest(tmp_path / "m.yaml", [record("p")])
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["schema_version"] == "3.0"
    assert content["items"][0]["artifact_id"] == "p$aa:all"


@given(st.dictionaries(st.text(), plain, max_size=3))
def test_parameters_come_back_from_a_file(params: dict[str, Any]) -> None:
    """A parameter changed on the way describes another operator."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_manifest(Path(folder) / "m.yaml", [record("p", params=params)])
        assert read_manifest(path)[0].params == params


def test_a_bare_list_of_items_is_a_manifest() -> None:
    items = to_manifest([record("p")])["items"]
    assert records_of(items) == [record("p")]


@pytest.mark.parametrize(
    "manifest",
    [
        {"schema_version": "2.0", "items": []},
        {"items": []},
        {"schema_version": "3.0"},
        {"schema_version": "3.0", "items": {"a": 1}},
        {"schema_version": "3.0", "items": ["text"]},
        {"schema_version": "3.0", "items": [{"artifact_id": "p$aa:all"}]},
        {"schema_version": "3.0", "items": [{**record("p").to_dict(), "branch_path": 7}]},
        {"schema_version": "3.0", "items": [{**record("p").to_dict(), "meta_config": "text"}]},
        "text",
        None,
    ],
)
def test_what_is_no_manifest_is_refused(manifest: Any) -> None:
    """Half of it read in silence would be half of a pipeline."""
    with pytest.raises(ValueError, match=r"manifest"):
        records_of(manifest)


@pytest.mark.parametrize(
    "content", [b"a: [", b"\xff\xfe\x00", b"!!python/object:os.system {}", b""]
)
def test_a_damaged_manifest_stops_the_scan(tmp_path: Path, content: bytes) -> None:
    """Passed over, its files would count as orphans and be deleted."""
    write_manifest(manifest_path(tmp_path, "good", "p"), [record("p")])
    bad = manifest_path(tmp_path, "bad", "q")
    bad.parent.mkdir(parents=True)
    bad.write_bytes(content)
    with pytest.raises(ValueError, match=r"q\.yaml cannot be read"):
        scan_manifests(tmp_path)


def test_a_scan_finds_the_manifests_of_all_datasets_or_of_one_or_of_the_others(
    tmp_path: Path,
) -> None:
    for dataset in ("mice", "mice2", "fish"):
        write_manifest(manifest_path(tmp_path, dataset, "p"), [record(dataset)])
    names = {r.artifact_id.split("$")[0] for r in scan_manifests(tmp_path)}
    assert names == {"mice", "mice2", "fish"}
    assert scan_manifests(tmp_path, dataset="mice") == [record("mice")]
    others = {r.artifact_id for r in scan_manifests(tmp_path, except_dataset="mice")}
    assert others == {"mice2$aa:all", "fish$aa:all"}
    assert scan_manifests(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("name", ["../../etc", "..", ".", "a/b", "a:b", "x y", "ö", "a%2Eb"])
def test_no_name_leads_out_of_the_folder_or_onto_another(tmp_path: Path, name: str) -> None:
    """A dataset called ``..`` must not write beside the manifests, nor ``a/b`` into ``a``."""
    write_manifest(manifest_path(tmp_path, name, name), [record("p")])
    (found,) = manifest_paths(tmp_path)
    assert found.parent.parent == tmp_path / "library" / "manifests"
    assert manifest_path(tmp_path, name, "m") != manifest_path(tmp_path, "a.b", "m")


def test_a_manifest_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"without a name"):
        manifest_path(tmp_path, "", "p")


def test_values_that_yaml_cannot_say_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be written"):
        write_manifest(tmp_path / "m.yaml", [record("p", params={"f": object()})])
    assert list(tmp_path.iterdir()) == []
